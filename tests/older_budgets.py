"""Lets time pass for budgets: the database's clock cannot be set, so everything is made older."""

from __future__ import annotations

from datetime import timedelta

import sqlalchemy as sa

# The times of all tables that have periods.
_TIMES = {
    "budget_reservations": ("lease_until", "ended_at", "created_at"),
    "budget_alerts": ("deliver_after", "delivered_at", "created_at"),
    "budget_adjustments": ("created_at",),
    "budget_periods": ("period_end", "updated_at"),
}
# A lifetime keeps its beginning.
_STARTED = "CASE WHEN period_start > 'epoch' THEN period_start - CAST(:age AS interval) ELSE period_start END"


def grow_old(engine: sa.Engine, age: timedelta) -> None:
    """Make periods, reservations, adjustments and alerts older."""
    with engine.connect() as connection, connection.execution_options(isolation_level="READ COMMITTED").begin():
        # Rows and what they refer to move together.
        connection.execute(sa.text("SET LOCAL session_replication_role = replica"))
        for table, columns in _TIMES.items():
            moved = ", ".join(f"{column} = {column} - CAST(:age AS interval)" for column in columns)
            statement = f"UPDATE {table} SET {moved}, period_start = {_STARTED}"  # noqa: S608  names of ours
            connection.execute(sa.text(statement), {"age": age})
