"""What the hourly rollups grow by."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from decimal import Decimal
from typing import Any

from cognition.adapters.postgres.batch import Row
from cognition.domain.ledger import CountKey, LedgerRow, LookUpCounts, hour_of

_ANSWERED = {"ok", "late"}
_FAILED = {"failed_billed", "failed_free"}


@dataclass(slots=True)
class _Total:
    hits: int = 0
    misses: int = 0
    corrupt: int = 0
    refusals: int = 0
    stores: int = 0
    errors: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_usd: Decimal = Decimal(0)
    saved_usd: Decimal = Decimal(0)
    latency_count: int = 0
    latency_ms_sum: float = 0.0


def totals(counts: Mapping[CountKey, LookUpCounts], rows: Iterable[LedgerRow]) -> list[Row]:
    """Return one row of `llm_cache_stats` for each layer, namespace, model and hour concerned.

    For the provider, an attempt that brought an answer is a hit, another one a miss.

    Args:
        counts: Look-ups.
        rows: Ledger rows written in the same transaction.
    """
    growth: defaultdict[tuple[str, datetime, str, str, str], _Total] = defaultdict(_Total)
    for key, count in counts.items():
        total = growth[key.tenant, hour_of(key.hour), key.layer.value, key.namespace, key.model]
        total.hits += count.hits
        total.misses += count.misses
        total.corrupt += count.corrupt
        total.refusals += count.refusals
        total.stores += count.stores
        total.saved_usd += count.saved_usd
    for row in rows:
        _add(growth[row.tenant, hour_of(row.created_at), row.layer.value, row.namespace, row.requested_model], row)
    names = ("tenant", "hour", "layer", "namespace", "model")
    return [dict(zip(names, key, strict=True)) | _written(total) for key, total in growth.items()]


def _written(total: _Total) -> dict[str, Any]:
    # Without the deep copies of `asdict`: this is in the way of every miss.
    return {one.name: getattr(total, one.name) for one in fields(total)}


def _add(total: _Total, row: LedgerRow) -> None:
    total.latency_count += 1
    total.latency_ms_sum += row.latency_ms
    if row.cache_hit:
        return
    total.hits += row.status in _ANSWERED
    total.misses += row.status not in _ANSWERED
    total.errors += row.status in _FAILED
    total.prompt_tokens += row.usage.input_tokens
    total.completion_tokens += row.usage.output_tokens
    total.cost_usd += row.cost.usd if row.cost else 0
