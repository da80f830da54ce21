"""Budgets in memory."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID, uuid4

from cognition.adapters.memory.ledger import MemoryLedger
from cognition.domain.budget import Budget, Scope, usd
from cognition.domain.budget_period import Span, period_at, window_at
from cognition.domain.ledger import NOTHING, LedgerBatch
from cognition.domain.reservation import (
    CallAttempt,
    Claim,
    Outcome,
    Reservation,
    ReservationState,
    Share,
    Standing,
)
from cognition.ports import Clock, Ledger

_ZERO = Decimal(0)
_HARD = Decimal(1)


@dataclass(slots=True)
class _Counter:
    budget_id: UUID
    subject: str
    period: Span
    used: Decimal = _ZERO
    reserved: Decimal = _ZERO


@dataclass(slots=True)
class _Held:
    """One reservation in one budget."""

    budget_id: UUID
    counter: _Counter
    estimate: Decimal
    lease_until: datetime
    state: ReservationState = "held"
    settled: Decimal | None = None

    def end(self, state: ReservationState) -> None:
        if self.state == "held":
            self.counter.reserved -= self.estimate
        self.state = state


@dataclass(slots=True)
class _Books:
    budgets: dict[UUID, Budget] = field(default_factory=dict[UUID, Budget])
    counters: dict[tuple[UUID, str], list[_Counter]] = field(default_factory=dict[tuple[UUID, str], list[_Counter]])
    reservations: dict[CallAttempt, list[_Held]] = field(default_factory=dict[CallAttempt, list[_Held]])
    alerted: list[tuple[_Counter, Decimal, Decimal]] = field(default_factory=list[tuple[_Counter, Decimal, Decimal]])


class MemoryBudgets:
    """The budgets of one tenant, shared by the threads of one process."""

    name = "memory"

    def __init__(self, clock: Clock, ledger: Ledger | None = None) -> None:
        """Start without budgets.

        Args:
            clock: Decides which period it is, and when a lease ends.
            ledger: Takes the rows of settlements; one of its own unless given.
        """
        self._clock = clock
        self._ledger = ledger or MemoryLedger()
        self._lock = threading.RLock()
        self._books = _Books()

    def reserve(self, claim: Claim) -> Reservation:
        """Set money aside in every budget that applies, or in none."""
        with self._lock:
            if claim.attempt in self._books.reservations:
                return self._repeated(claim.attempt)
            self.expire()
            weighed = [(*pair, self._weigh(*pair, claim)) for pair in self._applicable(claim.subjects)]
            if any(share.outcome != "held" for _, _, share in weighed):
                return Reservation(tuple(self._refused(*one) for one in weighed))
            until = self._clock() + claim.lease
            for budget, counter, share in weighed:
                held = _Held(_id_of(budget), counter, share.estimate_usd or _ZERO, until)
                counter.reserved += held.estimate
                self._books.reservations.setdefault(claim.attempt, []).append(held)
            return Reservation(tuple(replace(share, changed=True) for _, _, share in weighed))

    def settle(self, attempt: CallAttempt, cost_usd: Decimal | None, batch: LedgerBatch = NOTHING) -> Reservation:
        """Book what an attempt cost and write its ledger rows.

        Raises:
            LedgerConflict: A row with other contents already stands in the ledger; nothing was booked.
        """
        cost = None if cost_usd is None else usd("cost_usd", cost_usd)
        with self._lock:
            if batch is not NOTHING:
                self._ledger.record(batch)
            changed: list[_Held] = []
            for held in self._books.reservations.get(attempt, ()):
                if held.settled is not None:
                    continue
                held.settled = held.estimate if cost is None else cost
                held.end("settled" if held.state == "held" else "late")
                held.counter.used += held.settled
                changed.append(held)
            return self._repeated(attempt, changed)

    def book(
        self,
        attempt: CallAttempt,
        subjects: Mapping[Scope, str],
        cost_usd: Decimal | None,
        at: datetime,
        batch: LedgerBatch = NOTHING,
    ) -> Reservation:
        """Book an attempt for which nothing could be set aside, and write its ledger rows.

        Raises:
            LedgerConflict: A row with other contents already stands in the ledger; nothing was booked.
        """
        with self._lock:
            if attempt in self._books.reservations:
                return self.settle(attempt, cost_usd, batch)
            cost = None if cost_usd is None else usd("cost_usd", cost_usd)
            if batch is not NOTHING:
                self._ledger.record(batch)
            booked: list[_Held] = []
            for budget, counter in self._applicable(subjects, at):
                amount = (budget.price_ceiling_usd or _ZERO) if cost is None else cost
                booked.append(_Held(_id_of(budget), counter, amount, self._clock(), "late", amount))
                counter.used += amount
            if booked:
                self._books.reservations[attempt] = booked
            return self._repeated(attempt, booked)

    def release(self, attempt: CallAttempt) -> bool:
        """Give back what is set aside for an attempt that cost nothing; return whether anything was."""
        with self._lock:
            held = [one for one in self._books.reservations.get(attempt, ()) if one.state == "held"]
            for one in held:
                one.end("released")
            return bool(held)

    def renew(self, attempts: Sequence[CallAttempt], lease: timedelta) -> set[CallAttempt]:
        """Prolong leases from now on; return the attempts that still hold money."""
        with self._lock:
            until = self._clock() + lease
            renewed: set[CallAttempt] = set()
            for attempt in attempts:
                for held in self._books.reservations.get(attempt, ()):
                    if held.state == "held":
                        held.lease_until = max(held.lease_until, until)
                        renewed.add(attempt)
            return renewed

    def expire(self) -> int:
        """Give back what ended leases hold, in all budgets; return how many."""
        with self._lock:
            now = self._clock()
            every = (held for shares in self._books.reservations.values() for held in shares)
            ended = [held for held in every if held.state == "held" and held.lease_until <= now]
            for held in ended:
                held.end("expired")
            return len(ended)

    def look(self, subjects: Mapping[Scope, str]) -> list[Standing]:
        """Return how the budgets stand that apply to a call; nothing is set aside."""
        with self._lock:
            self.expire()
            return [self._standing(*pair) for pair in self._applicable(subjects)]

    def put(self, budget: Budget, actor: str) -> UUID:
        """Keep a budget; one of the same scope, subject, period and length is changed, what was spent stays spent."""
        del actor
        with self._lock:
            same = (one for one in self._books.budgets.values() if _identity(one) == _identity(budget))
            known = next(same, None)
            budget_id = uuid4() if known is None else _id_of(known)
            self._books.budgets[budget_id] = replace(budget, budget_id=budget_id)
            return budget_id

    def budgets(self) -> list[Budget]:
        """Return all budgets, ordered by scope, subject, period and length."""
        with self._lock:
            return sorted(self._books.budgets.values(), key=_identity)

    def ping(self) -> None:
        """Return; memory always answers."""

    # -- what the SQL functions do in the database --------------------------------------------------------------------

    def _applicable(self, subjects: Mapping[Scope, str], at: datetime | None = None) -> list[tuple[Budget, _Counter]]:
        found: list[tuple[Budget, _Counter]] = []
        for budget_id, budget in sorted(self._books.budgets.items()):
            if (subject := budget.counts_for(subjects)) is not None:
                period = period_at(budget, at or self._clock())
                counters = self._books.counters.setdefault((budget_id, subject), [])
                known = next((one for one in counters if one.period.start == period.start), None)
                if known is None:
                    counters.append(known := _Counter(budget_id, subject, period))
                found.append((budget, known))
        return found

    def _standing(self, budget: Budget, counter: _Counter) -> Standing:
        # A late settlement asks about a period that is over.
        moment = self._clock() if budget.period == "rolling" else counter.period.start
        window = window_at(budget, moment)
        counted = [one for one in self._books.counters[_id_of(budget), counter.subject] if one.period.overlaps(window)]
        resets_at = window.end
        if budget.period == "rolling":
            ends = [one.period.end for one in counted if one.used + one.reserved and one.period.end]
            resets_at = min(ends) + budget.length if ends else None
        return Standing(
            budget_id=_id_of(budget),
            scope=budget.scope,
            subject=counter.subject,
            period=budget.period,
            limit_usd=budget.limit_usd,
            credit_usd=_ZERO,
            used_usd=sum((one.used for one in counted), _ZERO),
            reserved_usd=sum((one.reserved for one in counted), _ZERO),
            soft_limit=budget.soft_limit,
            on_soft=budget.on_soft,
            on_hard=budget.on_hard,
            downgrade_to=budget.downgrade_to,
            period_start=counter.period.start,
            resets_at=resets_at,
        )

    def _weigh(self, budget: Budget, counter: _Counter, claim: Claim) -> Share:
        standing = self._standing(budget, counter)
        estimate = claim.estimate_usd
        if estimate is None:
            estimate = {"ceiling": budget.price_ceiling_usd, "allow": _ZERO, "refuse": None}[budget.on_unknown_price]
        outcome: Outcome = "unpriced"
        if estimate is not None:
            outcome = "held" if estimate <= standing.remaining_usd else "refused"
        return Share(standing=standing, outcome=outcome, estimate_usd=estimate)

    def _refused(self, budget: Budget, counter: _Counter, share: Share) -> Share:
        if share.outcome == "held":
            return replace(share, outcome="room")
        return replace(share, crossed=self._alerts(budget, counter, share)) if share.outcome == "refused" else share

    def _repeated(self, attempt: CallAttempt, changed: Sequence[_Held] = ()) -> Reservation:
        shares: list[Share] = []
        for held in self._books.reservations.get(attempt, ()):
            budget = self._books.budgets[held.budget_id]
            share = Share(
                standing=self._standing(budget, held.counter),
                outcome=held.state,
                estimate_usd=held.estimate,
                settled_usd=held.settled,
                changed=any(held is one for one in changed),
            )
            crossed = self._alerts(budget, held.counter, share) if share.changed else ()
            shares.append(replace(share, crossed=crossed))
        return Reservation(tuple(shares))

    def _alerts(self, budget: Budget, counter: _Counter, share: Share) -> tuple[Decimal, ...]:
        standing, refused = share.standing, share.outcome == "refused"
        spoken_for = standing.used_usd + (standing.reserved_usd if refused else _ZERO)
        if spoken_for < budget.soft_limit * standing.total_usd:
            return ()
        due = {budget.soft_limit}
        if refused or standing.used_usd >= standing.total_usd:
            due.add(_HARD)
        since = min(counter.period.start, window_at(budget, self._clock()).start)
        known = {
            threshold
            for told, threshold, total in self._books.alerted
            if told.budget_id == counter.budget_id
            and told.subject == counter.subject
            and told.period.start >= since
            and total == standing.total_usd
        }
        new = tuple(sorted(due - known))
        self._books.alerted += [(counter, threshold, standing.total_usd) for threshold in new]
        return new


def _identity(budget: Budget) -> tuple[str, str, str, timedelta]:
    return budget.scope, budget.subject, budget.period, budget.length


def _id_of(budget: Budget) -> UUID:
    if budget.budget_id is None:
        raise AssertionError("Budgets are kept with their id.")
    return budget.budget_id
