"""The ledger in memory."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from statistics import median
from uuid import UUID

from cognition.domain.entry import Address, Layer
from cognition.domain.ledger import (
    BookedCall,
    CountKey,
    Dimension,
    LayerStats,
    LedgerBatch,
    LedgerRow,
    LookUpCounts,
    ReportLine,
    ReportQuery,
    hour_of,
)
from cognition.errors import LedgerConflict

RowKey = tuple[str, UUID, int]
"""Tenant, call key and attempt."""

_VALUE_OF: Mapping[Dimension, Callable[[LedgerRow], str | None]] = {
    "workflow": lambda row: row.attribution.workflow,
    "flow_run": lambda row: row.attribution.flow_run_id,
    "root_flow_run": lambda row: row.attribution.root_flow_run_id,
    "task": lambda row: row.attribution.task_name,
    "task_run": lambda row: row.attribution.task_run_id,
    "user": lambda row: row.attribution.user,
    "team": lambda row: row.attribution.team,
    "model": lambda row: row.model,
    "namespace": lambda row: row.namespace,
    "layer": lambda row: row.layer.value,
    "status": lambda row: row.status,
    "day": lambda row: row.created_at.astimezone(UTC).date().isoformat(),
}


class MemoryLedger:
    """A ledger for one process.

    Attributes:
        accesses: How often each entry answered, with the last time.
    """

    name = "memory"

    def __init__(self) -> None:
        """Start empty."""
        self._lock = threading.Lock()
        self._rows: dict[RowKey, LedgerRow] = {}
        self._counts: dict[CountKey, LookUpCounts] = {}
        self.accesses: dict[Address, tuple[int, datetime]] = {}

    @property
    def rows(self) -> list[LedgerRow]:
        """All rows, oldest write first."""
        with self._lock:
            return list(self._rows.values())

    def record(self, batch: LedgerBatch) -> None:
        """Write a batch as a whole; rows that already stand there are skipped.

        Raises:
            LedgerConflict: A row with other contents already stands under the same call key and attempt.
        """
        with self._lock:
            added: dict[RowKey, LedgerRow] = {}
            for row in batch.rows:
                key = (row.tenant, row.call_key, row.attempt)
                before = self._rows.get(key) or added.setdefault(key, row)
                if before.payload_hash != row.payload_hash:
                    raise LedgerConflict(
                        f"Another ledger row stands under call {row.call_key}, attempt {row.attempt};"
                        " give each call a request id of its own."
                    )
            self._rows.update(added)
            for key, more in batch.counts.items():
                self._counts[key] = _sum([self._counts.get(key, LookUpCounts()), more])
            for address, (times, when) in batch.accesses.items():
                before_times, before_when = self.accesses.get(address, (0, when))
                self.accesses[address] = (before_times + times, max(before_when, when))

    def find(self, tenant: str, request_id: str) -> BookedCall | None:
        """Return where one call's answer lives in the cache, or None when it was never booked."""
        calls = (row for row in self.rows if row.tenant == tenant and row.request_id == request_id)
        last = max(calls, key=lambda row: row.attempt, default=None)
        return None if last is None else BookedCall(last.namespace, last.request_key, last.layer)

    def report(self, query: ReportQuery) -> list[ReportLine]:
        """Return sums over the ledger, dearest group first."""
        groups: defaultdict[tuple[str | None, ...], list[LedgerRow]] = defaultdict(list)
        for row in self.rows:
            if _covers(query, row):
                groups[tuple(_VALUE_OF[dimension](row) for dimension in query.group_by)].append(row)
        lines = [_line(dict(zip(query.group_by, values, strict=True)), rows) for values, rows in groups.items()]
        return sorted(lines, key=lambda line: line.cost_usd, reverse=True)

    def stats(self, tenant: str, window: timedelta, now: datetime) -> list[LayerStats]:
        """Return how each layer served during a window that ends now; its oldest hour is counted whole."""
        since = hour_of(now - window)
        layers: defaultdict[Layer, list[LookUpCounts]] = defaultdict(list)
        with self._lock:
            for key, counts in self._counts.items():
                if key.tenant == tenant and since <= key.hour <= now:
                    layers[key.layer].append(copy(counts))
        return [_stats(layer, layers[layer]) for layer in Layer if layer in layers]

    def ping(self) -> None:
        """Return; memory always answers."""


def _covers(query: ReportQuery, row: LedgerRow) -> bool:
    who = row.attribution
    return (
        row.tenant == query.tenant
        and (query.since is None or query.since <= row.created_at)
        and (query.until is None or row.created_at < query.until)
        and query.request_id in {None, row.request_id}
        and (query.flow_run_id is None or query.flow_run_id in {who.flow_run_id, who.root_flow_run_id})
    )


def _line(group: Mapping[Dimension, str | None], rows: Sequence[LedgerRow]) -> ReportLine:
    hits = [row for row in rows if row.cache_hit]
    attempts = [row for row in rows if not row.cache_hit]
    return ReportLine(
        group=group,
        calls=len({row.call_key for row in rows}),
        hits=len({row.call_key for row in hits}),
        attempts=len(attempts),
        input_tokens=sum(row.usage.input_tokens for row in attempts),
        output_tokens=sum(row.usage.output_tokens for row in attempts),
        cost_usd=sum((row.cost.usd for row in rows if row.cost is not None), Decimal(0)),
        saved_usd=sum((row.saved_usd for row in rows if row.saved_usd is not None), Decimal(0)),
        unpriced=sum(row.cost is None for row in attempts),
        median_latency_ms=median(row.latency_ms for row in rows),
        slowest_ms=max(row.latency_ms for row in rows),
    )


def _stats(layer: Layer, counts: Sequence[LookUpCounts]) -> LayerStats:
    total = _sum(counts)
    return LayerStats(
        layer=layer,
        hits=total.hits,
        misses=total.misses,
        corrupt=total.corrupt,
        refusals=total.refusals,
        stores=total.stores,
        saved_usd=total.saved_usd,
    )


def _sum(counts: Sequence[LookUpCounts]) -> LookUpCounts:
    return LookUpCounts(
        hits=sum(count.hits for count in counts),
        misses=sum(count.misses for count in counts),
        corrupt=sum(count.corrupt for count in counts),
        refusals=sum(count.refusals for count in counts),
        stores=sum(count.stores for count in counts),
        saved_usd=sum((count.saved_usd for count in counts), Decimal(0)),
    )
