"""What people and maintenance need of a store of budgets, besides what calls need (`budget_store`)."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Protocol
from uuid import UUID

from cognition.domain.adjustment import Adjustment, ClosedPeriod, CounterName, Drift, Lapsed, Mandate
from cognition.domain.budget import Scope
from cognition.domain.budget_alert import Alert, AlertState
from cognition.domain.forecast import HourlySpend
from cognition.domain.reservation import Standing


class BudgetAdminStore(Protocol):
    """Adjusts, closes, checks and tells of the budgets of one tenant; each method is atomic, on the store's own clock.

    Synchronous and safe to use from any thread; raises `CacheUnavailable` when it does not answer.
    """

    # -- how they stand -----------------------------------------------------------------------------------------------

    def standings(self, limit: int) -> list[Standing]:
        """Return how every counter of the active budgets stands, the latest used ones first.

        A budget of one subject is listed even when nothing was spent; one of everyone with those who spent. Where that
        is more than the limit, the latest of each budget come before the earlier ones of others.
        """
        ...

    def spend_by_hour(self, scope: Scope, subject: str, since: datetime) -> list[HourlySpend]:
        """Return what the ledger says one subject spent, hour by hour, oldest first; hours without spend are left out.

        Args:
            scope: What kind of subject.
            subject: Whose spend.
            since: From this time on.
        """
        ...

    # -- adjustments --------------------------------------------------------------------------------------------------

    def reset(self, counter: CounterName, mandate: Mandate) -> list[Adjustment]:
        """Let one subject spend anew: what it used becomes credit, and its alerts are resolved.

        Asked again with nothing spent meanwhile, it changes nothing and returns nothing.
        """
        ...

    def raise_limit(self, counter: CounterName, amount_usd: Decimal, mandate: Mandate) -> list[Adjustment]:
        """Give one subject more to spend in the present period; of a rolling budget, for as long as its window is."""
        ...

    def transfer(
        self, source: CounterName, target: CounterName, amount_usd: Decimal, mandate: Mandate
    ) -> list[Adjustment]:
        """Move money from one subject's present period to another one's.

        Returns:
            Both sides, the giving one first; nothing when the source has less left, and then nothing was moved.
        """
        ...

    def adjustments(self, limit: int) -> list[Adjustment]:
        """Return the latest adjustments, newest first."""
        ...

    # -- alerts -------------------------------------------------------------------------------------------------------

    def alerts(self, states: Collection[AlertState], limit: int) -> list[Alert]:
        """Return the latest alerts in some states, newest first."""
        ...

    def acknowledge(self, alert_id: UUID, by: str, note: str) -> Alert | None:
        """Take notice of an open alert; return how it stands now, None when there is none of this id.

        Whoever was first stays named.
        """
        ...

    def resolve(self, alert_id: UUID, by: str, note: str) -> Alert | None:
        """End an alert; return how it stands now, None when there is none of this id. Ending it twice is harmless."""
        ...

    def claim_alerts(self, limit: int) -> list[Alert]:
        """Return alerts that are to be delivered, oldest first, and give them to nobody else for a while.

        The while grows with each claim, from a minute to an hour; it ends with `mark_delivered`.
        """
        ...

    def mark_delivered(self, alert_id: UUID) -> None:
        """Say that an alert was delivered, so that nobody gets it any more."""
        ...

    # -- maintenance --------------------------------------------------------------------------------------------------

    def close_periods(self, limit: int) -> list[ClosedPeriod]:
        """Close up to `limit` periods that are over and in which nobody holds money, and resolve their alerts."""
        ...

    def lapsed(self, age: timedelta) -> Lapsed:
        """Return what is still set aside though its lease ended so long ago; the next call of its budgets gets it."""
        ...

    def reconcile(self, repair: Mandate | None) -> list[Drift]:
        """Return the counters that differ from what explains them, as found; repair them when somebody says so.

        What the ledger knows and no budget booked is settled; what was wrongly counted is made up for by an adjustment.
        """
        ...

    def purge(self, older_than: timedelta, limit: int) -> int:
        """Delete up to `limit` reservations that ended so long ago; return how many."""
        ...
