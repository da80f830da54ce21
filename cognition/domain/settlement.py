"""What an attempt cost, and how the budgets are to take it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from cognition.domain.budget import Scope, usd
from cognition.domain.ledger import LedgerRow
from cognition.domain.reservation import CallAttempt
from cognition.errors import ConfigurationError


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """The end of an attempt, as it is written down: its row, and who pays.

    Attributes:
        row: The attempt's ledger row.
        held: Whether money was set aside for it, or may have been.
        subjects: Whose budgets pay although nothing could be set aside, because the store was away; none otherwise.
    """

    row: LedgerRow
    held: bool = False
    subjects: Mapping[Scope, str] = field(default_factory=dict[Scope, str])

    @property
    def attempt(self) -> CallAttempt:
        """Names the attempt for good."""
        return CallAttempt(self.row.call_key, self.row.attempt)

    @property
    def cost_usd(self) -> Decimal | None:
        """What is booked; None books what was set aside."""
        return self.row.cost.usd if self.row.cost else None


def bookable(cost_usd: Decimal | None) -> Decimal | None:
    """Return a cost as budgets book it, exactly; None stays None.

    Raises:
        ValueError: It is no amount. Whoever reported it is to blame and no setting, so that waiting helps nobody.
    """
    try:
        return None if cost_usd is None else usd("cost_usd", cost_usd)
    except ConfigurationError as error:
        raise ValueError(str(error)) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class SpoolState:
    """What waits, of all processes that share a place.

    Attributes:
        place: Where, for messages.
        rows: How many settlements wait.
        rejected: How many were kept aside because they can never be booked.
        used_bytes: How much room they take.
        limit_bytes: How much they may take.
    """

    place: str
    rows: int
    rejected: int
    used_bytes: int
    limit_bytes: int
