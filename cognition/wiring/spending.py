"""Puts together what budgets need."""

from __future__ import annotations

from dataclasses import dataclass

from cognition.adapters.machine import worker_name
from cognition.domain.routing import Fallback, Route
from cognition.events import Emit
from cognition.owner_loop import OwnerLoop
from cognition.ports import Clock, Prices
from cognition.resilience.store_breaker import Guarded, StoreBreaker
from cognition.services.known_budgets import KnownBudgets
from cognition.services.lease_renewal import LeaseRenewal
from cognition.services.spending import Spending, SpendingParts
from cognition.settings import route_of
from cognition.wiring.stores import Stores


@dataclass(frozen=True, slots=True)
class Money:
    """What budgets need.

    Attributes:
        spending: Sets money aside.
        known: Which budgets there are.
        renewal: Keeps what is set aside.
        breaker: Leaves the store alone while it is down; one of its own, because waiting for the counter that everybody
            spends from is no outage of L2.
    """

    spending: Spending
    known: KnownBudgets
    renewal: LeaseRenewal
    breaker: StoreBreaker

    def after_fork(self) -> None:
        """Start anew in the child: locks may have been held, and what is held is the parent's."""
        self.renewal.forget()
        self.known.after_fork()
        self.spending.after_fork()


def money_of(stores: Stores, prices: Prices, loop: OwnerLoop, clock: Clock, emit: Emit) -> Money:
    """Return what budgets need.

    Args:
        stores: Where they are kept.
        prices: Know what attempts can cost.
        loop: Where calls are made.
        clock: Returns the present time.
        emit: Told when a limit is reached.
    """
    budgets = Guarded(stores.budgets.calls, StoreBreaker("budgets", stores.budgets.calls.ping, emit))
    known, renewal = KnownBudgets(budgets), LeaseRenewal(budgets)
    parts = SpendingParts(
        budgets=budgets,
        known=known,
        renewal=renewal,
        prices=prices,
        clock=clock,
        emit=emit,
        in_thread=loop.in_thread,
        holder=worker_name,
    )
    return Money(Spending(parts), known, renewal, budgets.breaker)


def route_to(model: str) -> Route:
    """Return how a model is reached that a budget names, `provider:model`."""
    return route_of(Fallback(model))
