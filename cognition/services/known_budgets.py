"""Which budgets there are, known without asking for each call."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from cognition.domain.budget import EVERYONE, Budget, Scope
from cognition.resilience.budget_store import BudgetStore
from cognition.resilience.store_breaker import Guarded

FRESH_SECONDS = 1.0
"""So soon a budget that was set elsewhere counts here; most tenants have none, and pay nothing for asking."""


_Counter = tuple[Scope, str]


@dataclass(frozen=True, slots=True)
class _Known:
    version: str
    active: Mapping[_Counter, Sequence[Budget]]
    unreadable: frozenset[tuple[str, str]]


class KnownBudgets:
    """The budgets of a tenant, as of a second ago at most while their store answers; thread-safe."""

    def __init__(self, budgets: Guarded[BudgetStore]) -> None:
        """Know nothing yet.

        Args:
            budgets: Where they are kept.
        """
        self._budgets = budgets
        self._lock = threading.Lock()
        self._known: _Known | None = None
        self._since = 0.0
        self._forgotten = 0

    @property
    def is_fresh(self) -> bool:
        """Whether what is known may be used without asking."""
        return self._known is not None and time.monotonic() - self._since < FRESH_SECONDS

    def refresh(self) -> None:
        """Ask what there is, unless that is known already; blocks. While the store is down the last answer counts."""
        if self.is_fresh:
            return
        asked, forgotten = time.monotonic(), self._forgotten
        known = self._budgets.call(self._ask, None)
        with self._lock:
            # Somebody who asked later may have been answered first.
            if known is not None and asked >= self._since:
                self._known = known
                # A budget that was changed meanwhile may be missing in this answer.
                self._since = asked if forgotten == self._forgotten else 0.0

    def forget(self) -> None:
        """Ask anew before the next call, because a budget was changed here."""
        with self._lock:
            self._since = 0.0
            self._forgotten += 1

    def after_fork(self) -> None:
        """Go on in a child process: what is known is true there too, and nobody is left who could open the lock."""
        self._lock = threading.Lock()

    def applicable(self, subjects: Mapping[Scope, str]) -> list[tuple[Budget, str]] | None:
        """Return the budgets that a call has to fit into, each with whose counter it uses; None when nobody knows.

        Nobody knows either when one of them cannot be read here: the store decides, which can.
        """
        known = self._known
        if known is None or any((scope, name) in known.unreadable for scope, name in _names(subjects)):
            return None
        return [
            (budget, subjects[scope])
            for scope, named in _names(subjects)
            for budget in known.active.get((scope, named), ())
        ]

    def _ask(self) -> _Known:
        """Return what there is; a tenant may have thousands of budgets, which seldom change."""
        store, known = self._budgets.store, self._known
        # Asked first: whatever changes between the two questions is noticed the next time.
        version = store.version()
        if known is not None and known.version == version:
            return known
        active: defaultdict[_Counter, list[Budget]] = defaultdict(list)
        kept = store.kept()
        for budget in kept.readable:
            if budget.active:
                active[budget.scope, budget.subject].append(budget)
        return _Known(version, dict(active), kept.unreadable)


def _names(subjects: Mapping[Scope, str]) -> Iterator[_Counter]:
    return ((scope, named) for scope, subject in subjects.items() for named in (subject, EVERYONE))
