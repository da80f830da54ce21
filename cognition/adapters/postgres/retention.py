"""Deleting old rows of the ledger: what they came to is kept, in the transaction that deletes them."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa

from cognition.adapters.postgres.connection import transaction
from cognition.domain.batches import in_batches

_ROWS = 1000  # locked at once: milliseconds for a report that reads them

_LABELS = ("status", "user_id", "team", "workflow_id", "task_name", "namespace", "model", "cache_layer")
_TOKENS = ("prompt_tokens", "completion_tokens", "cached_tokens", "cache_write_tokens", "reasoning_tokens")
_SUMS = ("calls", "rows", "unpriced", *_TOKENS, "cost_usd", "saved_usd")

_labels = ", ".join(_LABELS)
_all = ", ".join(("tenant", "quarter", "key", *_LABELS, *_SUMS, "slowest_ms"))
_tokens = ", ".join(f"sum({name})" for name in _TOKENS)
_grown = ", ".join(f"{name} = held.{name} + excluded.{name}" for name in _SUMS)

# A row that a reservation still belongs to is left: budgets are proven by their reservations and what these cost by the
# ledger, until the reservations are purged. A call whose later attempts are younger waits for them, to be counted once.
# Rows that somebody uses, such as another run of this, are left as well.
ROLL_UP = f"""
WITH old AS MATERIALIZED (
    SELECT l.tenant, l.call_key, l.attempt
    FROM llm_cost_tracking AS l
    WHERE l.tenant = %(tenant)s AND l.created_at < %(before)s AND NOT EXISTS (
        SELECT FROM budget_reservations AS r
        WHERE r.tenant = l.tenant AND r.call_key = l.call_key AND r.attempt = l.attempt
    ) AND NOT EXISTS (
        SELECT FROM llm_cost_tracking AS y
        WHERE y.tenant = l.tenant AND y.call_key = l.call_key AND y.created_at >= %(before)s
    )
    ORDER BY l.created_at
    LIMIT %(size)s
    FOR UPDATE OF l SKIP LOCKED
),
gone AS (
    DELETE FROM llm_cost_tracking AS l USING old
    WHERE l.tenant = old.tenant AND l.call_key = old.call_key AND l.attempt = old.attempt
    RETURNING l.*
),
summed AS (
    SELECT
        tenant,
        date_bin('15 minutes', created_at, 'epoch') AS quarter,
        sha256(convert_to(jsonb_build_array({_labels})::text, 'UTF8')) AS key,
        {_labels},
        count(*) FILTER (WHERE attempt <= 1 AND status <> 'adjustment') AS calls,
        count(*) AS rows,
        count(*) FILTER (WHERE cost_usd IS NULL AND NOT cache_hit AND status <> 'adjustment') AS unpriced,
        {_tokens},
        coalesce(sum(cost_usd), 0),
        coalesce(sum(saved_usd), 0),
        max(latency_ms) FILTER (WHERE status <> 'adjustment')
    FROM gone
    GROUP BY tenant, quarter, {_labels}
    -- In one order, so that two who do this at once do not wait for each other in a circle.
    ORDER BY quarter, key
),
kept AS (
    INSERT INTO llm_cost_history AS held ({_all})
    SELECT * FROM summed
    ON CONFLICT (tenant, quarter, key) DO UPDATE SET {_grown},
        slowest_ms = greatest(held.slowest_ms, excluded.slowest_ms)
)
SELECT count(*) FROM gone
"""  # noqa: S608  names of our own columns


def roll_up(engine: sa.Engine, tenant: str, before: datetime, limit: int) -> int:
    """Add up the oldest rows of a tenant in the history and delete them; return how many.

    Args:
        engine: From `connect`.
        tenant: Whose rows.
        before: Only rows that are older.
        limit: At most so many.
    """

    def step(size: int) -> int:
        with transaction(engine) as connection:
            parameters = {"tenant": tenant, "before": before, "size": size}
            return connection.exec_driver_sql(ROLL_UP, parameters).scalar_one()

    return in_batches(step, limit, _ROWS)
