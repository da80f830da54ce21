"""What the contracts of budgets have in common."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

from cognition.domain.budget import Budget, Period, Scope
from cognition.domain.reservation import CallAttempt, Claim, Reservation, Standing
from cognition.resilience.budget_store import BudgetStore

Wait = Callable[[float], None]

SHORT = 0.2
LEASE = timedelta(seconds=60)

# A lifetime, so that no test runs over the end of a period.
DOLLAR = Budget(scope="user", subject="alice", limit_usd="1", period="lifetime")
ALICE: dict[Scope, str] = {"tenant": "acme", "user": "alice", "team": "support", "flow_run": "run-1"}


class Spender:
    """Somebody who spends Alice's money."""

    def __init__(self, store: BudgetStore) -> None:
        """Ask a store."""
        self.store = store

    def put(self, budget: Budget = DOLLAR, **fields: Any) -> UUID:
        """Keep a budget."""
        return self.store.put(replace(budget, **fields), "alice")

    def claim(self, usd: str | None, attempt: CallAttempt | None = None, **fields: Any) -> Claim:
        """Return a claim of a call of its own."""
        attempt = attempt or CallAttempt(uuid4())
        amount = None if usd is None else Decimal(usd)
        claim = Claim(attempt=attempt, subjects=ALICE, estimate_usd=amount, holder="here", lease=LEASE)
        return replace(claim, **fields)

    def reserve(self, usd: str | None, attempt: CallAttempt | None = None, **fields: Any) -> Reservation:
        """Set money aside for a call of its own, or for the attempt named."""
        return self.store.reserve(self.claim(usd, attempt, **fields))

    def hold(self, usd: str, **fields: Any) -> CallAttempt:
        """Set money aside that must be there, and return for which attempt."""
        claim = self.claim(usd, **fields)
        assert self.store.reserve(claim).admitted
        return claim.attempt

    def hold_shortly(self, usd: str) -> CallAttempt:
        """Set money aside with a lease that ends soon."""
        return self.hold(usd, lease=timedelta(seconds=SHORT))

    def settle(self, attempt: CallAttempt, usd: str | None) -> Reservation:
        """Book what an attempt cost."""
        return self.store.settle(attempt, None if usd is None else Decimal(usd))

    def spend(self, usd: str) -> Reservation:
        """Set money aside and spend it."""
        return self.settle(self.hold(usd), usd)

    def standing(self) -> Standing:
        """Return how the only budget that applies stands."""
        (standing,) = self.store.look(ALICE)
        return standing

    def standing_of(self, period: Period) -> Standing:
        """Return how the budget of a period stands."""
        return next(one for one in self.store.look(ALICE) if one.period == period)

    def figures(self) -> tuple[Decimal, Decimal]:
        """Return what is used and what is reserved of the only budget that applies."""
        standing = self.standing()
        return standing.used_usd, standing.reserved_usd


def amounts(*texts: str) -> tuple[Decimal, ...]:
    """Return amounts."""
    return tuple(Decimal(text) for text in texts)


def outcomes(reservation: Reservation) -> dict[str, str]:
    """Return what each budget says, by scope."""
    return {share.standing.scope: share.outcome for share in reservation.shares}
