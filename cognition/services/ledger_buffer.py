"""Keeps ledger rows of cache hits off the caller's path: they wait in memory and are written in batches."""

from __future__ import annotations

import logging
import threading
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal

from cognition.domain.entry import Address, Layer
from cognition.domain.ledger import CountKey, LedgerBatch, LedgerRow, LookUpCounts, hour_of
from cognition.domain.pricing import Cost
from cognition.domain.reservation import Reservation
from cognition.domain.semantic import Pair
from cognition.domain.settlement import Settlement
from cognition.errors import CacheUnavailable
from cognition.events import (
    Answered,
    AnsweredMany,
    Emit,
    Event,
    LedgerDelayed,
    LedgerDropped,
    LookedUp,
    PairMet,
    Stored,
)
from cognition.ports import Clock, Ledger, PairStore
from cognition.resilience.budget_store import BudgetStore
from cognition.resilience.store_breaker import StoreBreaker

_log = logging.getLogger(__name__)

_FLUSH_SECONDS = 1.0


# About 1 kB a row: what a process may hold while PostgreSQL is away.
_MOST_ROWS = 100_000


@dataclass(slots=True)
class _Waiting:
    rows: list[LedgerRow] = field(default_factory=list[LedgerRow])
    hits: list[tuple[Iterable[Answered], datetime]] = field(default_factory=list[tuple[Iterable[Answered], datetime]])
    counts: defaultdict[CountKey, LookUpCounts] = field(default_factory=lambda: defaultdict(LookUpCounts))
    accesses: dict[Address, tuple[int, datetime]] = field(default_factory=dict[Address, tuple[int, datetime]])
    pairs: list[Pair] = field(default_factory=list[Pair])

    def __len__(self) -> int:
        return len(self.rows) + len(self.hits) + len(self.pairs)


@dataclass(frozen=True, slots=True)
class Books:
    """Where everything is written, all of it in one database.

    Attributes:
        ledger: Takes rows.
        budgets: Take what attempts cost; they write its row in the same transaction.
        pairs: Take pairs of similar questions, None when no embedder is set.
    """

    ledger: Ledger
    budgets: BudgetStore
    pairs: PairStore | None = None


class LedgerBuffer:
    """Writes attempts at once, and hits and look-up counts in batches.

    An observer of the engine's events. A batch that cannot be written stays and is tried again with the next one;
    when too many rows wait, the oldest are given up and an event says so.
    """

    def __init__(self, books: Books, breaker: StoreBreaker, clock: Clock, emit: Emit) -> None:
        """Start empty.

        Args:
            books: Where everything is written.
            breaker: Leaves their store alone while it is down.
            clock: Returns the present time.
            emit: Told when rows must wait or are given up.
        """
        self._books = books
        self._breaker = breaker
        self._clock = clock
        self._emit = emit
        self._lock = threading.Lock()
        self._flushing = threading.Lock()
        self._waiting = _Waiting()
        self._timer: threading.Timer | None = None
        self._closed = False

    def observe(self, event: Event) -> None:
        """Take what belongs in the ledger from an event."""
        match event:
            case Answered(completion=completion) if completion.layer is not Layer.PROVIDER:
                self._note_hits([event])
            case AnsweredMany():
                self._note_hits(event)
            case PairMet():
                with self._lock:
                    self._waiting.pairs.append(event.pair)
                    self._schedule()
            case LookedUp():
                self._count(event)
            case Stored():
                with self._lock:
                    self._counts_of(event.address.tenant, event.layer, event.address.namespace, event.model).stores += 1
                    self._schedule()
            case _:
                pass

    def record(self, rows: Sequence[LedgerRow]) -> None:
        """Write rows now; while the store is down they wait like the others."""
        if self._breaker.is_open or not self._write(LedgerBatch(rows=rows)):
            self.note(rows)

    def settle(self, settlement: Settlement) -> Reservation:
        """Book what an attempt cost, and write its row, in one transaction; return what the budgets booked.

        While the store is down the row waits like the others.
        """
        row = settlement.row
        if not settlement.held:
            self.record([row])
            return Reservation()
        try:
            if not self._breaker.is_open:
                return self._books.budgets.settle(settlement.attempt, settlement.cost_usd, LedgerBatch(rows=[row]))
        except CacheUnavailable as error:
            self._breaker.trip(error)
            self._emit(LedgerDelayed(1, str(error)))
        self.note([row])
        return Reservation()

    def note(self, rows: Sequence[LedgerRow]) -> None:
        """Write rows with the next batch."""
        with self._lock:
            self._waiting.rows.extend(rows)
            self._schedule()

    def flush(self) -> bool:
        """Write everything that waits; return whether nothing waits any more."""
        with self._flushing:
            with self._lock:
                waiting, self._waiting = self._waiting, _Waiting()
            if not waiting and not waiting.counts:
                return True
            batch = _batch_of(waiting)
            if not self._breaker.is_open and self._write(batch):
                return True
            self._put_back(batch)
            return False

    def close(self) -> None:
        """Write what waits, a last time."""
        with self._lock:
            self._closed = True
            if self._timer is not None:
                self._timer.cancel()
        if not self.flush():
            _log.error("%d ledger rows could not be written before the engine closed.", len(self._waiting))

    def forget(self) -> None:
        """Start anew after a fork: what waits is the parent's to write."""
        self._lock = threading.Lock()
        self._flushing = threading.Lock()
        self._waiting = _Waiting()
        self._timer = None

    def _note_hits(self, events: Iterable[Answered]) -> None:
        """Take hits, of which rows are made when they are written."""
        with self._lock:
            self._waiting.hits.append((events, self._clock()))
            self._schedule()

    def _count(self, event: LookedUp) -> None:
        with self._lock:
            counts = self._counts_of(event.tenant, event.layer, event.namespace, event.model)
            counts.hits += event.hits
            counts.misses += event.misses
            counts.corrupt += event.corrupt
            counts.refusals += event.refusals
            self._schedule()

    def _counts_of(self, tenant: str, layer: Layer, namespace: str, model: str) -> LookUpCounts:
        hour = hour_of(self._clock())
        return self._waiting.counts[CountKey(tenant, layer, namespace, model, hour)]

    def _schedule(self) -> None:
        """Make sure that a flush comes; the caller holds the lock."""
        if self._timer is None and not self._closed:
            self._timer = threading.Timer(_FLUSH_SECONDS, self._flush_later)
            self._timer.daemon = True
            self._timer.start()

    def _flush_later(self) -> None:
        with self._lock:
            self._timer = None
        self.flush()

    def _write(self, batch: LedgerBatch) -> bool:
        """Return False when the store is down; rows that can never be written are logged and given up."""
        try:
            # First, because a pair that is noted twice changes nothing, and look-up counts would grow twice.
            if batch.pairs and self._books.pairs is not None:
                self._books.pairs.note(batch.pairs)
            self._books.ledger.record(batch)
        except CacheUnavailable as error:
            self._breaker.trip(error)
            self._emit(LedgerDelayed(len(batch.rows), str(error)))
            return False
        except Exception:  # noqa: BLE001  one bad row must not keep the money of the others out
            return self._write_parts(batch)
        return True

    def _write_parts(self, batch: LedgerBatch) -> bool:
        """Write the rows that can be written; look-up counts go last, so that nothing is counted twice on the way."""
        if batch.rows and (batch.counts or batch.accesses or batch.pairs):
            return self._write(LedgerBatch(rows=batch.rows)) and self._write(replace(batch, rows=()))
        if len(batch.rows) > 1:
            middle = len(batch.rows) // 2
            parts = (batch.rows[:middle], batch.rows[middle:])
            return all(self._write(LedgerBatch(rows=rows)) for rows in parts)
        _log.exception("%s cannot be written and is given up.", "A ledger row" if batch.rows else "A look-up count")
        return True

    def _put_back(self, batch: LedgerBatch) -> None:
        dropped = 0
        with self._lock:
            self._waiting.rows[:0] = batch.rows
            self._waiting.pairs[:0] = batch.pairs
            for key, counts in batch.counts.items():
                _add(self._waiting.counts[key], counts)
            for address, (times, when) in batch.accesses.items():
                _access(self._waiting.accesses, address, times, when)
            if len(self._waiting.rows) > _MOST_ROWS:
                dropped = len(self._waiting.rows) - _MOST_ROWS
                # The oldest hits first: attempts were paid for.
                self._waiting.rows.sort(key=lambda row: not row.cache_hit)
                del self._waiting.rows[:dropped]
            self._schedule()
        if dropped:
            self._emit(LedgerDropped(dropped))


def _batch_of(waiting: _Waiting) -> LedgerBatch:
    rows = list(waiting.rows)
    for answered, when in ((answered, when) for events, when in waiting.hits for answered in events):
        row = _hit_row(answered, when)
        rows.append(row)
        key = CountKey(row.tenant, row.layer, row.namespace, row.requested_model, hour_of(when))
        waiting.counts[key].saved_usd += row.saved_usd or Decimal(0)
        _access(waiting.accesses, answered.address, 1, when)
    return LedgerBatch(rows=rows, counts=dict(waiting.counts), accesses=waiting.accesses, pairs=waiting.pairs)


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
