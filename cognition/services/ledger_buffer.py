"""Takes what calls cost and saved to the ledger: attempts at once, hits in batches, and nothing is lost on the way.

An attempt that cannot be booked is put into the spool, on the disk of this machine, before its caller has the answer;
it is replayed when the store is back, by this process or by another. Hits wait in memory, because so much they are not
worth; they go to the spool when the engine closes or too many wait.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from cognition.domain.entry import Layer
from cognition.domain.ledger import NOTHING, CountKey, LedgerBatch, LedgerRow, LookUpCounts, hour_of
from cognition.domain.reservation import Reservation
from cognition.domain.settlement import Settlement
from cognition.errors import CacheUnavailable, LedgerFull
from cognition.events import (
    Answered,
    AnsweredMany,
    Emit,
    Event,
    LedgerDropped,
    LedgerReplayed,
    LedgerSpooled,
    LedgerSpoolFull,
    LookedUp,
    PairMet,
    Stored,
    StoreRecovered,
)
from cognition.ports import Clock
from cognition.resilience.store_breaker import StoreBreaker
from cognition.services.ledger_waiting import Waiting, is_empty
from cognition.services.ledger_writer import Books, LedgerWriter

_log = logging.getLogger(__name__)

_FLUSH_SECONDS = 1.0
# Whoever waits for a replay waits no longer; it goes on in the background, or in the next process.
_REPLAY_SECONDS = 5.0

# What a process may hold in memory while PostgreSQL is away, at about 1 kB a row.
_MOST_ROWS = 100_000
_ROW_BYTES = 1000

_LEFT = "%d ledger rows could not be written yet and wait in %s; the next process that opens this database writes them."


class LedgerBuffer:
    """Writes attempts at once, and hits and look-up counts in batches.

    An observer of the engine's events. What cannot be written is tried again every second while something waits.
    """

    def __init__(self, books: Books, breaker: StoreBreaker, clock: Clock, emit: Emit) -> None:
        """Start empty.

        Args:
            books: Where everything is written.
            breaker: Leaves their store alone while it is down.
            clock: Returns the present time.
            emit: Told when rows must wait, are replayed or are given up.
        """
        self._spool = books.spool
        self._writer = LedgerWriter(books, breaker, emit)
        self._breaker = breaker
        self._clock = clock
        self._emit = emit
        self._lock = threading.Lock()
        self._flushing, self._replaying = threading.Lock(), threading.Lock()
        self._waiting = Waiting()
        self._timer: threading.Timer | None = None
        self._failing = self._refused = self._closed = False

    def resume(self) -> None:
        """Replay what processes before this one left in the spool, soon and in the background."""
        if self._spool.waits:
            self._soon()

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
            case StoreRecovered():
                # Others may have died while it was away.
                self.resume()
            case _:
                pass

    @property
    def is_keeping(self) -> bool:
        """Whether what attempts cost is kept for later just now, instead of being booked; cheap."""
        return self._breaker.is_open or self._failing

    def require_room(self) -> None:
        """Return while another attempt can be booked, or kept until it can; to be asked before it costs anything.

        Raises:
            LedgerFull: The store is away, and as much waits for it as may.
        """
        if not self.is_keeping:
            return
        if len(self._waiting.settlements) >= _MOST_ROWS:
            raise LedgerFull.of("memory", _MOST_ROWS * _ROW_BYTES)
        self._spool.require_room()

    def record(self, rows: Sequence[LedgerRow]) -> None:
        """Write rows of attempts now, or keep them until they can be."""
        if not self._breaker.is_open and self._writer.write(LedgerBatch(rows=rows)):
            self._failing = False
        else:
            self._keep([Settlement(row=row) for row in rows])

    def settle(self, settlement: Settlement) -> Reservation:
        """Book what an attempt cost, and write its row, in one transaction; return what the budgets booked.

        While the store is away it is kept until it can be booked.
        """
        if not (settlement.held or settlement.subjects):
            self.record([settlement.row])
            return Reservation()
        booked = None if self._breaker.is_open else self._writer.book(settlement)
        if booked is None:
            self._keep([settlement])
            return Reservation()
        self._failing = False
        return booked

    def note(self, rows: Sequence[LedgerRow]) -> None:
        """Write rows with the next batch."""
        with self._lock:
            self._waiting.rows.extend(rows)
            self._schedule()

    def flush(self) -> bool:
        """Write what waits, in memory or in the spool, for a bounded time; return whether nothing waits any more.

        What other living processes have in the spool is theirs to write.
        """
        return self._flush(_for_a_while())

    def close(self) -> None:
        """Write what waits, a last time; what cannot be written is left in the spool."""
        with self._lock:
            self._closed = True
            if self._timer is not None:
                self._timer.cancel()
        # One that is under way in the background stops at its next step.
        if self._replaying.acquire(timeout=_REPLAY_SECONDS):
            self._replaying.release()
        done = self._flush(_for_a_while())
        left = [*self._waiting.settlements, *(Settlement(row=row) for row in self._waiting.batch().rows)]
        if left and not self._spools(left):
            _log.error("%d ledger rows could not be written before the engine closed, and are lost.", len(left))
        self._spool.close()
        if not done and (state := self._spool.state()).rows:
            _log.warning(_LEFT, state.rows, state.place)

    def forget(self) -> None:
        """Start anew after a fork: what waits is the parent's to write."""
        self._lock = threading.Lock()
        self._flushing, self._replaying = threading.Lock(), threading.Lock()
        self._waiting = Waiting()
        self._timer = None
        self._failing = self._refused = False
        self._spool.forget()

    # -- while calls are answered -------------------------------------------------------------------------------------

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

    def _keep(self, settlements: Sequence[Settlement]) -> None:
        """Put attempts into the spool, or into memory when it does not take them."""
        self._failing = True
        kept = self._spools(settlements)
        with self._lock:
            if not kept:
                self._waiting.settlements.extend(settlements)
            self._schedule()

    def _spools(self, settlements: Sequence[Settlement]) -> bool:
        """Return whether the spool took settlements."""
        try:
            self._spool.append(settlements)
        except CacheUnavailable as error:
            if not self._refused:
                self._refused = True
                self._emit(LedgerSpoolFull(str(error)))
            return False
        self._refused = False
        self._emit(LedgerSpooled(len(settlements)))
        return True

    # -- in the background --------------------------------------------------------------------------------------------

    def _soon(self) -> None:
        with self._lock:
            self._schedule()

    def _schedule(self) -> None:
        """Make sure that a flush comes; the caller holds the lock."""
        if self._timer is None and not self._closed:
            self._timer = threading.Timer(_FLUSH_SECONDS, self._flush_later)
            self._timer.daemon = True
            self._timer.start()

    def _flush_later(self) -> None:
        with self._lock:
            self._timer = None
        self._flush(lambda: not self._closed)

    def _flush(self, may_go_on: Callable[[], bool]) -> bool:
        with self._flushing:
            written = self._write()
        replayed = self._replay(may_go_on)
        if not (written and replayed):
            self._soon()
        return written and replayed

    def _write(self) -> bool:
        """Write what waits in memory; return whether nothing waits there any more."""
        with self._lock:
            waiting, self._waiting = self._waiting, Waiting()
        batch, settlements = waiting.batch(), waiting.settlements
        if not self._breaker.is_open:
            if not is_empty(batch) and self._writer.write(batch):
                batch = NOTHING
            if settlements and self._writer.take(settlements):
                settlements = []
        if is_empty(batch) and not settlements:
            return True
        self._put_back(batch, settlements)
        return False

    def _put_back(self, batch: LedgerBatch, settlements: Sequence[Settlement]) -> None:
        """Let attempts, and hits of which too many wait, go to the spool, and the rest wait in memory."""
        hits = [row for row in batch.rows if row.cache_hit]
        attempts = [*settlements, *(Settlement(row=row) for row in batch.rows if not row.cache_hit)]
        surplus = max(len(hits) - _MOST_ROWS, 0)
        leaving = [*attempts, *(Settlement(row=row) for row in hits[:surplus])]
        dropped = 0
        if not leaving or self._spools(leaving):
            attempts = []
        else:
            dropped = surplus
        with self._lock:
            self._waiting.put_back(replace(batch, rows=hits[surplus:]))
            self._waiting.settlements[:0] = attempts
        if dropped:
            self._emit(LedgerDropped(dropped))

    def _replay(self, may_go_on: Callable[[], bool]) -> bool:
        """Book what waits in the spool; return whether nothing of ours or of the dead waits there any more."""
        if not self._spool.waits:
            return True
        # Another thread that is at it is not waited for: it may take long.
        if self._breaker.is_open or not self._replaying.acquire(blocking=False):
            return False
        replayed = 0

        def take(settlements: Sequence[Settlement]) -> bool:
            nonlocal replayed
            if self._breaker.is_open or not may_go_on() or not self._writer.take(settlements):
                return False
            replayed += len(settlements)
            self._failing = False
            return True

        try:
            done = self._spool.replay(take)
        finally:
            self._replaying.release()
        if replayed:
            self._emit(LedgerReplayed(replayed))
        return done


def _for_a_while() -> Callable[[], bool]:
    end = time.monotonic() + _REPLAY_SECONDS
    return lambda: time.monotonic() < end
