"""Budgets and their shares as PostgreSQL returns and takes them; money is `numeric` there and `Decimal` here."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC
from typing import Any, NamedTuple
from uuid import UUID

from cognition.adapters.postgres.batch import storable
from cognition.domain.budget import Budget
from cognition.domain.reservation import Share, Standing

SHARE_COLUMNS = (
    "budget_id",
    "scope",
    "subject",
    "period",
    "limit_usd",
    "credit_usd",
    "used_usd",
    "reserved_usd",
    "soft_limit",
    "on_soft",
    "on_hard",
    "downgrade_to",
    "period_start",
    "resets_at",
    "estimate_usd",
    "settled_usd",
    "outcome",
    "changed",
    "crossed",
)
"""Of `budget_share_v1`, in the order in which `share_of` reads them."""

_OF_STANDING = SHARE_COLUMNS[: SHARE_COLUMNS.index("estimate_usd")]

BUDGET_COLUMNS: Mapping[str, str] = {
    "budget_id": "budget_id",
    "scope": "scope",
    "subject": "subject",
    "limit_usd": "limit_usd",
    "period": "period",
    "length": "period_length",
    "timezone": "timezone",
    "week_start": "week_start",
    "soft_limit": "soft_limit",
    "on_soft": "on_soft",
    "on_hard": "on_hard",
    "downgrade_to": "downgrade_to",
    "on_unknown_price": "on_unknown_price",
    "price_ceiling_usd": "price_ceiling_usd",
    "on_store_down": "on_store_down",
    "last_known_max_age": "last_known_max_age",
    "active": "active",
}
"""The column that keeps each field of a budget."""


def standing_of(row: tuple[Any, ...]) -> Standing:
    """Return how a budget stands, from a row of `SHARE_COLUMNS`."""
    fields = dict(zip(_OF_STANDING, row, strict=False))
    # Given in the time zone of the session, which is whatever the role's default is.
    for name in ("period_start", "resets_at"):
        fields[name] = fields[name] and fields[name].astimezone(UTC)
    return Standing(**fields)


def share_of(row: tuple[Any, ...]) -> Share:
    """Return a budget's part in a call, from a row of `SHARE_COLUMNS`."""
    estimate, settled, outcome, changed, crossed = row[len(_OF_STANDING) :]
    return Share(
        standing=standing_of(row),
        outcome=outcome,
        estimate_usd=estimate,
        settled_usd=settled,
        changed=changed,
        crossed=tuple(crossed),
    )


def budget_of(row: tuple[Any, ...]) -> Budget:
    """Return a budget, from a row of `BUDGET_COLUMNS`."""
    return Budget(**dict(zip(BUDGET_COLUMNS, row, strict=True)))


class Named(NamedTuple):
    """What is known of a budget that cannot be read."""

    budget_id: UUID
    scope: str
    subject: str
    active: bool


def named_by(row: tuple[Any, ...]) -> Named:
    """Return whose budget a row of `BUDGET_COLUMNS` keeps, whatever else stands in it."""
    fields = dict(zip(BUDGET_COLUMNS, row, strict=True))
    return Named(*(fields[name] for name in Named._fields))


def row_of(budget: Budget) -> dict[str, Any]:
    """Return a budget as the columns that keep it, without its id."""
    row = {column: getattr(budget, name) for name, column in BUDGET_COLUMNS.items() if name != "budget_id"}
    return {name: storable(value) if isinstance(value, str) else value for name, value in row.items()}
