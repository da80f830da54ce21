"""What people and maintenance do with budgets: set them, see how they stand, adjust them, look after alerts."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TypedDict, Unpack, cast
from uuid import UUID

from cognition.domain.adjustment import Adjustment, ClosedPeriod, Drift, Mandate
from cognition.domain.budget import SCOPES, Budget, Scope, usd
from cognition.domain.budget_alert import ALERT_STATES, Alert, AlertState
from cognition.domain.budget_name import BudgetName, Counted, find_budget
from cognition.domain.forecast import Forecast, forecast
from cognition.domain.pricing import dollars
from cognition.domain.reservation import Standing
from cognition.domain.upkeep import LEDGER_DAYS_LEAST
from cognition.errors import ConfigurationError
from cognition.ports import Clock
from cognition.resilience.budget_admin import BudgetAdminStore
from cognition.resilience.budget_store import BudgetStore

_log = logging.getLogger(__name__)

# Of a lifetime, and of any longer period: what was spent before says little about tomorrow.
_LOOK_BACK = timedelta(days=LEDGER_DAYS_LEAST)  # before, rows may be gone

_UNRESOLVED: tuple[AlertState, ...] = ("open", "acknowledged")


class Who(TypedDict, total=False):
    """Whose budgets are asked for."""

    user: str
    team: str
    workflow: str
    task: str
    model: str
    flow_run: str


@dataclass(frozen=True, slots=True)
class Delivery:
    """How delivering alerts went.

    Attributes:
        delivered: How many were delivered.
        failed: How many were not, and come again later.
    """

    delivered: int = 0
    failed: int = 0


@dataclass(frozen=True, slots=True)
class BudgetStores:
    """Where budgets are kept.

    Attributes:
        calls: As far as calls need them.
        admin: As far as people and maintenance do.
    """

    calls: BudgetStore
    admin: BudgetAdminStore


class BudgetControl:
    """The budgets of one tenant; what is said here counts for all processes.

    A budget is named by its id, or by scope and subject such as `workflow:nightly`; one subject's part of a budget of
    everyone in the same way, such as `flow_run:ID`. Every method raises `CacheUnavailable` when the store does not
    answer.
    """

    def __init__(
        self, stores: BudgetStores, tenant: str, clock: Clock, changed: Callable[[], None] = lambda: None
    ) -> None:
        """Use stores.

        Args:
            stores: Where budgets are kept.
            tenant: Whose budgets.
            clock: Returns the present time.
            changed: Called after a budget was changed, so that calls of this process learn of it at once.
        """
        self._changed = changed
        self._store = stores.calls
        self._admin = stores.admin
        self._tenant = tenant
        self._clock = clock

    # -- budgets ------------------------------------------------------------------------------------------------------

    def set(self, budget: Budget, *, by: str = "code") -> UUID:
        """Let a budget count from now on; one of the same scope, subject and period is changed, its spend stays.

        Args:
            budget: What counts.
            by: Who says so.

        Returns:
            The id of the budget.

        Raises:
            ConfigurationError: The database does not know the time zone, or the tenant is another one.
        """
        if budget.scope == "tenant" and budget.subject not in ("*", self._tenant):
            raise ConfigurationError(
                f"This engine spends for tenant {self._tenant!r}, which a budget of tenant {budget.subject!r} would"
                f" never limit; write subject={self._tenant!r}."
            )
        return self._put(budget, by)

    def list(self) -> list[Budget]:
        """Return all budgets, ordered by scope, subject and period; those that are off too."""
        return self._store.budgets()

    def deactivate(self, budget: BudgetName, *, by: str = "code") -> Budget:
        """Let a budget limit nothing any more; what it counted is kept, and setting it again lets it count again.

        Raises:
            ConfigurationError: There is no such budget.
        """
        off = replace(self._find(budget).budget, active=False)
        self._put(off, by)
        return off

    def status(self, **who: Unpack[Who]) -> Sequence[Standing]:
        """Return how the budgets stand that limit somebody's calls, the tenant's included.

        Args:
            **who: Whose, such as `user="alice", workflow="nightly"`; without any, all, the latest used ones first.

        Raises:
            ConfigurationError: There is no such kind of subject.
        """
        unknown = sorted(who.keys() - set(SCOPES))
        if unknown:
            raise ConfigurationError(f"Budgets have no {', '.join(unknown)}; ask for some of {', '.join(SCOPES)}.")
        if not who:
            return self._admin.standings(_MOST)
        subjects = {"tenant": self._tenant, **cast("dict[Scope, str]", who)}
        return self._store.look(cast("dict[Scope, str]", subjects))

    # -- adjustments --------------------------------------------------------------------------------------------------

    def raise_limit(
        self, budget: BudgetName, amount_usd: Decimal | str | int, *, by: str, reason: str
    ) -> Sequence[Adjustment]:
        """Give more to spend in the present period; for good, set the budget with another limit.

        Args:
            budget: Which one, and whose.
            amount_usd: How much more, as text, whole number or Decimal.
            by: Who says so.
            reason: Why.

        Raises:
            ConfigurationError: There is no such budget, the amount is none, or nobody or no reason is named.
        """
        amount, mandate = _amount(amount_usd), Mandate(by, reason)
        return self._admin.raise_limit(self._find(budget).counter, amount, mandate)

    def reset(self, budget: BudgetName, *, by: str, reason: str) -> Sequence[Adjustment]:
        """Let spending begin anew in the present period; what was spent stays known, alerts end.

        Returns:
            What it gave back; nothing when nothing was spent.

        Raises:
            ConfigurationError: There is no such budget, or nobody or no reason is named.
        """
        return self._admin.reset(self._find(budget).counter, Mandate(by, reason))

    def transfer(
        self, source: BudgetName, target: BudgetName, amount_usd: Decimal | str | int, *, by: str, reason: str
    ) -> Sequence[Adjustment]:
        """Move money from one budget's present period to another one's, never more than is left there.

        Args:
            source: Who gives.
            target: Who takes.
            amount_usd: How much, as text, whole number or Decimal.
            by: Who says so.
            reason: Why.

        Returns:
            Both sides, the giving one first.

        Raises:
            ConfigurationError: There is no such budget, the source has less left, or nobody or no reason is named.
        """
        amount, mandate = _amount(amount_usd), Mandate(by, reason)
        budgets = self.list()
        giving, taking = find_budget(source, budgets), find_budget(target, budgets)
        if giving.counter == taking.counter:
            raise ConfigurationError("Money cannot move from a budget to itself; name two.")
        made = self._admin.transfer(giving.counter, taking.counter, amount, mandate)
        if not made:
            raise ConfigurationError(
                f"{source} has less than {dollars(amount)} left; transfer less, or raise its limit first."
            )
        return made

    def adjustments(self, limit: int = 50) -> Sequence[Adjustment]:
        """Return the latest adjustments, newest first."""
        return self._admin.adjustments(limit)

    # -- alerts -------------------------------------------------------------------------------------------------------

    def alerts(self, state: AlertState | None = None, limit: int = 100) -> Sequence[Alert]:
        """Return alerts, newest first.

        Args:
            state: `open`, `acknowledged` or `resolved`; by default all that are not resolved.
            limit: At most so many.

        Raises:
            ConfigurationError: There is no such state.
        """
        if state is not None and state not in ALERT_STATES:
            raise ConfigurationError(f"There is no alert {state!r}; use {', '.join(ALERT_STATES)}.")
        return self._admin.alerts(_UNRESOLVED if state is None else (state,), limit)

    def acknowledge(self, alert_id: UUID | str, *, by: str, note: str = "") -> Alert:
        """Take notice of an alert; whoever was first stays named.

        Raises:
            ConfigurationError: There is no such alert, it is over, or nobody is named.
        """
        alert = self._told(alert_id, self._admin.acknowledge(self._id_of(alert_id), _somebody(by), note))
        if alert.state == "resolved":
            raise ConfigurationError(f"Alert {alert_id} is resolved already; there is nothing to acknowledge.")
        return alert

    def resolve(self, alert_id: UUID | str, *, by: str, note: str = "") -> Alert:
        """End an alert; ending it twice is harmless.

        Raises:
            ConfigurationError: There is no such alert, or nobody is named.
        """
        return self._told(alert_id, self._admin.resolve(self._id_of(alert_id), _somebody(by), note))

    def deliver(self, sink: Callable[[Alert], None], limit: int = 100) -> Delivery:
        """Hand alerts that nobody delivered yet to a sink; one that it does not take comes again after a while.

        Args:
            sink: Called with each alert, oldest first; whatever it raises means that it did not take the alert. It may
                get one twice when this process dies in between.
            limit: At most so many.
        """
        delivered = failed = 0
        for alert in self._admin.claim_alerts(limit):
            try:
                sink(alert)
            except Exception as error:  # noqa: BLE001  whatever is wrong with a sink, the other alerts must go out
                _log.warning("Alert %s was not delivered and will be again: %s", alert.alert_id, type(error).__name__)
                failed += 1
            else:
                self._admin.mark_delivered(alert.alert_id)
                delivered += 1
        return Delivery(delivered, failed)

    # -- maintenance --------------------------------------------------------------------------------------------------

    def forecast(self, budget: BudgetName | None = None) -> Sequence[Forecast]:
        """Foretell when money is gone, from the hourly spend of the present period.

        Args:
            budget: Which one, and whose; by default all, the latest used ones first.

        Raises:
            ConfigurationError: There is no such budget, or it is off.
        """
        budgets = self.list()
        if budget is None:
            by_id = {one.budget_id: one for one in budgets}
            every = self._admin.standings(_MOST)
            return [self._foretold(by_id[one.budget_id], one) for one in every if one.budget_id in by_id]
        found = find_budget(budget, budgets)
        wanted = found.counter
        subjects: dict[Scope, str] = {found.budget.scope: wanted.subject}
        standing = next((one for one in self._store.look(subjects) if one.budget_id == wanted.budget_id), None)
        if standing is None:
            raise ConfigurationError(f"Budget {wanted.budget_id} is off, so that it is never used up; set it again.")
        return [self._foretold(found.budget, standing)]

    def close_periods(self, limit: int = 10_000) -> Sequence[ClosedPeriod]:
        """Close periods that are over, end their alerts, and give back what calls hold whose processes ended.

        Nothing depends on when or how often this is done.

        Returns:
            What was spent in those that were closed just now.
        """
        self._store.expire()
        return self._admin.close_periods(limit)

    def reconcile(self, *, repair: bool = False, by: str = "code", reason: str = "reconciliation") -> Sequence[Drift]:
        """Compare what is counted with the reservations, adjustments and ledger rows that explain it.

        Args:
            repair: Whether calls of the ledger that no budget booked are booked, and other differences made up for by
                adjustments.
            by: Who says so.
            reason: Why.

        Returns:
            The counters that differ, as they were found.

        Raises:
            ConfigurationError: It is to be repaired, and nobody or no reason is named.
        """
        return self._admin.reconcile(Mandate(by, reason) if repair else None)

    def purge(self, older_than: timedelta = timedelta(days=30), limit: int = 100_000) -> int:
        """Delete reservations that ended long ago, which only kept repetitions harmless; return how many.

        Args:
            older_than: How long ago; a day at least, for a call that is repeated later is booked anew.
            limit: At most so many.

        Raises:
            ConfigurationError: It is too short.
        """
        if older_than < timedelta(days=1):
            raise ConfigurationError(f"Reservations are kept for a day at least, not {older_than}; give a longer time.")
        return self._admin.purge(older_than, limit)

    def _put(self, budget: Budget, by: str) -> UUID:
        budget_id = self._store.put(budget, by)
        self._changed()
        return budget_id

    def _find(self, budget: BudgetName) -> Counted:
        return find_budget(budget, self.list())

    def _foretold(self, budget: Budget, standing: Standing) -> Forecast:
        now = self._clock()
        spent = self._admin.spend_by_hour(standing.scope, standing.subject, _since(budget, standing, now))
        return forecast(standing, spent, now, budget.length)

    def _id_of(self, alert_id: UUID | str) -> UUID:
        """Return an alert's whole id, of which the beginning is enough."""
        try:
            return alert_id if isinstance(alert_id, UUID) else UUID(alert_id)
        except ValueError:
            pass
        begins = str(alert_id).strip().lower()
        known = self._admin.alerts(ALERT_STATES, _MOST) if len(begins) >= _SHORT_ID else ()
        found = [one.alert_id for one in known if str(one.alert_id).startswith(begins)]
        if len(found) != 1:
            raise ConfigurationError(f"{alert_id!r} is no alert's id; see 'cognition budget alerts'.")
        return found[0]

    def _told(self, alert_id: UUID | str, alert: Alert | None) -> Alert:
        if alert is None:
            raise ConfigurationError(f"There is no alert {alert_id}; see 'cognition budget alerts'.")
        return alert


_MOST = 1000
_SHORT_ID = 6  # digits at least, of which two alerts seldom have the same


def _since(budget: Budget, standing: Standing, now: datetime) -> datetime:
    return now - budget.length if budget.length else max(standing.period_start, now - _LOOK_BACK)


def _amount(value: Decimal | str | int) -> Decimal:
    amount = usd("amount_usd", value)
    if not amount:
        raise ConfigurationError("An amount of nothing changes nothing; write more than 0 US dollars.")
    return amount


def _somebody(name: str) -> str:
    if not name.strip():
        raise ConfigurationError("Who takes care of an alert must be named for the others to read.")
    return name
