"""Sums over the ledger and the rollups.

Names of columns come from the tables here and never from a caller; values travel as parameters.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from cognition.adapters.postgres.connection import connected
from cognition.adapters.postgres.tables import llm_cache_stats, llm_cost_tracking
from cognition.domain.entry import Layer
from cognition.domain.ledger import BookedCall, Dimension, LayerStats, ReportLine, ReportQuery

_row = llm_cost_tracking.c
_utc = sa.func.timezone(sa.literal_column("'UTC'"), _row.created_at)
_COLUMNS: Mapping[Dimension, sa.ColumnElement[Any]] = {
    "workflow": _row.workflow_id,
    "flow_run": _row.flow_run_id,
    "root_flow_run": _row.root_flow_run_id,
    "task": _row.task_name,
    "task_run": _row.task_run_id,
    "user": _row.user_id,
    "team": _row.team,
    "model": _row.model,
    "namespace": _row.namespace,
    "layer": _row.cache_layer,
    "status": _row.status,
    "day": sa.func.to_char(_utc, sa.literal_column("'YYYY-MM-DD'")),
}


def _whole(total: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    """Return a sum of whole numbers as one; PostgreSQL makes decimals of sums of `bigint`."""
    return sa.cast(total, sa.BigInteger)


# An adjustment corrects a sum; it is neither a call nor an attempt.
_is_call = _row.status != "adjustment"
_is_attempt = _is_call & ~_row.cache_hit
_median = sa.func.percentile_cont(0.5).within_group(_row.latency_ms).filter(_is_call)
_SUMS: Mapping[str, sa.ColumnElement[Any]] = {
    "calls": sa.func.count(_row.call_key.distinct()).filter(_is_call),
    "hits": sa.func.count(_row.call_key.distinct()).filter(_row.cache_hit),
    "attempts": sa.func.count().filter(_is_attempt),
    "input_tokens": _whole(sa.func.coalesce(sa.func.sum(_row.prompt_tokens).filter(_is_attempt), 0)),
    "output_tokens": _whole(sa.func.coalesce(sa.func.sum(_row.completion_tokens).filter(_is_attempt), 0)),
    "cost_usd": sa.func.coalesce(sa.func.sum(_row.cost_usd), 0),
    "saved_usd": sa.func.coalesce(sa.func.sum(_row.saved_usd), 0),
    "unpriced": sa.func.count().filter(_is_attempt & _row.cost_usd.is_(None)),
    "median_latency_ms": sa.func.coalesce(_median, 0),
    "slowest_ms": sa.func.coalesce(sa.func.max(_row.latency_ms).filter(_is_call), 0),
}


def find(engine: sa.Engine, tenant: str, request_id: str) -> BookedCall | None:
    """Return where the answer of one call lives in the cache, or None when it was never booked."""
    try:
        call = UUID(request_id).hex
    except ValueError:
        return None  # no call has such an id, and PostgreSQL would refuse it
    query = (
        sa.select(_row.namespace, _row.request_key, _row.cache_layer)
        .where(_row.tenant == tenant, _row.request_id == call, _is_call)
        .order_by(_row.attempt.desc())
        .limit(1)
    )
    with connected(engine) as connection:
        found = connection.execute(query).one_or_none()
    return None if found is None else BookedCall(found.namespace, bytes(found.request_key), Layer(found.cache_layer))


def report(engine: sa.Engine, query: ReportQuery) -> list[ReportLine]:
    """Return sums over the ledger, dearest group first."""
    group = [_COLUMNS[dimension] for dimension in query.group_by]
    sums = [column.label(name) for name, column in _SUMS.items()]
    statement = (
        sa.select(*group, *sums)
        .where(*_conditions(query))
        .group_by(*group)
        # Without dimensions PostgreSQL gives a group even when there are no rows.
        .having(sa.func.count() > 0)
        .order_by(sa.desc("cost_usd"), *group)
    )
    with connected(engine) as connection:
        rows = connection.execute(statement).all()
    lines: list[ReportLine] = []
    for row in rows:
        values, sums = row[: len(group)], row[len(group) :]
        groups = dict(zip(query.group_by, values, strict=True))
        lines.append(ReportLine(group=groups, **dict(zip(_SUMS, sums, strict=True))))
    return lines


def stats(engine: sa.Engine, tenant: str, since: datetime, until: datetime) -> list[LayerStats]:
    """Return how each cache layer served from one hour to another, both included; fastest layer first."""
    table = llm_cache_stats
    counts = ("hits", "misses", "corrupt", "refusals", "stores")
    totals = (*(_whole(sa.func.sum(table.c[name])) for name in counts), sa.func.sum(table.c.saved_usd))
    statement = (
        sa.select(table.c.layer, *totals)
        .where(
            table.c.tenant == tenant,
            table.c.hour >= since,
            table.c.hour <= until,
            table.c.layer != Layer.PROVIDER.value,
        )
        .group_by(table.c.layer)
        .order_by(table.c.layer)
    )
    with connected(engine) as connection:
        rows = connection.execute(statement).all()
    names = (*counts, "saved_usd")
    return [LayerStats(layer=Layer(layer), **dict(zip(names, sums, strict=True))) for layer, *sums in rows]


def _conditions(query: ReportQuery) -> list[sa.ColumnElement[bool]]:
    conditions = [_row.tenant == query.tenant]
    if query.since is not None:
        conditions.append(_row.created_at >= query.since)
    if query.until is not None:
        conditions.append(_row.created_at < query.until)
    if query.request_id is not None:
        conditions.append(_row.request_id == query.request_id)
    if query.flow_run_id is not None:
        conditions.append((_row.flow_run_id == query.flow_run_id) | (_row.root_flow_run_id == query.flow_run_id))
    return conditions
