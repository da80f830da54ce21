"""The money of one call: what its attempts reserve, which models budgets replaced, and whether there is room again."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from cognition.domain.completion import Call
from cognition.domain.entry import Address
from cognition.domain.ledger import call_key_of
from cognition.domain.reservation import CallAttempt
from cognition.domain.routing import Route, Target, chain_of
from cognition.errors import BudgetExceeded, PriceUnknown
from cognition.events import Downgraded, Emit, WaitingForBudget
from cognition.services.spending import Downgrade, Hold, Spending

RouteTo = Callable[[str], Route]
"""Says how a model is reached that a budget names."""


class CallSpending:
    """Reserves for the attempts of one call, each under a number of its own."""

    def __init__(self, spending: Spending, route_to: RouteTo, call: Call, address: Address, emit: Emit) -> None:
        """Prepare, ask nothing yet.

        Args:
            spending: Sets money aside.
            route_to: Says how a model is reached that a budget names.
            call: Whose money.
            address: Where the answer to its request belongs.
            emit: Told when a budget has another model asked, or lets the call wait.
        """
        self._spending = spending
        self._route_to = route_to
        self._call = call
        self._emit = emit
        self._call_key = call_key_of(call.attribution, call.request_id, address.key)
        self._avoided: set[str] = set()
        self._numbers = 0
        self._refused: Target | None = None

    @property
    def is_downgraded(self) -> bool:
        """Whether a budget had another model asked than the caller wanted."""
        return bool(self._avoided)

    async def reserve(self, target: Target) -> Hold:
        """Set aside the most that the next attempt can cost.

        Raises:
            BudgetExceeded, BudgetUnavailable, PriceUnknown, Downgrade: See `Spending.reserve`.
        """
        # Numbers run over the whole chain, because they tell the rows of one call apart in the ledger.
        self._numbers += 1
        try:
            return await self._spending.reserve(
                self._call, target, CallAttempt(self._call_key, self._numbers), self._avoided
            )
        except Downgrade as cheaper:
            self._numbers -= not cheaper.claimed
            raise
        except PriceUnknown:
            self._numbers -= 1  # nothing was set aside under it
            raise
        except BudgetExceeded as error:
            self._numbers -= 1  # nothing was set aside under it
            if error.is_full_for_now and self._refused is None:
                self._emit(WaitingForBudget(self._call, error.budget))
            self._refused = target
            raise

    def downgraded(self, chain: Sequence[Target], cheaper: Downgrade, service: str | None) -> tuple[Target, ...]:
        """Return the chain with the model that a budget wants in the place of the one that it does not."""
        self._avoided.add(cheaper.instead_of)
        self._emit(Downgraded(self._call, cheaper.instead_of, cheaper.model))
        position = next(place for place, target in enumerate(chain) if target.model == cheaper.instead_of)
        instead = chain_of(self._call.request, (self._route_to(cheaper.model),), service)[-1:]
        rest = [target for target in chain[position + 1 :] if target.model not in {cheaper.model, *self._avoided}]
        return (*instead, *rest)

    async def may_enter(self) -> bool:
        """Whether it is worth to ask again for what was refused: there is room now, or never will be."""
        return self._refused is None or await self._spending.may_enter(self._call, self._refused)
