"""What people and maintenance do to budgets in PostgreSQL.

Whatever must not race with calls is one call of one SQL function, under the locks of the counters.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, TypeVar, cast
from uuid import UUID

import sqlalchemy as sa

from cognition.adapters.postgres import budget_admin_statements as sql
from cognition.adapters.postgres.batch import storable
from cognition.adapters.postgres.budget_rows import standing_of
from cognition.adapters.postgres.connection import fetch, transaction
from cognition.domain.adjustment import Adjustment, ClosedPeriod, CounterName, Drift, Lapsed, Mandate
from cognition.domain.batches import in_batches
from cognition.domain.budget import Scope
from cognition.domain.budget_alert import Alert, AlertState
from cognition.domain.forecast import HourlySpend
from cognition.domain.reservation import Standing

T = TypeVar("T")

_ROWS = 1000  # locked at once: milliseconds for a call that wants one of their counters


class PostgresBudgetAdmin:
    """The budgets of one tenant, as far as people and maintenance are concerned."""

    def __init__(self, engine: sa.Engine, tenant: str) -> None:
        """Use an engine.

        Args:
            engine: From `connect`.
            tenant: Whose budgets.
        """
        self._engine = engine
        self._tenant = tenant

    def standings(self, limit: int) -> list[Standing]:
        """Return how every counter of the active budgets stands, the latest used ones first."""
        return [standing_of(row) for row in self._fetch(sql.STANDINGS, most=limit)]

    def spend_by_hour(self, scope: Scope, subject: str, since: datetime) -> list[HourlySpend]:
        """Return what the ledger says one subject spent, hour by hour, oldest first."""
        rows = self._fetch(sql.SPEND_OF[scope], subject=storable(subject), since=since)
        return [_read(HourlySpend, row) for row in rows]

    def reset(self, counter: CounterName, mandate: Mandate) -> list[Adjustment]:
        """Let one subject spend anew: what it used becomes credit, and its alerts are resolved."""
        return self._adjust(sql.RESET, mandate, **_named(counter))

    def raise_limit(self, counter: CounterName, amount_usd: Decimal, mandate: Mandate) -> list[Adjustment]:
        """Give one subject more to spend in the present period; of a rolling budget, for as long as its window is."""
        return self._adjust(sql.RAISE, mandate, amount=amount_usd, **_named(counter))

    def transfer(
        self, source: CounterName, target: CounterName, amount_usd: Decimal, mandate: Mandate
    ) -> list[Adjustment]:
        """Move money from one subject's present period to another one's; nothing when the source has less left."""
        sides = {**_named(source), **{f"to_{name}": value for name, value in _named(target).items()}}
        return self._adjust(sql.TRANSFER, mandate, amount=amount_usd, **sides)

    def adjustments(self, limit: int) -> list[Adjustment]:
        """Return the latest adjustments, newest first."""
        return [_read(Adjustment, row) for row in self._fetch(sql.ADJUSTMENTS, most=limit)]

    def alerts(self, states: Collection[AlertState], limit: int) -> list[Alert]:
        """Return the latest alerts in some states, newest first."""
        return [_read(Alert, row) for row in self._fetch(sql.ALERTS, states=list(states), most=limit)]

    def acknowledge(self, alert_id: UUID, by: str, note: str) -> Alert | None:
        """Take notice of an open alert; return how it stands now, None when there is none of this id."""
        return self._end(sql.ACKNOWLEDGE, alert_id, by, note)

    def resolve(self, alert_id: UUID, by: str, note: str) -> Alert | None:
        """End an alert; return how it stands now, None when there is none of this id."""
        return self._end(sql.RESOLVE, alert_id, by, note)

    def claim_alerts(self, limit: int) -> list[Alert]:
        """Return alerts that are to be delivered, oldest first, and give them to nobody else for a while."""
        return [_read(Alert, row) for row in self._fetch(sql.CLAIM, most=limit)]

    def mark_delivered(self, alert_id: UUID) -> None:
        """Say that an alert was delivered, so that nobody gets it any more."""
        self._fetch(sql.MARK, alert=str(alert_id))

    def close_periods(self, limit: int) -> list[ClosedPeriod]:
        """Close up to `limit` periods that are over and in which nobody holds money, and resolve their alerts."""
        closed: list[ClosedPeriod] = []

        def close(size: int) -> int:
            rows = self._fetch(sql.CLOSE, most=size)
            closed.extend(_read(ClosedPeriod, row) for row in rows)
            return len(rows)

        in_batches(close, limit, _ROWS)
        return closed

    def lapsed(self, age: timedelta) -> Lapsed:
        """Return what is still set aside though its lease ended so long ago."""
        ((calls, usd),) = self._fetch(sql.LAPSED, age=age)
        return Lapsed(calls, usd)

    def reconcile(self, repair: Mandate | None) -> list[Drift]:
        """Return the counters that differ from what explains them, as found; repair them when somebody says so."""
        who = {"actor": None, "reason": None} if repair is None else _signed(repair)
        # Reads all reservations, which may take longer than other statements are given.
        with transaction(self._engine) as connection:
            rows = connection.exec_driver_sql(sql.RECONCILE, {"tenant": self._tenant, **who}).all()
        return [_read(Drift, tuple(row)) for row in rows]

    def purge(self, older_than: timedelta, limit: int) -> int:
        """Delete up to `limit` reservations that ended so long ago; return how many."""

        def delete(size: int) -> int:
            ((deleted,),) = self._fetch(sql.PURGE, age=older_than, most=size)
            return deleted

        return in_batches(delete, limit, _ROWS)

    def _adjust(self, statement: str, mandate: Mandate, **parameters: Any) -> list[Adjustment]:
        return [_read(Adjustment, row) for row in self._fetch(statement, **_signed(mandate), **parameters)]

    def _end(self, statement: str, alert_id: UUID, by: str, note: str) -> Alert | None:
        rows = self._fetch(statement, alert=str(alert_id), by=storable(by), note=storable(note))
        return _read(Alert, rows[0]) if rows else None

    def _fetch(self, statement: str, **parameters: Any) -> list[tuple[Any, ...]]:
        """Return the rows of a statement; whoever waited for a lock must see the rows as they are then."""
        return fetch(self._engine, statement, {"tenant": self._tenant, **parameters}, isolated=True)


def _named(counter: CounterName) -> dict[str, Any]:
    return {"budget": str(counter.budget_id), "subject": storable(counter.subject)}


def _signed(mandate: Mandate) -> dict[str, Any]:
    return {"actor": storable(mandate.actor), "reason": storable(mandate.reason)}


def _read(kind: type[T], row: tuple[Any, ...]) -> T:
    """Return a dataclass from a row that has its fields in their order, times in UTC.

    They come in the time zone of the session, which is whatever the role's default is.
    """
    values = (_value(value) for value in row)
    names = (one.name for one in fields(kind))  # pyright: ignore[reportArgumentType]  a dataclass, which a bound cannot say
    return kind(**dict(zip(names, values, strict=True)))


def _value(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC)
    return tuple(cast("list[Any]", value)) if isinstance(value, list) else value
