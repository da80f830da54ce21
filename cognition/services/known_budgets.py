"""Which budgets there are, known without asking for each call."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
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

    @property
    def is_fresh(self) -> bool:
        """Whether what is known may be used without asking."""
        return self._known is not None and time.monotonic() - self._since < FRESH_SECONDS

    def refresh(self) -> None:
        """Ask what there is, unless that is known already; blocks. While the store is down the last answer counts."""
        if self.is_fresh:
            return
        asked = time.monotonic()
        known = self._budgets.call(self._ask, None)
        with self._lock:
            # Somebody who asked later may have been answered first.
            if known is not None and asked >= self._since:
                self._known, self._since = known, asked

    def forget(self) -> None:
        """Ask anew before the next call, because a budget was changed here."""
        with self._lock:
            self._since = 0.0

    def applicable(self, subjects: Mapping[Scope, str]) -> list[tuple[Budget, str]] | None:
        """Return the budgets that a call has to fit into, each with whose counter it uses; None when nobody knows."""
        known = self._known
        if known is None:
            return None
        return [
            (budget, subject)
            for scope, subject in subjects.items()
            for named in (subject, EVERYONE)
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
        for budget in store.budgets():
            if budget.active:
                active[budget.scope, budget.subject].append(budget)
        return _Known(version, dict(active))
