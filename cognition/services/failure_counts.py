"""Counts the errors that callers of a flow run got, which leave no ledger row when nothing was asked."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping

from cognition.events import Event, Failed

# Those of older runs have been reported long ago.
_MOST_RUNS = 1000


class FailureCounts:
    """An observer of the engine's events: errors of this process by flow run; thread-safe."""

    def __init__(self) -> None:
        """Start with none."""
        self._lock = threading.Lock()
        self._of_run: dict[str, Counter[str]] = {}

    def observe(self, event: Event) -> None:
        """Count an error for the flow run and for the one it belongs to."""
        if not isinstance(event, Failed):
            return
        who = event.call.attribution
        with self._lock:
            for run in {who.flow_run_id, who.root_flow_run_id} - {None}:
                self._of_run.setdefault(str(run), Counter())[event.error] += 1
            while len(self._of_run) > _MOST_RUNS:
                del self._of_run[next(iter(self._of_run))]

    def of(self, flow_run_id: str) -> Mapping[str, int]:
        """Return how many calls of a flow run and of its subflows failed, by the error's class, most frequent first."""
        with self._lock:
            return dict(self._of_run.get(flow_run_id, Counter[str]()).most_common())

    def forget(self) -> None:
        """Start anew after a fork: the lock may have been held, and the counts are the parent's to report."""
        self._lock = threading.Lock()
        self._of_run = {}
