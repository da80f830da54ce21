"""Which flow run is the outermost one around another, as Prefect's server knows it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from functools import lru_cache
from uuid import UUID

from prefect import get_client

_log = logging.getLogger(__name__)

_MOST = 1024

# A hiccup of the server is over by then, and until then no call of the run is held up by asking.
_AGAIN_SECONDS = 5.0


class RunRoots:
    """Asks the server once for each run, and again after a while when it did not say; thread-safe.

    What is remembered must be the truth: a subflow that takes itself for the root has a budget of its own.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        """Know nothing yet.

        Args:
            monotonic: Returns seconds that never run backwards.
        """
        self._monotonic = monotonic
        # Errors are not remembered by it.
        self._found = lru_cache(maxsize=_MOST)(_ask)
        self._again_at: dict[UUID, float] = {}

    def root_of(self, flow_run_id: UUID, parent_task_run_id: UUID) -> str | None:
        """Return the outermost flow run around a subflow; None when the server does not say.

        Args:
            flow_run_id: The subflow's run.
            parent_task_run_id: The task run that stands for it in the flow run above.
        """
        if self._monotonic() < self._again_at.get(flow_run_id, 0.0):
            return None
        try:
            root = self._found(flow_run_id, parent_task_run_id)
        except Exception as error:  # noqa: BLE001 - whatever is wrong with Prefect's server, the call itself must go on
            _log.warning("The root of flow run %s stays unknown for now: %s", flow_run_id, type(error).__name__)
            if len(self._again_at) >= _MOST:
                self._again_at.clear()
            self._again_at[flow_run_id] = self._monotonic() + _AGAIN_SECONDS
            return None
        self._again_at.pop(flow_run_id, None)
        return root


def _ask(flow_run_id: UUID, parent_task_run_id: UUID) -> str:
    """Follow a flow run's parents on the server."""
    root: UUID = flow_run_id
    parent: UUID | None = parent_task_run_id
    with get_client(sync_client=True) as client:
        while parent is not None:
            above = client.read_task_run(parent).flow_run_id
            if above is None:
                break
            root, parent = above, client.read_flow_run(above).parent_task_run_id
    return str(root)
