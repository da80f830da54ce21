"""Sets money aside before an attempt, in all budgets that apply to it or in none, and says what it finally cost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from decimal import Decimal
from functools import partial

from cognition.domain.budget import Budget, Scope
from cognition.domain.completion import Call
from cognition.domain.pricing import Cost
from cognition.domain.reservation import CallAttempt, Claim, Reservation, Standing, subjects_of
from cognition.domain.routing import Target
from cognition.errors import BudgetUnavailable, CacheUnavailable
from cognition.events import BudgetCrossed, Emit
from cognition.ports import Clock, Prices
from cognition.resilience.budget_store import BudgetStore
from cognition.resilience.in_thread import InThread
from cognition.resilience.store_breaker import Guarded
from cognition.services.known_budgets import KnownBudgets
from cognition.services.last_known import LastKnown
from cognition.services.lease_renewal import LeaseRenewal


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """Money of one attempt.

    Attributes:
        attempt: Which one.
        estimate_usd: The most it can cost; None when nobody knows.
        reserved_usd: What was set aside, the most of all budgets; zero when nothing was.
        held: Whether money was set aside, or may have been.
        subjects: Whose budgets pay afterwards, because the store is away; none otherwise.
    """

    attempt: CallAttempt
    estimate_usd: Decimal | None = None
    reserved_usd: Decimal = Decimal(0)
    held: bool = False
    subjects: dict[Scope, str]

    @property
    def pays(self) -> bool:
        """Whether any budget pays for the attempt."""
        return self.held or bool(self.subjects)

    def cost_unless_told(self, cost: Cost | None) -> Cost | None:
        """Return what is booked: the cost or, where a budget pays and nobody told it, what was set aside.

        So rows and budgets always agree, and an attempt of which nothing is known counts as all it may have cost.
        """
        if cost is not None or not self.pays:
            return cost
        if self.estimate_usd is not None:
            return Cost(usd=self.estimate_usd, source="estimate", version="")
        return Cost(usd=self.reserved_usd, source="ceiling", version="") if self.reserved_usd else None


class Downgrade(Exception):
    """A budget lets the call pass with a cheaper model."""

    def __init__(self, instead_of: str, model: str, *, claimed: bool = False) -> None:
        """Name the models, `provider:model`, and say whether money was set aside and given back."""
        super().__init__(model)
        self.instead_of = instead_of
        self.model = model
        self.claimed = claimed


@dataclass(frozen=True, slots=True, kw_only=True)
class SpendingParts:
    """What spending works with.

    Attributes:
        budgets: Where money is set aside.
        known: Which budgets there are.
        renewal: Keeps what is set aside.
        prices: Know what attempts can cost.
        clock: Returns the present time.
        emit: Told when a limit is reached.
        in_thread: Runs a blocking call in a worker thread.
        holder: Names this process, for whoever looks at a stuck reservation.
    """

    budgets: Guarded[BudgetStore]
    known: KnownBudgets
    renewal: LeaseRenewal
    prices: Prices
    clock: Clock
    emit: Emit
    in_thread: InThread
    holder: Callable[[], str]


class Spending:
    """Reserves and releases on the owner loop; what is settled goes through the ledger's buffer."""

    def __init__(self, parts: SpendingParts, last_known: LastKnown | None = None) -> None:
        """Put the parts together.

        Args:
            parts: What spending works with.
            last_known: How counters stood last, for budgets that go by it.
        """
        self._parts = parts
        self._last_known = last_known or LastKnown()
        self._releasing: set[asyncio.Future[None]] = set()

    def refresh(self) -> None:
        """Learn which budgets there are, unless that is known; blocks."""
        self._parts.known.refresh()

    async def reserve(self, call: Call, target: Target, attempt: CallAttempt, avoided: Collection[str]) -> Hold:
        """Set aside the most that an attempt can cost, where budgets apply to it.

        Args:
            call: Who asks, and what.
            target: Whom.
            attempt: Names the attempt.
            avoided: Models that a budget has replaced already in this call.

        Raises:
            BudgetExceeded: A budget has no room for it.
            BudgetUnavailable: The store does not answer, and a budget lets nobody spend then.
            PriceUnknown: A budget limits it, and nobody knows what it costs.
            Downgrade: A budget wants a cheaper model to be asked; nothing is set aside.
        """
        subjects = subjects_of(call.request.tenant, call.attribution, target.model)
        if not self._parts.known.is_fresh:
            await self._parts.in_thread(self._parts.known.refresh)
        applicable = self._parts.known.applicable(subjects)
        if applicable is not None and not applicable:
            return Hold(attempt=attempt, subjects={})
        await self._prefer_cheaper(applicable or (), subjects, {target.model, *avoided})
        estimate = self._parts.prices.most_of(target.request, self._parts.clock())
        claim = Claim(
            attempt=attempt,
            subjects=subjects,
            estimate_usd=estimate.usd,
            holder=self._parts.holder(),
            lease=self._parts.renewal.lease,
        )
        try:
            reservation = await self._claim(claim)
        except CacheUnavailable as error:
            return self._without_store(claim, applicable, error)
        hold = await self._held(claim, reservation, target.model, avoided)
        objection = reservation.objection(target.model, estimate.why)
        if objection is not None:
            raise objection
        return hold

    async def _prefer_cheaper(
        self, applicable: Iterable[tuple[Budget, str]], subjects: dict[Scope, str], avoided: Collection[str]
    ) -> None:
        """Look before anything is set aside whether a budget beyond its soft limit wants a cheaper model.

        Raises:
            Downgrade: One does.
        """
        if not any(budget.on_soft == "downgrade" and budget.downgrade_to not in avoided for budget, _ in applicable):
            return
        for standing in await self._look(subjects) or ():
            cheaper = standing.downgrade_to
            if standing.wants_cheaper and cheaper and cheaper not in avoided:
                raise Downgrade(subjects["model"], cheaper)

    async def may_enter(self, call: Call, target: Target) -> bool:
        """Whether to reserve again what was refused because of what others hold: there is room, or never will be."""
        standings = await self._look(subjects_of(call.request.tenant, call.attribution, target.model))
        estimate = self._parts.prices.most_of(target.request, self._parts.clock()).usd or Decimal(0)
        return not any(estimate > one.remaining_usd and one.fits_alone(estimate) for one in standings or ())

    async def _look(self, subjects: dict[Scope, str]) -> list[Standing] | None:
        """Return how the budgets stand that apply to a call, None while their store is away."""
        budgets = self._parts.budgets
        return await self._parts.in_thread(partial(budgets.call, partial(budgets.store.look, subjects), None))

    def tell(self, tenant: str, reservation: Reservation) -> None:
        """Pass on what a reservation or a settlement says: thresholds that were reached, and how counters stand."""
        self._last_known.remember(reservation)
        for crossing in reservation.crossings:
            self._parts.emit(BudgetCrossed(tenant, crossing))

    def ended(self, hold: Hold) -> None:
        """Prolong an attempt's leases no longer."""
        if hold.held:
            self._parts.renewal.discard(hold.attempt)

    def release(self, hold: Hold) -> None:
        """Give back what is set aside for an attempt that cost nothing; blocks. Failing that, its lease ends."""
        self.ended(hold)
        if hold.held:
            self._parts.budgets.call(partial(self._parts.budgets.store.release, hold.attempt), default=False)

    def after_fork(self) -> None:
        """Start anew after a fork: the lock may have been held."""
        self._last_known.after_fork()

    async def _claim(self, claim: Claim) -> Reservation:
        """Ask the store; what it sets aside for a caller that has gone meanwhile is given back."""
        budgets = self._parts.budgets
        if budgets.breaker.is_open:
            raise CacheUnavailable.of(budgets.store.name, "it did not answer a moment ago")
        claiming = asyncio.ensure_future(self._parts.in_thread(partial(budgets.store.reserve, claim)))
        try:
            return await asyncio.shield(claiming)
        except asyncio.CancelledError:
            claiming.add_done_callback(partial(self._give_back, claim))
            raise
        except CacheUnavailable as error:
            budgets.breaker.trip(error)
            raise

    def _give_back(self, claim: Claim, claimed: asyncio.Future[Reservation]) -> None:
        """Release what was set aside for nobody; what that misses is given back when its lease ends."""
        if claimed.cancelled() or claimed.exception() is not None or not claimed.result().shares:
            return
        hold = Hold(attempt=claim.attempt, held=True, subjects={})
        releasing = asyncio.ensure_future(self._parts.in_thread(partial(self.release, hold)))
        self._releasing.add(releasing)
        releasing.add_done_callback(self._releasing.discard)

    async def _held(self, claim: Claim, reservation: Reservation, model: str, avoided: Collection[str]) -> Hold:
        self.tell(claim.subjects["tenant"], reservation)
        hold = Hold(
            attempt=claim.attempt,
            estimate_usd=claim.estimate_usd,
            reserved_usd=max((share.estimate_usd or Decimal(0) for share in reservation.shares), default=Decimal(0)),
            held=bool(reservation.shares) and reservation.admitted,
            subjects={},
        )
        cheaper = reservation.cheaper_than({model, *avoided})
        if cheaper is not None:
            # First, so that the cheaper one has the room.
            await self._parts.in_thread(partial(self.release, hold))
            raise Downgrade(model, cheaper, claimed=hold.held)
        if hold.held:
            self._parts.renewal.add(claim.attempt)
        return hold

    def _without_store(
        self, claim: Claim, applicable: list[tuple[Budget, str]] | None, error: CacheUnavailable
    ) -> Hold:
        """Decide by the budgets' own rules for a store that is away; money may have been set aside all the same."""
        counters = applicable or []
        closed = applicable is None or any(_is_closed(budget, claim.estimate_usd) for budget, _ in counters)
        remembered = [pair for pair in counters if pair[0].on_store_down == "last_known"]
        if closed or self._last_known.spend(remembered, claim.estimate_usd) is not None:
            store = self._parts.budgets.store.name
            raise BudgetUnavailable(
                f"A budget limits this call and its store {store} does not answer; try later, or write"
                " on_store_down='open' or 'last_known' in the budget.",
                store=store,
            ) from error
        return Hold(attempt=claim.attempt, estimate_usd=claim.estimate_usd, held=True, subjects=dict(claim.subjects))


def _is_closed(budget: Budget, estimate_usd: Decimal | None) -> bool:
    """Whether a budget lets nobody spend that much while its store is away."""
    return budget.on_store_down == "closed" or (estimate_usd is None and budget.on_unknown_price == "refuse")
