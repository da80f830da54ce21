"""For `budget_race`: the other way of keeping a budget, and what the books say afterwards."""

from __future__ import annotations

import time
from dataclasses import dataclass
from decimal import Decimal

import sqlalchemy as sa

_COMMITS = 100


@dataclass(frozen=True)
class Books:
    """Sums over one budget; all budgets of a run must have the same."""

    used: Decimal
    reserved: Decimal
    settled_rows: Decimal
    held_rows: Decimal
    states: dict[str, int]


def books(engine: sa.Engine) -> Books:
    """Return what the counters say, and what their rows add up to.

    Raises:
        AssertionError: Budgets that all calls used differ from each other.
    """
    with engine.connect() as connection:
        counters = connection.execute(sa.text("SELECT DISTINCT used_usd, reserved_usd FROM budget_periods")).all()
        sums = connection.execute(sa.text(_SUMS)).all()
        states = connection.execute(
            sa.text(
                "SELECT state, count(DISTINCT call_key) AS calls FROM budget_reservations GROUP BY state ORDER BY state"
            )
        ).all()
    if not len(counters) == len(sums) == 1:
        raise AssertionError(f"The budgets differ: {counters}, {sums}.")
    ((used, reserved),), ((settled, held),) = counters, sums
    return Books(used, reserved, settled, held, {row.state: row.calls for row in states})


def make_naive(engine: sa.Engine) -> None:
    """Make the table of those who check, call, and then add."""
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE TABLE naive_budget (used_usd numeric NOT NULL)"))
        connection.execute(sa.text("INSERT INTO naive_budget VALUES (0)"))


def naive_used(engine: sa.Engine) -> Decimal:
    """Return what they spent."""
    with engine.connect() as connection:
        return connection.execute(sa.text("SELECT used_usd FROM naive_budget")).scalar_one()


def naive_call(engine: sa.Engine, limit: Decimal, cost: Decimal, seconds: float) -> None:
    """Spend as most gateways do: look whether there is money, call, add what it cost; each step exact by itself."""
    if naive_used(engine) >= limit:
        return
    time.sleep(seconds)
    with engine.connect() as connection:
        connection.execute(sa.text("UPDATE naive_budget SET used_usd = used_usd + :cost"), {"cost": cost})


def commit_ms(engine: sa.Engine) -> float:
    """Return how long one connection waits for the disk with a commit."""
    with engine.connect() as connection:
        started = time.perf_counter()
        for _ in range(_COMMITS):
            connection.execute(sa.text("SELECT pg_logical_emit_message(true, 'benchmark', '')"))
        return 1000 * (time.perf_counter() - started) / _COMMITS


def set_durable(engine: sa.Engine, *, durable: bool) -> None:
    """Let new connections wait for the disk with each commit, or not."""
    word = "on" if durable else "off"
    with engine.connect() as connection:
        name = connection.execute(sa.text("SELECT current_database()")).scalar_one()
        connection.execute(sa.text(f'ALTER DATABASE "{name}" SET synchronous_commit = {word}'))


_SUMS = """
    SELECT DISTINCT
        sum(coalesce(settled_usd, 0)) OVER (PARTITION BY budget_id),
        sum(CASE state WHEN 'held' THEN estimate_usd ELSE 0 END) OVER (PARTITION BY budget_id)
    FROM budget_reservations
"""
