"""A limit that was reached, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Literal, get_args
from uuid import UUID

from cognition.domain.budget import Period, Scope

AlertState = Literal["open", "acknowledged", "resolved"]
"""Nobody took notice yet; somebody did; it is over."""

ALERT_STATES: tuple[AlertState, ...] = get_args(AlertState)


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """A limit that was reached, once for each period, threshold and limit.

    Attributes:
        alert_id: Identifies it.
        budget_id: Which budget.
        scope: Whose spend it limits.
        subject: Whose counter.
        period: After what time spending begins anew.
        period_start: Which period, in UTC.
        threshold: The share of the limit that was reached: the soft limit, or 1.
        limit_usd: The limit with what adjustments had added to it.
        used_usd: What was spent then.
        reserved_usd: What was set aside then.
        state: Whether somebody took notice, and whether it is over.
        acknowledged_by: Who took notice.
        acknowledged_at: When, in UTC.
        note: In that person's words.
        resolved_at: Since when it is over, in UTC.
        deliveries: How often it was handed to somebody who was to deliver it.
        delivered_at: When that succeeded, in UTC.
        created_at: When the limit was reached, in UTC.
    """

    alert_id: UUID
    budget_id: UUID
    scope: Scope
    subject: str
    period: Period
    period_start: datetime
    threshold: Decimal
    limit_usd: Decimal
    used_usd: Decimal
    reserved_usd: Decimal
    state: AlertState
    acknowledged_by: str | None
    acknowledged_at: datetime | None
    note: str | None
    resolved_at: datetime | None
    deliveries: int
    delivered_at: datetime | None
    created_at: datetime

    @property
    def exceeded(self) -> bool:
        """Whether the whole limit was reached, not only the soft one."""
        return self.threshold >= 1

    @property
    def name(self) -> str:
        """Name of the budget in messages, such as `daily budget of workflow nightly`."""
        return f"{self.period} budget of {self.scope.replace('_', ' ')} {self.subject}"
