"""Work that its caller does not wait for, but that is done before anybody looks for its result."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from functools import partial

_log = logging.getLogger(__name__)

Submit = Callable[[Callable[[], None]], object]
"""Runs a blocking call in another thread, soon."""


def at_once(use: Callable[[], None]) -> None:
    """Stand for another thread."""
    use()


class WriteBehind:
    """Steps that run in another thread, or in that of the first one who needs them done."""

    def __init__(self, submit: Submit) -> None:
        """Have nothing to do.

        Args:
            submit: Runs a step in another thread; a step that never gets there is done by `settle`.
        """
        self._submit = submit
        self._lock = threading.Lock()
        self._steps: set[_Step] = set()

    def add(self, use: Callable[[], None]) -> None:
        """Have something done."""
        step = _Step(use)
        with self._lock:
            self._steps.add(step)
        self._submit(partial(self._run, step))

    def settle(self) -> None:
        """Return when everything that was added before is done.

        What nobody has begun is done here: waiting for a free thread in one of those threads would never end.
        """
        if self._steps:
            with self._lock:
                steps = list(self._steps)
            for step in steps:
                self._run(step)

    def forget(self) -> None:
        """Start anew after a fork: what was added is the parent's to do."""
        self._lock = threading.Lock()
        self._steps = set()

    def _run(self, step: _Step) -> None:
        step.run()
        with self._lock:
            self._steps.discard(step)


class _Step:
    """One step, done once however many come for it; all return when it is done."""

    def __init__(self, use: Callable[[], None]) -> None:
        self._use: Callable[[], None] | None = use
        self._lock = threading.Lock()

    def run(self) -> None:
        with self._lock:
            use, self._use = self._use, None
            if use is not None:
                try:
                    use()
                except Exception:  # noqa: BLE001  whoever runs it is not the one whose work it was
                    _log.exception("Work in the background failed.")
