"""What is booked: rows of the ledger, and what deleted ones came to, to be cut and added up alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa

from cognition.adapters.postgres.tables import llm_cost_history, llm_cost_tracking

_row, _old = llm_cost_tracking.c, llm_cost_history.c

NO_LONGER_KEPT: Final = sa.literal_column("'(no longer kept)'", sa.Text)
"""Stands for the run of calls whose rows were deleted; None would say that they belonged to none."""

# An adjustment corrects a sum; it is neither a call nor an attempt.
is_call: Final = _row.status != "adjustment"
_is_attempt = is_call & ~_row.cache_hit

ROW_SUMS: Final[Mapping[str, sa.ColumnElement[Any]]] = {
    "attempts": sa.func.count().filter(_is_attempt),
    "input_tokens": sa.func.sum(_row.prompt_tokens).filter(_is_attempt),
    "output_tokens": sa.func.sum(_row.completion_tokens).filter(_is_attempt),
    "cost_usd": sa.func.sum(_row.cost_usd),
    "saved_usd": sa.func.sum(_row.saved_usd),
    "unpriced": sa.func.count().filter(_is_attempt & _row.cost_usd.is_(None)),
}
"""What rows come to, by the names that reports give it; calls and hits each report counts in its own way."""

_was_attempt = _old.status.not_in(["adjustment", "cache_hit"])
OLD_SUMS: Final[Mapping[str, sa.ColumnElement[Any]]] = {
    "calls": sa.func.sum(_old.calls),
    "hits": sa.func.sum(_old.rows).filter(_old.status == "cache_hit"),
    "attempts": sa.func.sum(_old.rows).filter(_was_attempt),
    "input_tokens": sa.func.sum(_old.prompt_tokens).filter(_was_attempt),
    "output_tokens": sa.func.sum(_old.completion_tokens).filter(_was_attempt),
    "cost_usd": sa.func.sum(_old.cost_usd),
    "saved_usd": sa.func.sum(_old.saved_usd),
    "unpriced": sa.func.sum(_old.unpriced),
}
"""What deleted rows came to, by the names that reports give it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Whose rows, of which time.

    Attributes:
        tenant: Whose.
        since: From this time on, or None.
        until: Up to but excluding this time, or None.
    """

    tenant: str
    since: datetime | None
    until: datetime | None

    def of_rows(self) -> list[sa.ColumnElement[bool]]:
        """Return the conditions for rows of the ledger."""
        return self._within(_row.tenant, _row.created_at)

    def of_old(self) -> list[sa.ColumnElement[bool]]:
        """Return the conditions for what deleted rows came to; a quarter of an hour counts by its beginning."""
        return self._within(_old.tenant, _old.quarter)

    def _within(self, tenant: sa.Column[str], at: sa.Column[Any]) -> list[sa.ColumnElement[bool]]:
        conditions = [tenant == self.tenant]
        if self.since is not None:
            conditions.append(at >= self.since)
        if self.until is not None:
            conditions.append(at < self.until)
        return conditions


def added_up(
    cuts: Sequence[sa.ColumnElement[Any]],
    sums: Mapping[str, sa.ColumnElement[Any]],
    conditions: Sequence[sa.ColumnElement[bool]],
) -> sa.Select[Any]:
    """Return the query for sums of some rows, cut along dimensions together.

    Args:
        cuts: The dimensions, labelled.
        sums: By their names.
        conditions: Which rows.
    """
    named = [column.label(name) for name, column in sums.items()]
    # By position: PostgreSQL would take two parameters of equal value for two expressions.
    grouped = [sa.literal_column(str(place + 1), sa.Integer) for place in range(len(cuts))]
    # Without dimensions PostgreSQL gives a group even when there are no rows.
    return sa.select(*cuts, *named).where(*conditions).group_by(*grouped).having(sa.func.count() > 0)
