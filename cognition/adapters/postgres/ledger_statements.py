"""What the ledger says to PostgreSQL. All lock rows in the order of their keys, so that no two wait for each other."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import Insert, insert

from cognition.adapters.postgres.batch import rows_of
from cognition.adapters.postgres.connection import compiled
from cognition.adapters.postgres.tables import llm_cache, llm_cache_stats, llm_cost_tracking

_ROW = (
    "tenant",
    "call_key",
    "attempt",
    "request_id",
    "request_key",
    "payload_hash",
    "status",
    "user_id",
    "team",
    "workflow_id",
    "deployment_id",
    "flow_run_id",
    "root_flow_run_id",
    "task_run_id",
    "task_name",
    "tags",
    "namespace",
    "provider",
    "model",
    "requested_model",
    "prompt_tokens",
    "completion_tokens",
    "cached_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
    "cost_usd",
    "saved_usd",
    "cache_layer",
    "price_source",
    "price_version",
    "rates",
    "priced_at",
    "latency_ms",
    "error",
    "created_at",
)
_TOTAL = (
    "hits",
    "misses",
    "corrupt",
    "refusals",
    "stores",
    "errors",
    "prompt_tokens",
    "completion_tokens",
    "cost_usd",
    "saved_usd",
    "latency_count",
    "latency_ms_sum",
)


_KEY = [llm_cost_tracking.c.tenant, llm_cost_tracking.c.call_key, llm_cost_tracking.c.attempt]


def _adding_rows() -> Insert:
    table = llm_cost_tracking
    item = rows_of(table.c[name] for name in _ROW)
    rows = sa.select(*(item.c[name] for name in _ROW)).order_by(*(item.c[column.name] for column in _KEY))
    return insert(table).from_select(_ROW, rows)


def _adding_absent_rows() -> sa.ClauseElement:
    return _adding_rows().on_conflict_do_nothing(index_elements=_KEY).returning(*_KEY)


def _finding_a_conflict() -> sa.ClauseElement:
    table = llm_cost_tracking
    item = rows_of([*_KEY, table.c.payload_hash])
    same = (
        (table.c.tenant == item.c.tenant)
        & (table.c.call_key == item.c.call_key)
        & (table.c.attempt == item.c.attempt)
        & (table.c.payload_hash != item.c.payload_hash)
    )
    return sa.select(table.c.call_key, table.c.attempt).join_from(table, item, same)


def _adding_counts() -> sa.ClauseElement:
    table = llm_cache_stats
    keys = [column.name for column in table.primary_key]
    item = rows_of((table.c[name] for name in (*keys, *_TOTAL)), "counts")
    statement = insert(table).from_select(
        [*keys, *_TOTAL],
        sa.select(*(item.c[name] for name in (*keys, *_TOTAL))).order_by(*(item.c[name] for name in keys)),
    )
    grown = {name: table.c[name] + statement.excluded[name] for name in _TOTAL}
    return statement.on_conflict_do_update(
        index_elements=list(table.primary_key), set_={**grown, "updated_at": sa.func.now()}
    )


def _adding_accesses() -> sa.ClauseElement:
    table = llm_cache
    item = rows_of([table.c.tenant, table.c.key, table.c.access_count, table.c.last_accessed_at], "accesses")
    held = (
        sa.select(item)
        .join(table, (table.c.tenant == item.c.tenant) & (table.c.key == item.c.key))
        .order_by(table.c.tenant, table.c.key)
        .with_for_update(of=table, key_share=True)
        .cte("held")
    )
    return (
        sa.update(table)
        .values(
            access_count=table.c.access_count + held.c.access_count,
            last_accessed_at=sa.func.greatest(table.c.last_accessed_at, held.c.last_accessed_at),
        )
        .where(table.c.tenant == held.c.tenant, table.c.key == held.c.key)
    )


ADD_ROWS = compiled(_adding_rows())
"""Fails when one of the rows stands there already."""

ADD_ABSENT_ROWS = compiled(_adding_absent_rows())
"""Leaves out rows that stand there already, and returns the keys of the others."""

FIND_CONFLICT = compiled(_finding_a_conflict())
ADD_COUNTS = compiled(_adding_counts())
ADD_ACCESSES = compiled(_adding_accesses())
