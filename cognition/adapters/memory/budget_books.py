"""What budgets in memory consist of, and how one of their counters stands."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID, uuid4

from cognition.domain.adjustment import Adjustment, CounterName
from cognition.domain.budget import Budget, Scope
from cognition.domain.budget_alert import Alert
from cognition.domain.budget_period import Span, period_at, window_at
from cognition.domain.reservation import CallAttempt, ReservationState, Share, Standing
from cognition.ports import Clock

ZERO = Decimal(0)
_HARD = Decimal(1)


@dataclass(slots=True, kw_only=True)
class CounterBook:
    """One period of one subject."""

    name: CounterName
    period: Span
    used: Decimal = ZERO
    reserved: Decimal = ZERO
    credit: Decimal = ZERO
    purged: Decimal = ZERO
    calls: int = 0
    closed_at: datetime | None = None
    touched_at: datetime | None = None


@dataclass(slots=True, kw_only=True)
class HeldBook:
    """One reservation in one budget."""

    counter: CounterBook
    estimate: Decimal
    lease_until: datetime
    state: ReservationState = "held"
    settled: Decimal | None = None
    ended_at: datetime | None = None

    def end(self, state: ReservationState, now: datetime) -> None:
        """Let go of the money."""
        if self.state == "held":
            self.counter.reserved -= self.estimate
        self.state = state
        self.ended_at = self.ended_at or now
        self.counter.touched_at = now


@dataclass(slots=True, kw_only=True)
class BudgetBooks:
    """Everything that is known of the budgets of one tenant.

    Attributes:
        clock: Decides which period it is, and when a lease ends.
        lock: Held by whoever reads or changes anything.
        budgets: By id.
        counters: All periods of each subject.
        reservations: Those of each attempt.
        alerts: By id, oldest first.
        deliver_after: When an alert may be delivered next; none that was delivered.
        adjustments: Oldest first.
    """

    clock: Clock
    lock: threading.RLock = field(default_factory=threading.RLock)
    budgets: dict[UUID, Budget] = field(default_factory=dict[UUID, Budget])
    counters: dict[CounterName, list[CounterBook]] = field(default_factory=dict[CounterName, list[CounterBook]])
    reservations: dict[CallAttempt, list[HeldBook]] = field(default_factory=dict[CallAttempt, list[HeldBook]])
    alerts: dict[UUID, Alert] = field(default_factory=dict[UUID, Alert])
    deliver_after: dict[UUID, datetime] = field(default_factory=dict[UUID, datetime])
    adjustments: list[Adjustment] = field(default_factory=list[Adjustment])

    def counter_of(self, budget: Budget, subject: str, at: datetime | None = None) -> CounterBook:
        """Return the counter of the period that contains a moment, by default the present one."""
        name, period = CounterName(id_of(budget), subject), period_at(budget, at or self.clock())
        counters = self.counters.setdefault(name, [])
        known = next((one for one in counters if one.period.start == period.start), None)
        if known is None:
            counters.append(known := CounterBook(name=name, period=period))
        return known

    def applicable(self, subjects: Mapping[Scope, str], at: datetime | None = None) -> list[tuple[Budget, CounterBook]]:
        """Return the budgets that a call must fit into, with the counters that it uses at a moment, by default now."""
        named = ((budget, budget.counts_for(subjects)) for _, budget in sorted(self.budgets.items()))
        return [(budget, self.counter_of(budget, subject, at)) for budget, subject in named if subject is not None]

    def counted(self, budget: Budget, counter: CounterBook) -> list[CounterBook]:
        """Return the counters that count together with one; a late settlement asks about a period that is over."""
        window = self._window(budget, counter)
        return [one for one in self.counters[counter.name] if one.period.overlaps(window)]

    def expire(self) -> int:
        """Give back what ended leases hold; return how many."""
        now = self.clock()
        every = (held for shares in self.reservations.values() for held in shares)
        ended = [held for held in every if held.state == "held" and held.lease_until <= now]
        for held in ended:
            held.end("expired", now)
        return len(ended)

    def standing(self, budget: Budget, counter: CounterBook) -> Standing:
        """Return how a budget stands."""
        counted = self.counted(budget, counter)
        resets_at = self._window(budget, counter).end
        if budget.period == "rolling":
            ends = [one.period.end for one in counted if one.used + one.reserved and one.period.end]
            resets_at = min(ends) + budget.length if ends else None
        return Standing(
            budget_id=id_of(budget),
            scope=budget.scope,
            subject=counter.name.subject,
            period=budget.period,
            limit_usd=budget.limit_usd,
            credit_usd=sum((one.credit for one in counted), ZERO),
            used_usd=sum((one.used for one in counted), ZERO),
            reserved_usd=sum((one.reserved for one in counted), ZERO),
            soft_limit=budget.soft_limit,
            on_soft=budget.on_soft,
            on_hard=budget.on_hard,
            downgrade_to=budget.downgrade_to,
            period_start=counter.period.start,
            resets_at=resets_at,
        )

    def alert(self, budget: Budget, counter: CounterBook, share: Share) -> tuple[Decimal, ...]:
        """Raise the alerts of a budget that are due and return their thresholds."""
        standing, refused = share.standing, share.outcome == "refused"
        if (refused and share.is_full_for_now) or standing.used_usd < budget.soft_limit * standing.total_usd:
            return ()
        due = {budget.soft_limit}
        if refused or standing.used_usd >= standing.total_usd:
            due.add(_HARD)
        since = min(counter.period.start, window_at(budget, self.clock()).start)
        known = {
            told.threshold
            for told in self.alerts.values()
            if CounterName(told.budget_id, told.subject) == counter.name
            and told.period_start >= since
            and told.limit_usd == standing.total_usd
        }
        new = tuple(sorted(due - known))
        for threshold in new:
            self._raise(standing, threshold)
        return new

    def _raise(self, standing: Standing, threshold: Decimal) -> None:
        alert = Alert(
            alert_id=uuid4(),
            budget_id=standing.budget_id,
            scope=standing.scope,
            subject=standing.subject,
            period=standing.period,
            period_start=standing.period_start,
            threshold=threshold,
            limit_usd=standing.total_usd,
            used_usd=standing.used_usd,
            reserved_usd=standing.reserved_usd,
            state="open",
            acknowledged_by=None,
            acknowledged_at=None,
            note=None,
            resolved_at=None,
            deliveries=0,
            delivered_at=None,
            created_at=self.clock(),
        )
        self.alerts[alert.alert_id] = alert
        self.deliver_after[alert.alert_id] = alert.created_at

    def _window(self, budget: Budget, counter: CounterBook) -> Span:
        return window_at(budget, self.clock() if budget.period == "rolling" else counter.period.start)


def identity(budget: Budget) -> tuple[str, str, str, timedelta]:
    """Return what makes a budget the same one."""
    return budget.scope, budget.subject, budget.period, budget.length


def id_of(budget: Budget) -> UUID:
    """Return the id of a budget that is kept."""
    if budget.budget_id is None:
        raise AssertionError("Budgets are kept with their id.")
    return budget.budget_id
