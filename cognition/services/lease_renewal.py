"""Keeps money set aside for as long as the attempts run that it was set aside for."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from datetime import timedelta
from functools import partial

from cognition.domain.reservation import CallAttempt
from cognition.resilience.budget_store import BudgetStore
from cognition.resilience.store_breaker import Guarded

_log = logging.getLogger(__name__)

LEASE = timedelta(seconds=60)
"""After this time the money of a process that died is given back."""


class LeaseRenewal:
    """Prolongs the leases of the attempts under way, from a thread of its own; thread-safe.

    A thread, because a loop that something blocks would let the leases of all its calls run out.
    """

    def __init__(self, budgets: Guarded[BudgetStore], lease: timedelta = LEASE) -> None:
        """Hold nothing yet.

        Args:
            budgets: Where money is set aside.
            lease: For how long, each time; renewed after a third of it.
        """
        self.lease = lease
        self._budgets = budgets
        self._lock = threading.Lock()
        self._held: set[CallAttempt] = set()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def held(self) -> frozenset[CallAttempt]:
        """The attempts under way."""
        with self._lock:
            return frozenset(self._held)

    def add(self, attempt: CallAttempt) -> None:
        """Prolong an attempt's leases from now on."""
        with self._lock:
            self._held.add(attempt)
            if self._thread is None and not self._stop.is_set():
                self._thread = threading.Thread(target=self._run, name="cognition-leases", daemon=True)
                self._thread.start()

    def discard(self, attempt: CallAttempt) -> None:
        """Prolong an attempt's leases no longer."""
        with self._lock:
            self._held.discard(attempt)

    def close(self) -> None:
        """Stop; what is held still is given back when its lease ends."""
        self._stop.set()

    def forget(self) -> None:
        """Start anew after a fork: what is held is the parent's, and so is the thread."""
        self._lock = threading.Lock()
        self._held = set()
        self._stop = threading.Event()
        self._thread = None

    def _run(self) -> None:
        stop = self._stop
        while not stop.wait(self.lease.total_seconds() / 3):
            if held := list(self.held):
                self._renew(held)

    def _renew(self, held: Sequence[CallAttempt]) -> None:
        try:
            # One that is not renewed has ended: its money was given back, and its settlement will be a late one.
            self._budgets.call(partial(self._budgets.store.renew, held, self.lease), None)
        except Exception:  # noqa: BLE001  nobody else renews: without the thread the leases of all calls would run out
            _log.exception("Leases could not be prolonged; that is tried again.")
