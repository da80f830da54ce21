"""What people and maintenance do to budgets in memory."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID, uuid4

from cognition.adapters.memory.budget_books import ZERO, CounterBook
from cognition.adapters.memory.budgets import MemoryBudgets
from cognition.adapters.memory.ledger import MemoryLedger
from cognition.domain.adjustment import Adjustment, AdjustmentKind, ClosedPeriod, CounterName, Drift, Lapsed, Mandate
from cognition.domain.budget import EVERYONE, Budget, Scope
from cognition.domain.budget_alert import Alert, AlertState
from cognition.domain.forecast import HourlySpend
from cognition.domain.ledger import LedgerRow, hour_of
from cognition.domain.reservation import CallAttempt, Standing, subjects_of

_NEVER = datetime.min.replace(tzinfo=UTC)
_LONGEST_WAIT = timedelta(hours=1)


class MemoryBudgetAdmin:
    """The budgets of a `MemoryBudgets`, as far as people and maintenance are concerned."""

    def __init__(self, budgets: MemoryBudgets, ledger: MemoryLedger) -> None:
        """Work on the books of a store.

        Args:
            budgets: The store.
            ledger: The ledger beside it.
        """
        self._budgets = budgets
        self._books = budgets.books
        self._ledger = ledger

    def standings(self, limit: int) -> list[Standing]:
        """Return how counters of the active budgets stand, the latest used ones first."""
        with self._books.lock:
            self._books.expire()
            found: list[tuple[int, Budget, CounterBook]] = []
            for _, budget in sorted(self._books.budgets.items()):
                if budget.active:
                    counters = [self._books.counter_of(budget, subject) for subject in sorted(self._subjects(budget))]
                    counters.sort(key=_last_use, reverse=True)
                    found.extend((place, budget, counter) for place, counter in enumerate(counters))
            found.sort(key=lambda one: _last_use(one[2]), reverse=True)
            told = sorted(found, key=lambda one: one[0])[:limit]
            told.sort(key=lambda one: _last_use(one[2]), reverse=True)
            return [self._books.standing(budget, counter) for _, budget, counter in told]

    def spend_by_hour(self, scope: Scope, subject: str, since: datetime) -> list[HourlySpend]:
        """Return what the ledger says one subject spent, hour by hour, oldest first."""
        hours: defaultdict[datetime, list[Decimal]] = defaultdict(list)
        for row in self._ledger.rows:
            spent = row.cost.usd if row.cost else ZERO
            whose = subjects_of(row.tenant, row.attribution, row.model).get(scope)
            if spent and row.created_at >= since and whose == subject:
                hours[hour_of(row.created_at).astimezone(UTC)].append(spent)
        return [HourlySpend(hour, sum(spent, ZERO), len(spent)) for hour, spent in sorted(hours.items())]

    # -- adjustments --------------------------------------------------------------------------------------------------

    def reset(self, counter: CounterName, mandate: Mandate) -> list[Adjustment]:
        """Let one subject spend anew: what it used becomes credit, and its alerts are resolved."""
        with self._books.lock:
            budget = self._books.budgets.get(counter.budget_id)
            if budget is None:
                return []
            made: list[Adjustment] = []
            current = self._books.counter_of(budget, counter.subject)
            for one in self._books.counted(budget, current):
                self._resolve_all(one)
                amount = one.used - self._given(one, "reset")
                if amount:
                    made.append(self._credit(one, "reset", amount, mandate))
            return made

    def raise_limit(self, counter: CounterName, amount_usd: Decimal, mandate: Mandate) -> list[Adjustment]:
        """Give one subject more to spend in the present period; of a rolling budget, for as long as its window is."""
        with self._books.lock:
            budget = self._books.budgets.get(counter.budget_id)
            if budget is None:
                return []
            current = self._books.counter_of(budget, counter.subject)
            return [self._credit(current, "raise", amount_usd, mandate)]

    def transfer(
        self, source: CounterName, target: CounterName, amount_usd: Decimal, mandate: Mandate
    ) -> list[Adjustment]:
        """Move money from one subject's present period to another one's; nothing when the source has less left."""
        with self._books.lock:
            self._books.expire()
            budgets = [self._books.budgets.get(one.budget_id) for one in (source, target)]
            if budgets[0] is None or budgets[1] is None:
                return []
            giving = self._books.counter_of(budgets[0], source.subject)
            taking = self._books.counter_of(budgets[1], target.subject)
            if self._books.standing(budgets[0], giving).remaining_usd < amount_usd:
                return []
            given = self._credit(giving, "transfer", -amount_usd, mandate, uuid4())
            return [given, self._credit(taking, "transfer", amount_usd, mandate, given.transfer_id)]

    def adjustments(self, limit: int) -> list[Adjustment]:
        """Return the latest adjustments, newest first."""
        with self._books.lock:
            return self._books.adjustments[::-1][:limit]

    # -- alerts -------------------------------------------------------------------------------------------------------

    def alerts(self, states: Collection[AlertState], limit: int) -> list[Alert]:
        """Return the latest alerts in some states, newest first."""
        with self._books.lock:
            return [one for one in reversed(self._books.alerts.values()) if one.state in states][:limit]

    def acknowledge(self, alert_id: UUID, by: str, note: str) -> Alert | None:
        """Take notice of an open alert; return how it stands now, None when there is none of this id."""
        with self._books.lock:
            alert = self._books.alerts.get(alert_id)
            if alert is None or alert.state != "open":
                return alert
            self._books.alerts[alert_id] = replace(self._noticed(alert, by, note), state="acknowledged")
            return self._books.alerts[alert_id]

    def resolve(self, alert_id: UUID, by: str, note: str) -> Alert | None:
        """End an alert; return how it stands now, None when there is none of this id."""
        with self._books.lock:
            alert = self._books.alerts.get(alert_id)
            if alert is None or alert.state == "resolved":
                return alert
            self._books.alerts[alert_id] = _ended(self._noticed(alert, by, note), self._books.clock())
            return self._books.alerts[alert_id]

    def claim_alerts(self, limit: int) -> list[Alert]:
        """Return alerts that are to be delivered, oldest first, and give them to nobody else for a while."""
        with self._books.lock:
            now = self._books.clock()
            due = [one for one, after in self._books.deliver_after.items() if after <= now][:limit]
            for alert_id in due:
                alert = self._books.alerts[alert_id]
                self._books.alerts[alert_id] = replace(alert, deliveries=alert.deliveries + 1)
                wait = timedelta(minutes=2 ** min(alert.deliveries, 6))
                self._books.deliver_after[alert_id] = now + min(wait, _LONGEST_WAIT)
            return [self._books.alerts[alert_id] for alert_id in due]

    def mark_delivered(self, alert_id: UUID) -> None:
        """Say that an alert was delivered, so that nobody gets it any more."""
        with self._books.lock:
            if self._books.deliver_after.pop(alert_id, None) is not None:
                alert = self._books.alerts[alert_id]
                self._books.alerts[alert_id] = replace(alert, delivered_at=self._books.clock())

    # -- maintenance --------------------------------------------------------------------------------------------------

    def close_periods(self, limit: int) -> list[ClosedPeriod]:
        """Close up to `limit` periods that are over and in which nobody holds money, and resolve their alerts."""
        with self._books.lock:
            self._books.expire()
            now = self._books.clock()
            due = [
                one
                for name, counters in sorted(self._books.counters.items())
                for one in counters
                if one.closed_at is None
                and not one.reserved
                and one.period.end is not None
                and one.period.end + self._books.budgets[name.budget_id].length <= now
            ]
            return [self._close(one, now) for one in due[:limit]]

    def lapsed(self, age: timedelta) -> Lapsed:
        """Return what is still set aside though its lease ended so long ago."""
        with self._books.lock:
            until = self._books.clock() - age
            held = [
                max(one.estimate for one in shares)
                for shares in self._books.reservations.values()
                if any(one.state == "held" and one.lease_until <= until for one in shares)
            ]
            return Lapsed(len(held), sum(held, ZERO))

    def reconcile(self, repair: Mandate | None) -> list[Drift]:
        """Return the counters that differ from what explains them, as found; repair them when somebody says so."""
        with self._books.lock:
            rows = {CallAttempt(row.call_key, row.attempt): row for row in self._ledger.rows}
            every = [one for _, counters in sorted(self._books.counters.items()) for one in counters]
            found = [(one, self._compare(one, rows)) for one in every]
            drifting = [(one, drift) for one, drift in found if drift.repairable or drift.missing_rows]
            if repair is not None:
                self._repair(drifting, rows, repair)
            return [drift for _, drift in drifting]

    def purge(self, older_than: timedelta, limit: int) -> int:
        """Delete up to `limit` reservations that ended so long ago; return how many."""
        with self._books.lock:
            until = self._books.clock() - older_than
            old = [
                (attempt, held)
                for attempt, shares in self._books.reservations.items()
                for held in shares
                if held.ended_at is not None and held.ended_at <= until
            ][:limit]
            for attempt, held in old:
                held.counter.purged += held.settled or ZERO
                self._books.reservations[attempt].remove(held)
                if not self._books.reservations[attempt]:
                    del self._books.reservations[attempt]
            return len(old)

    # -- what the SQL functions do in the database --------------------------------------------------------------------

    def _subjects(self, budget: Budget) -> set[str]:
        since = self._books.clock() - budget.length
        used = {
            name.subject
            for name, counters in self._books.counters.items()
            if name.budget_id == budget.budget_id
            and any(one.touched_at and (one.period.end is None or one.period.end > since) for one in counters)
        }
        return used if budget.subject == EVERYONE else used | {budget.subject}

    def _given(self, counter: CounterBook, kind: AdjustmentKind | None = None) -> Decimal:
        return sum((one.amount_usd for one in self._of(counter) if kind in (None, one.kind)), ZERO)

    def _of(self, counter: CounterBook) -> list[Adjustment]:
        return [
            one
            for one in self._books.adjustments
            if CounterName(one.budget_id, one.subject) == counter.name and one.period_start == counter.period.start
        ]

    def _credit(
        self, counter: CounterBook, kind: AdjustmentKind, amount: Decimal, mandate: Mandate, pair: UUID | None = None
    ) -> Adjustment:
        made = Adjustment(
            adjustment_id=uuid4(),
            budget_id=counter.name.budget_id,
            subject=counter.name.subject,
            period_start=counter.period.start,
            kind=kind,
            amount_usd=amount,
            transfer_id=pair,
            actor=mandate.actor,
            reason=mandate.reason,
            created_at=self._books.clock(),
        )
        counter.credit += amount
        self._books.adjustments.append(made)
        return made

    def _noticed(self, alert: Alert, by: str, note: str) -> Alert:
        return replace(
            alert,
            acknowledged_by=alert.acknowledged_by or by,
            acknowledged_at=alert.acknowledged_at or self._books.clock(),
            note=note or alert.note,
        )

    def _resolve_all(self, counter: CounterBook) -> int:
        now = self._books.clock()
        ended = [
            _ended(one, now)
            for one in self._books.alerts.values()
            if one.state != "resolved"
            and CounterName(one.budget_id, one.subject) == counter.name
            and one.period_start == counter.period.start
        ]
        self._books.alerts.update({one.alert_id: one for one in ended})
        return len(ended)

    def _close(self, counter: CounterBook, now: datetime) -> ClosedPeriod:
        if counter.period.end is None:
            raise AssertionError("A lifetime does not end.")
        counter.closed_at = now
        budget = self._books.budgets[counter.name.budget_id]
        return ClosedPeriod(
            budget_id=counter.name.budget_id,
            scope=budget.scope,
            subject=counter.name.subject,
            period=budget.period,
            period_start=counter.period.start,
            period_end=counter.period.end,
            limit_usd=budget.limit_usd,
            credit_usd=counter.credit,
            used_usd=counter.used,
            calls=counter.calls,
            alerts_resolved=self._resolve_all(counter),
        )

    def _repair(
        self, drifting: Sequence[tuple[CounterBook, Drift]], rows: Mapping[CallAttempt, LedgerRow], repair: Mandate
    ) -> None:
        for one, drift in drifting:
            one.reserved, one.credit = drift.held_usd, drift.adjusted_usd
        for one, _ in drifting:
            for attempt, row in self._unbooked(one, rows):
                self._budgets.settle(attempt, row.cost.usd if row.cost else None)
        for one, drift in drifting:
            excess = self._compare(one, rows).excess_usd
            if excess or drift.reserved_usd != drift.held_usd or drift.credit_usd != drift.adjusted_usd:
                self._credit(one, "reconciliation", excess, repair)

    def _unbooked(
        self, counter: CounterBook, rows: Mapping[CallAttempt, LedgerRow]
    ) -> list[tuple[CallAttempt, LedgerRow]]:
        every = self._books.reservations.items()
        unsettled = (
            attempt for attempt, shares in every for one in shares if one.counter is counter and one.settled is None
        )
        found = ((attempt, rows.get(attempt)) for attempt in sorted(unsettled))
        return [(attempt, row) for attempt, row in found if row is not None and row.cost is not None and row.cost.usd]

    def _compare(self, counter: CounterBook, rows: Mapping[CallAttempt, LedgerRow]) -> Drift:
        every = self._books.reservations.items()
        own = [(attempt, held) for attempt, shares in every for held in shares if held.counter is counter]
        settled = [(rows.get(attempt), held.settled) for attempt, held in own if held.settled is not None]
        costs = [row.cost.usd if row is not None and row.cost is not None else usd for row, usd in settled]
        unbooked = self._unbooked(counter, rows)
        unbooked_usd = sum((row.cost.usd for _, row in unbooked if row.cost), ZERO)
        budget = self._books.budgets[counter.name.budget_id]
        return Drift(
            budget_id=counter.name.budget_id,
            scope=budget.scope,
            subject=counter.name.subject,
            period=budget.period,
            period_start=counter.period.start,
            used_usd=counter.used,
            settled_usd=sum((usd for _, usd in settled), counter.purged),
            booked_usd=sum(costs, counter.purged) + unbooked_usd,
            missing_rows=sum(row is None for row, _ in settled),
            unbooked_usd=unbooked_usd,
            unbooked_calls=tuple(sorted({attempt.call_key for attempt, _ in unbooked})),
            reserved_usd=counter.reserved,
            held_usd=sum((held.estimate for _, held in own if held.state == "held"), ZERO),
            credit_usd=counter.credit,
            adjusted_usd=self._given(counter),
            reconciled_usd=self._given(counter, "reconciliation"),
        )


def _ended(alert: Alert, now: datetime) -> Alert:
    return replace(alert, state="resolved", resolved_at=now)


def _last_use(counter: CounterBook) -> datetime:
    return counter.touched_at or _NEVER
