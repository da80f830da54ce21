"""Sums over the ledger, deleted rows included, and over the rollups.

Names of columns come from the tables here and never from a caller; values travel as parameters.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from cognition.adapters.postgres.connection import connected
from cognition.adapters.postgres.history import NO_LONGER_KEPT, OLD_SUMS, ROW_SUMS, Span, added_up, is_call
from cognition.adapters.postgres.tables import llm_cache_stats, llm_cost_history, llm_cost_tracking
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

_old = llm_cost_history.c
_old_utc = sa.func.timezone(sa.literal_column("'UTC'"), _old.quarter)
_OLD_COLUMNS: Mapping[Dimension, sa.ColumnElement[Any]] = {
    "workflow": _old.workflow_id,
    "flow_run": NO_LONGER_KEPT,
    "root_flow_run": NO_LONGER_KEPT,
    "task": _old.task_name,
    "task_run": NO_LONGER_KEPT,
    "user": _old.user_id,
    "team": _old.team,
    "model": _old.model,
    "namespace": _old.namespace,
    "layer": _old.cache_layer,
    "status": _old.status,
    "day": sa.func.to_char(_old_utc, sa.literal_column("'YYYY-MM-DD'")),
}

_median = sa.func.percentile_cont(0.5).within_group(_row.latency_ms).filter(is_call)
_SUMS: Mapping[str, sa.ColumnElement[Any]] = {
    "calls": sa.func.count(_row.call_key.distinct()).filter(is_call),
    "hits": sa.func.count(_row.call_key.distinct()).filter(_row.cache_hit),
    **ROW_SUMS,
    "median_latency_ms": _median,
    "slowest_ms": sa.func.max(_row.latency_ms).filter(is_call),
}
_OLD_SUMS = {**OLD_SUMS, "median_latency_ms": sa.null(), "slowest_ms": sa.func.max(_old.slowest_ms)}


def find(engine: sa.Engine, tenant: str, request_id: str) -> BookedCall | None:
    """Return where the answer of one call lives in the cache, or None when it was never booked."""
    try:
        call = UUID(request_id).hex
    except ValueError:
        return None  # no call has such an id, and PostgreSQL would refuse it
    query = (
        sa.select(_row.namespace, _row.request_key, _row.cache_layer)
        .where(_row.tenant == tenant, _row.request_id == call, is_call)
        .order_by(_row.attempt.desc())
        .limit(1)
    )
    with connected(engine) as connection:
        found = connection.execute(query).one_or_none()
    return None if found is None else BookedCall(found.namespace, bytes(found.request_key), Layer(found.cache_layer))


def report(engine: sa.Engine, query: ReportQuery) -> list[ReportLine]:
    """Return sums over the ledger, dearest group first.

    Of deleted rows the runs and requests are not known any more, nor how long each took but the longest; and a call
    whose attempts stand in several groups counts only where the first one does.
    """
    with connected(engine) as connection:
        rows = connection.execute(_report(query)).all()
    lines: list[ReportLine] = []
    for row in rows:
        values, sums = row[: len(query.group_by)], row[len(query.group_by) :]
        groups = dict(zip(query.group_by, values, strict=True))
        lines.append(ReportLine(group=groups, **dict(zip(_SUMS, sums, strict=True))))
    return lines


def _report(query: ReportQuery) -> sa.Select[Any]:
    names = [f"group_{place}" for place in range(len(query.group_by))]
    kept, old = (
        [columns[dimension].label(name) for name, dimension in zip(names, query.group_by, strict=True)]
        for columns in (_COLUMNS, _OLD_COLUMNS)
    )
    span = Span(tenant=query.tenant, since=query.since, until=query.until)
    parts = [added_up(kept, _SUMS, [*span.of_rows(), *_conditions(query)])]
    if query.request_id is None and query.flow_run_id is None:
        parts.append(added_up(old, _OLD_SUMS, span.of_old()))
    part = sa.union_all(*parts).subquery().c
    keys = [part[name] for name in names]
    return (
        sa.select(*keys, *(_together(name, part[name]).label(name) for name in _SUMS))
        .group_by(*keys)
        .having(sa.func.count() > 0)
        .order_by(sa.desc("cost_usd"), *keys)
    )


def _together(name: str, part: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    """Return what the sums of both parts of a group come to; PostgreSQL makes decimals of sums of `bigint`."""
    if name == "median_latency_ms":
        return sa.func.max(part)  # only one part knows it
    if name.endswith("_ms"):
        return sa.func.coalesce(sa.func.max(part), 0)
    total = sa.func.coalesce(sa.func.sum(part), 0)
    return total if name.endswith("_usd") else sa.cast(total, sa.BigInteger)


def stats(engine: sa.Engine, tenant: str, since: datetime, until: datetime) -> list[LayerStats]:
    """Return how each cache layer served from one hour to another, both included; fastest layer first."""
    table = llm_cache_stats
    counts = ("hits", "misses", "corrupt", "refusals", "stores")
    totals = (*(_together(name, table.c[name]) for name in counts), sa.func.sum(table.c.saved_usd))
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
    conditions: list[sa.ColumnElement[bool]] = []
    if query.request_id is not None:
        conditions.append(_row.request_id == query.request_id)
    if query.flow_run_id is not None:
        conditions.append((_row.flow_run_id == query.flow_run_id) | (_row.root_flow_run_id == query.flow_run_id))
    return conditions
