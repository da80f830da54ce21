"""What people do to a budget's counters: who, why, and what it changed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Literal
from uuid import UUID

from cognition.domain.budget import Period, Scope
from cognition.errors import ConfigurationError

AdjustmentKind = Literal["reset", "raise", "transfer", "reconciliation"]
"""Spending began anew; more may be spent; money moved between two budgets; wrong counting was made up for."""


@dataclass(frozen=True, slots=True, order=True)
class CounterName:
    """Whose spending of a budget is meant.

    Attributes:
        budget_id: Which budget.
        subject: Whose counter of it; of a budget of everyone, one of them.
    """

    budget_id: UUID
    subject: str


@dataclass(frozen=True, slots=True)
class Mandate:
    """Who adjusts a counter, and why.

    Attributes:
        actor: Who says so.
        reason: Why, for those who wonder.
    """

    actor: str
    reason: str

    def __post_init__(self) -> None:
        """Refuse one that explains nothing.

        Raises:
            ConfigurationError: Nobody or no reason is named.
        """
        if not (self.actor.strip() and self.reason.strip()):
            raise ConfigurationError("Who adjusts a budget, and why, must be named for the others to read.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Adjustment:
    """A change of what one counter may spend; never edited.

    Attributes:
        adjustment_id: Identifies it.
        budget_id: Which budget.
        subject: Whose counter.
        period_start: Which period.
        kind: Why.
        amount_usd: How much; positive gives room.
        transfer_id: The same on both sides of a transfer, None otherwise.
        actor: Who.
        reason: In that person's words.
        created_at: When, in UTC.
    """

    adjustment_id: UUID
    budget_id: UUID
    subject: str
    period_start: datetime
    kind: AdjustmentKind
    amount_usd: Decimal
    transfer_id: UUID | None
    actor: str
    reason: str
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ClosedPeriod:
    """What was spent in a period that is over.

    Attributes:
        budget_id: Which budget.
        scope: Whose spend it limits.
        subject: Whose counter.
        period: After what time spending begins anew.
        period_start: When it began, in UTC.
        period_end: When it ended, in UTC.
        limit_usd: The budget's limit now.
        credit_usd: What adjustments added to it.
        used_usd: What was spent.
        calls: How many attempts were booked.
        alerts_resolved: How many alerts ended with it.
    """

    budget_id: UUID
    scope: Scope
    subject: str
    period: Period
    period_start: datetime
    period_end: datetime
    limit_usd: Decimal
    credit_usd: Decimal
    used_usd: Decimal
    calls: int
    alerts_resolved: int

    @property
    def name(self) -> str:
        """Name of the budget in messages, such as `daily budget of workflow nightly`."""
        return f"{self.period} budget of {self.scope.replace('_', ' ')} {self.subject}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """A counter that differs from what explains it.

    Attributes:
        budget_id: Which budget.
        scope: Whose spend it limits.
        subject: Whose counter.
        period: After what time spending begins anew.
        period_start: Which period, in UTC.
        used_usd: What the counter says was spent.
        settled_usd: What its settled reservations add up to.
        booked_usd: What must have been booked: the same, at the cost that the ledger knows, and what is unbooked.
        missing_rows: Settled reservations without a row in the ledger; nothing here can make up for those.
        unbooked_usd: What calls cost by the ledger for which money was set aside here and never settled.
        unbooked_calls: Their call keys.
        reserved_usd: What the counter says is set aside.
        held_usd: What its held reservations add up to.
        credit_usd: What the counter says adjustments gave it.
        adjusted_usd: What they add up to.
        reconciled_usd: Of these, what made up for wrong counting before.
    """

    budget_id: UUID
    scope: Scope
    subject: str
    period: Period
    period_start: datetime
    used_usd: Decimal
    settled_usd: Decimal
    booked_usd: Decimal
    missing_rows: int
    unbooked_usd: Decimal
    unbooked_calls: tuple[UUID, ...]
    reserved_usd: Decimal
    held_usd: Decimal
    credit_usd: Decimal
    adjusted_usd: Decimal
    reconciled_usd: Decimal

    @property
    def name(self) -> str:
        """Name of the budget in messages, such as `daily budget of workflow nightly`."""
        return f"{self.period} budget of {self.scope.replace('_', ' ')} {self.subject}"

    @property
    def excess_usd(self) -> Decimal:
        """What is counted as spent and was not, as far as nobody made up for it; below zero when too little is."""
        return self.used_usd - self.reconciled_usd - self.booked_usd

    @property
    def repairable(self) -> bool:
        """Whether something here can be made up for."""
        sums_agree = self.reserved_usd == self.held_usd and self.credit_usd == self.adjusted_usd
        return bool(self.excess_usd or self.unbooked_usd) or not sums_agree


@dataclass(frozen=True, slots=True)
class Lapsed:
    """What is set aside for calls whose processes ended without telling what they cost.

    Attributes:
        calls: How many attempts.
        usd: The money of these.
    """

    calls: int
    usd: Decimal
