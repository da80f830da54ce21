"""Look-ups, misses and refusals: sums of the rollups and the ledger."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from cognition.adapters.postgres.connection import connected, fetch
from cognition.adapters.postgres.tables import llm_cache_stats, llm_cost_tracking
from cognition.domain.entry import Layer
from cognition.domain.hit_rate import CountedBy, Counts, Embedded, LookUps, Missed, Refused, Windows
from cognition.domain.measured import ServedTotal

_count = llm_cache_stats.c
_NAMES = ("hits", "misses", "refusals", "corrupt", "stores", "saved_usd")
# Columns by the names that their sums have.
_TOTALS = {
    "hits": "hits",
    "misses": "misses",
    "refusals": "refusals",
    "corrupt": "corrupt",
    "stores": "stores",
    "errors": "errors",
    "prompt_tokens": "input_tokens",
    "completion_tokens": "output_tokens",
    "latency_count": "timed",
    "cost_usd": "cost_usd",
    "saved_usd": "saved_usd",
    "latency_ms_sum": "seconds",
}
_CUTS: tuple[CountedBy, ...] = ("layer", "namespace", "model")

EMBEDDED = """
SELECT used.embedder_fingerprint, used.vectors, kept.mean_bytes
FROM (
    SELECT embedder_fingerprint, count(*) AS vectors FROM semantic_vector
    WHERE tenant = %(tenant)s AND used_at >= %(since)s GROUP BY embedder_fingerprint
) AS used
LEFT JOIN (
    SELECT embedder_fingerprint, avg(octet_length(prompt) - 1)::float8 AS mean_bytes FROM llm_semantic_cache
    WHERE tenant = %(tenant)s GROUP BY embedder_fingerprint
) AS kept USING (embedder_fingerprint)
ORDER BY used.embedder_fingerprint
"""
JUDGED = """
SELECT DISTINCT namespace, embedder_fingerprint FROM semantic_label WHERE tenant = %(tenant)s
ORDER BY namespace, embedder_fingerprint
"""


def look_ups(engine: sa.Engine, windows: Windows) -> list[LookUps]:
    """Return how look-ups ended in both windows: by layer, and by namespace and by model in each layer."""
    is_now = _count.hour >= windows.since
    sums = [
        sa.func.coalesce(sa.func.sum(_count[name]).filter(is_now if now else ~is_now), 0)
        for now in (True, False)
        for name in _NAMES
    ]
    by = sa.case((sa.func.grouping(_count.namespace) == 0, 1), (sa.func.grouping(_count.model) == 0, 2), else_=0).label(
        "by"
    )
    value = sa.func.coalesce(_count.namespace, _count.model).label("value")
    sets = sa.func.grouping_sets(
        sa.tuple_(_count.layer),
        sa.tuple_(_count.layer, _count.namespace),
        sa.tuple_(_count.layer, _count.model),
    )
    statement = (
        sa.select(by, value, _count.layer, *sums)
        .where(*_within(windows.tenant, windows), _count.layer != Layer.PROVIDER.value)
        .group_by(sets)
        .order_by("by", "value", _count.layer)
    )
    with connected(engine) as connection:
        rows = connection.execute(statement).all()
    return [_look_ups(*row) for row in rows]


def served_totals(engine: sa.Engine, tenant: str) -> list[ServedTotal]:
    """Return what each layer did for the calls of each model, since the first of them."""
    sums = [sa.func.sum(_count[name]) for name in _TOTALS]
    statement = (
        sa.select(_count.layer, _count.model, *sums).where(_count.tenant == tenant).group_by(_count.layer, _count.model)
    )
    with connected(engine) as connection:
        rows = connection.execute(statement).all()
    return [_served_total(*row) for row in rows]


def _served_total(layer: str, model: str, *sums: Any) -> ServedTotal:
    # PostgreSQL makes decimals of sums of `bigint`.
    *whole, cost, saved, milliseconds = sums
    counts = dict(zip(_TOTALS.values(), map(int, whole), strict=False))
    return ServedTotal(
        layer=Layer(layer), model=model, cost_usd=cost, saved_usd=saved, seconds=milliseconds / 1000, **counts
    )


def _look_ups(by: int, value: str | None, layer: str, *sums: Any) -> LookUps:
    now, then = (_counts(*half) for half in (sums[: len(_NAMES)], sums[len(_NAMES) :]))
    return LookUps(_CUTS[by], value, Layer(layer), now, then)


def _counts(*sums: Any) -> Counts:
    # PostgreSQL makes decimals of sums of `bigint`.
    *whole, saved = sums
    return Counts(**dict(zip(_NAMES, map(int, whole), strict=False)), saved_usd=saved)


def misses(engine: sa.Engine, windows: Windows, limit: int) -> list[Missed]:
    """Return the requests that the provider was asked for most often in the window, none of them only once."""
    row = llm_cost_tracking.c
    calls = sa.func.count().filter(row.attempt == 1).label("calls")
    cost = sa.func.coalesce(sa.func.sum(row.cost_usd), 0).label("cost")
    statement = (
        sa.select(sa.func.encode(row.request_key, "hex"), row.namespace, row.requested_model, calls, cost)
        .where(
            row.tenant == windows.tenant,
            row.created_at >= windows.since,
            row.created_at < windows.until,
            ~row.cache_hit,
            row.status != "adjustment",
        )
        .group_by(row.request_key, row.namespace, row.requested_model)
        .having(sa.func.count().filter(row.attempt == 1) > 1)
        .order_by(sa.desc("calls"), sa.desc("cost"), row.request_key)
        .limit(limit)
    )
    with connected(engine) as connection:
        return [Missed(*found) for found in connection.execute(statement)]


def refusals(engine: sa.Engine, windows: Windows, limit: int) -> list[Refused]:
    """Return where L3 refused most in the window."""
    refused = sa.func.sum(_count.refusals).label("refused")
    statement = (
        sa.select(_count.namespace, _count.model, refused, sa.func.sum(_count.lookups))
        .where(*_within(windows.tenant, windows), _count.hour >= windows.since, _count.layer == Layer.L3.value)
        .group_by(_count.namespace, _count.model)
        .having(sa.func.sum(_count.refusals) > 0)
        .order_by(sa.desc("refused"), _count.namespace, _count.model)
        .limit(limit)
    )
    with connected(engine) as connection:
        rows = connection.execute(statement).all()
    return [Refused(namespace, model, int(number), int(of)) for namespace, model, number, of in rows]


def judged(engine: sa.Engine, tenant: str) -> list[tuple[str, str]]:
    """Return the namespaces in which answers of L3 were judged, with the fingerprint of the embedder."""
    return [(namespace, embedder) for namespace, embedder in fetch(engine, JUDGED, {"tenant": tenant})]


def embedded(engine: sa.Engine, windows: Windows) -> list[Embedded]:
    """Return what embedders had to do since the window began."""
    return [Embedded(*row) for row in fetch(engine, EMBEDDED, {"tenant": windows.tenant, "since": windows.since})]


def _within(tenant: str, windows: Windows) -> list[sa.ColumnElement[bool]]:
    return [_count.tenant == tenant, _count.hour >= windows.before, _count.hour <= windows.until]
