"""What waits in memory for the ledger, and the batch that is made of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from cognition.domain.entry import Address
from cognition.domain.ledger import CountKey, LedgerBatch, LedgerRow, LookUpCounts, hour_of
from cognition.domain.pricing import Cost
from cognition.domain.semantic import Pair
from cognition.domain.settlement import Settlement
from cognition.events import Answered


@dataclass(slots=True)
class Waiting:
    """What is written with the next batch.

    Attributes:
        rows: Rows.
        hits: Hits, of which rows are made when they are written, with their time.
        counts: Look-ups.
        accesses: How often each entry answered, with the last time.
        pairs: Similar questions that met.
        settlements: Attempts that neither the store nor the spool took.
    """

    rows: list[LedgerRow] = field(default_factory=list[LedgerRow])
    hits: list[tuple[Iterable[Answered], datetime]] = field(default_factory=list[tuple[Iterable[Answered], datetime]])
    counts: defaultdict[CountKey, LookUpCounts] = field(default_factory=lambda: defaultdict(LookUpCounts))
    accesses: dict[Address, tuple[int, datetime]] = field(default_factory=dict[Address, tuple[int, datetime]])
    pairs: list[Pair] = field(default_factory=list[Pair])
    settlements: list[Settlement] = field(default_factory=list[Settlement])

    def batch(self) -> LedgerBatch:
        """Return everything but the settlements as a batch; to be called once."""
        rows = list(self.rows)
        for answered, when in ((answered, when) for events, when in self.hits for answered in events):
            row = _hit_row(answered, when)
            rows.append(row)
            key = CountKey(row.tenant, row.layer, row.namespace, row.requested_model, hour_of(when))
            self.counts[key].saved_usd += row.saved_usd or Decimal(0)
            _access(self.accesses, answered.address, 1, when)
        return LedgerBatch(rows=rows, counts=dict(self.counts), accesses=self.accesses, pairs=self.pairs)

    def put_back(self, batch: LedgerBatch) -> None:
        """Let a batch wait again, before what came meanwhile."""
        self.rows[:0] = batch.rows
        self.pairs[:0] = batch.pairs
        for key, counts in batch.counts.items():
            _add(self.counts[key], counts)
        for address, (times, when) in batch.accesses.items():
            _access(self.accesses, address, times, when)


def is_empty(batch: LedgerBatch) -> bool:
    """Return whether there is nothing to write."""
    return not (batch.rows or batch.counts or batch.accesses or batch.pairs)


def _hit_row(answered: Answered, when: datetime) -> LedgerRow:
    completion, call = answered.completion, answered.call
    return LedgerRow(
        tenant=call.request.tenant,
        namespace=call.request.namespace,
        attribution=call.attribution,
        request_id=call.request_id,
        request_key=answered.address.key,
        model=completion.model,
        requested_model=completion.requested_model,
        usage=completion.usage,
        cost=Cost(usd=Decimal(0), source="cache", version=""),
        saved_usd=completion.saved_usd,
        layer=completion.layer,
        status="cache_hit",
        attempt=0,
        latency_ms=completion.latency.total_seconds() * 1000,
        created_at=when,
    )


def _add(total: LookUpCounts, more: LookUpCounts) -> None:
    total.hits += more.hits
    total.misses += more.misses
    total.corrupt += more.corrupt
    total.refusals += more.refusals
    total.stores += more.stores
    total.saved_usd += more.saved_usd


def _access(total: dict[Address, tuple[int, datetime]], address: Address, times: int, when: datetime) -> None:
    before, last = total.get(address, (0, when))
    total[address] = (before + times, max(last, when))
