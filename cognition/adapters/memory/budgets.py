"""Budgets in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID, uuid4

from cognition.adapters.memory.budget_books import ZERO, BudgetBooks, CounterBook, HeldBook, id_of, identity
from cognition.adapters.memory.ledger import MemoryLedger
from cognition.domain.budget import Budget, Scope
from cognition.domain.ledger import NOTHING, LedgerBatch
from cognition.domain.reservation import CallAttempt, Claim, Outcome, Reservation, Share, Standing
from cognition.domain.settlement import bookable
from cognition.ports import Clock, Ledger
from cognition.resilience.budget_store import Kept


class MemoryBudgets:
    """The budgets of one tenant, shared by the threads of one process."""

    name = "memory"

    def __init__(self, clock: Clock, ledger: Ledger | None = None) -> None:
        """Start without budgets.

        Args:
            clock: Decides which period it is, and when a lease ends.
            ledger: Takes the rows of settlements; one of its own unless given.
        """
        self._ledger = ledger or MemoryLedger()
        self._books = BudgetBooks(clock=clock)

    @property
    def books(self) -> BudgetBooks:
        """Everything that is known, for `MemoryBudgetAdmin`."""
        return self._books

    def reserve(self, claim: Claim) -> Reservation:
        """Set money aside in every budget that applies, or in none."""
        with self._books.lock:
            if claim.attempt in self._books.reservations:
                return self._repeated(claim.attempt)
            self._books.expire()
            now = self._books.clock()
            weighed = [(*pair, self._weigh(*pair, claim)) for pair in self._books.applicable(claim.subjects)]
            if any(share.outcome != "held" for _, _, share in weighed):
                return Reservation(tuple(self._refused(*one) for one in weighed))
            for _, counter, share in weighed:
                held = HeldBook(counter=counter, estimate=share.estimate_usd or ZERO, lease_until=now + claim.lease)
                counter.reserved += held.estimate
                counter.touched_at = now
                self._books.reservations.setdefault(claim.attempt, []).append(held)
            return Reservation(tuple(replace(share, changed=True) for _, _, share in weighed))

    def settle(self, attempt: CallAttempt, cost_usd: Decimal | None, batch: LedgerBatch = NOTHING) -> Reservation:
        """Book what an attempt cost and write its ledger rows.

        Raises:
            LedgerConflict: A row with other contents already stands in the ledger; nothing was booked.
        """
        cost = bookable(cost_usd)
        with self._books.lock:
            if batch is not NOTHING:
                self._ledger.record(batch)
            now = self._books.clock()
            changed: list[HeldBook] = []
            for held in self._books.reservations.get(attempt, ()):
                if held.settled is not None:
                    continue
                held.settled = held.estimate if cost is None else cost
                held.end("settled" if held.state == "held" else "late", now)
                held.counter.used += held.settled
                held.counter.calls += 1
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
        with self._books.lock:
            if attempt in self._books.reservations:
                return self.settle(attempt, cost_usd, batch)
            cost = bookable(cost_usd)
            if batch is not NOTHING:
                self._ledger.record(batch)
            now = self._books.clock()
            booked: list[HeldBook] = []
            for budget, counter in self._books.applicable(subjects, at):
                amount = (budget.price_ceiling_usd or ZERO) if cost is None else cost
                held = HeldBook(counter=counter, estimate=amount, lease_until=now, state="late", settled=amount)
                held.end("late", now)
                counter.used += amount
                counter.calls += 1
                booked.append(held)
            if booked:
                self._books.reservations[attempt] = booked
            return self._repeated(attempt, booked)

    def release(self, attempt: CallAttempt) -> bool:
        """Give back what is set aside for an attempt that cost nothing; return whether anything was."""
        with self._books.lock:
            held = [one for one in self._books.reservations.get(attempt, ()) if one.state == "held"]
            for one in held:
                one.end("released", self._books.clock())
            return bool(held)

    def renew(self, attempts: Sequence[CallAttempt], lease: timedelta) -> set[CallAttempt]:
        """Prolong leases from now on; return the attempts that still hold money."""
        with self._books.lock:
            until = self._books.clock() + lease
            renewed: set[CallAttempt] = set()
            for attempt in attempts:
                for held in self._books.reservations.get(attempt, ()):
                    if held.state == "held":
                        held.lease_until = max(held.lease_until, until)
                        renewed.add(attempt)
            return renewed

    def expire(self) -> int:
        """Give back what ended leases hold, in all budgets; return how many."""
        with self._books.lock:
            return self._books.expire()

    def look(self, subjects: Mapping[Scope, str]) -> list[Standing]:
        """Return how the budgets stand that apply to a call; nothing is set aside."""
        with self._books.lock:
            self._books.expire()
            return [self._books.standing(*pair) for pair in self._books.applicable(subjects)]

    def put(self, budget: Budget, actor: str) -> UUID:
        """Keep a budget; one of the same scope, subject, period and length is changed, what was spent stays spent."""
        del actor
        with self._books.lock:
            same = (one for one in self._books.budgets.values() if identity(one) == identity(budget))
            known = next(same, None)
            budget_id = uuid4() if known is None else id_of(known)
            self._books.budgets[budget_id] = replace(budget, budget_id=budget_id)
            return budget_id

    def budgets(self) -> list[Budget]:
        """Return all budgets, ordered by scope, subject, period and length."""
        with self._books.lock:
            return sorted(self._books.budgets.values(), key=identity)

    def kept(self) -> Kept:
        """Return all budgets; in memory every one can be read."""
        return Kept(self.budgets())

    def version(self) -> str:
        """Return what changes whenever a budget does."""
        with self._books.lock:
            return str(hash(tuple(self._books.budgets.values())))

    def ping(self) -> None:
        """Return; memory always answers."""

    # -- what the SQL functions do in the database --------------------------------------------------------------------

    def _weigh(self, budget: Budget, counter: CounterBook, claim: Claim) -> Share:
        counter.touched_at = counter.touched_at or self._books.clock()
        standing = self._books.standing(budget, counter)
        estimate = claim.estimate_usd
        if estimate is None:
            estimate = {"ceiling": budget.price_ceiling_usd, "allow": ZERO, "refuse": None}[budget.on_unknown_price]
        outcome: Outcome = "unpriced"
        if estimate is not None:
            outcome = "held" if estimate <= standing.remaining_usd else "refused"
        return Share(standing=standing, outcome=outcome, estimate_usd=estimate)

    def _refused(self, budget: Budget, counter: CounterBook, share: Share) -> Share:
        match share.outcome:
            case "held":
                return replace(share, outcome="room")
            case "refused":
                return replace(share, crossed=self._books.alert(budget, counter, share))
            case _:
                return share

    def _repeated(self, attempt: CallAttempt, changed: Sequence[HeldBook] = ()) -> Reservation:
        shares: list[Share] = []
        for held in self._books.reservations.get(attempt, ()):
            budget = self._books.budgets[held.counter.name.budget_id]
            share = Share(
                standing=self._books.standing(budget, held.counter),
                outcome=held.state,
                estimate_usd=held.estimate,
                settled_usd=held.settled,
                changed=any(held is one for one in changed),
            )
            crossed = self._books.alert(budget, held.counter, share) if share.changed else ()
            shares.append(replace(share, crossed=crossed))
        return Reservation(tuple(shares))
