"""Rows of hits and look-up counts wait in memory; money is written at once; nothing is lost on the way."""

from __future__ import annotations

import threading
from datetime import timedelta
from decimal import Decimal

import pytest

from cognition import Attribution
from cognition.adapters.memory import MemoryLedger
from cognition.domain.completion import Call, Completion, CompletionRequest
from cognition.domain.entry import Layer
from cognition.domain.ledger import LayerStats, LedgerBatch, LedgerRow
from cognition.errors import CacheUnavailable
from cognition.events import Answered, Event, LedgerDelayed, LedgerDropped, LookedUp, Stored
from cognition.resilience.store_breaker import StoreBreaker
from cognition.services.ledger_buffer import LedgerBuffer
from cognition.testing.clock import FakeClock
from cognition.testing.contracts.samples import MODEL, a_row, an_address, an_answer

ADDRESS = an_address()


class FragileLedger(MemoryLedger):
    """A ledger that can be down, or refuse the rows of one model."""

    def __init__(self) -> None:
        super().__init__()
        self.down = False
        self.poison: str | None = None
        self.goes_down_after: int | None = None
        self.batches: list[int] = []

    def record(self, batch: LedgerBatch) -> None:
        """Write, unless told otherwise."""
        if self.goes_down_after is not None and len(self.batches) >= self.goes_down_after:
            self.down = True
        if self.down:
            raise CacheUnavailable.of(self.name, "it was taken down")
        if any(row.error == self.poison for row in batch.rows if self.poison):
            raise ValueError("a row holds what the database cannot keep")
        self.batches.append(len(batch.rows))
        super().record(batch)

    def ping(self) -> None:
        """Answer, or fail while it is down."""
        if self.down:
            raise CacheUnavailable.of(self.name, "it was taken down")


class Desk:
    """A buffer and everything around it; nothing is flushed by itself."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.clock = FakeClock()
        self.ledger = FragileLedger()
        self.breaker = StoreBreaker("memory", self.ledger.ping, self.events.append)
        self.buffer = LedgerBuffer(self.ledger, self.breaker, self.clock, self.events.append)

    def l1(self) -> LayerStats | None:
        """Return what is counted for L1."""
        counted = self.ledger.stats("acme", timedelta(hours=24), self.clock())
        return next((stats for stats in counted if stats.layer is Layer.L1), None)

    def hit(self) -> None:
        """Let a caller be answered from L1."""
        request = CompletionRequest(prompt="q", model=MODEL, tenant="acme", namespace="support")
        completion = Completion(
            output="a",
            response=an_answer(),
            layer=Layer.L1,
            request_id="r",
            model=MODEL,
            requested_model=MODEL,
            cost_usd=Decimal(0),
            saved_usd=Decimal("0.001"),
            latency=timedelta(milliseconds=1),
        )
        number = str(len(self.events))
        call = Call(request=request, attribution=Attribution(user="alice"), request_id=number)
        self.buffer.observe(LookedUp("acme", "support", MODEL, Layer.L1, hits=1))
        self.buffer.observe(Answered(call, ADDRESS, completion))
        self.events.append(LookedUp("acme", "support", MODEL, Layer.L1, hits=1))


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch) -> Desk:
    """Return a desk whose timer never rings."""
    monkeypatch.setattr("cognition.services.ledger_buffer._FLUSH_SECONDS", 3600.0)
    return Desk()


def test_money_is_written_at_once(desk: Desk) -> None:
    """An attempt that cost something stands in the ledger before its caller goes on."""
    desk.buffer.record([a_row()])
    assert len(desk.ledger.rows) == 1


def test_hits_wait_and_are_written_together(desk: Desk) -> None:
    """One transaction for many hits, with counts, savings and the last time of access."""
    for _ in range(3):
        desk.hit()
    desk.buffer.observe(Stored(ADDRESS, MODEL, Layer.L1))
    assert desk.ledger.rows == []
    assert desk.buffer.flush()
    assert desk.ledger.batches == [3]
    assert {(row.status, row.attempt, row.saved_usd) for row in desk.ledger.rows} == {
        ("cache_hit", 0, Decimal("0.001"))
    }
    stats = desk.l1()
    assert stats is not None
    assert (stats.hits, stats.misses, stats.stores, stats.saved_usd) == (3, 0, 1, Decimal("0.003"))
    assert desk.ledger.accesses == {ADDRESS: (3, desk.clock())}


def test_nothing_to_write_is_not_written(desk: Desk) -> None:
    """An idle engine leaves the database alone."""
    assert desk.buffer.flush()
    assert desk.ledger.batches == []


def test_a_flush_comes_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever only ever hits is booked too."""
    monkeypatch.setattr("cognition.services.ledger_buffer._FLUSH_SECONDS", 0.001)
    desk = Desk()
    desk.hit()
    written = threading.Event()
    for _ in range(1000):
        if desk.ledger.rows or written.wait(0.001):
            break
    assert len(desk.ledger.rows) == 1
    desk.buffer.close()


def test_rows_wait_while_the_store_is_down(desk: Desk) -> None:
    """They are told about, kept, and written once when it is back."""
    desk.ledger.down = True
    desk.buffer.record([a_row()])
    desk.hit()
    assert not desk.buffer.flush()
    assert not desk.buffer.flush()
    assert [event.rows for event in desk.events if isinstance(event, LedgerDelayed)] == [1]
    desk.ledger.down = False
    desk.breaker.forget()
    assert desk.buffer.flush()
    assert len(desk.ledger.rows) == 2
    stats = desk.l1()
    assert stats is not None
    assert stats.hits == 1


def test_a_bad_row_does_not_keep_the_others_out(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    """It alone is given up and logged; whatever its place, counts and the money of others are written."""
    desk.ledger.poison = "Bad"
    for place in range(5):
        rows = [a_row() for _ in range(5)]
        rows[place] = a_row(error="Bad")
        desk.buffer.note(rows)
        desk.hit()
        assert desk.buffer.flush()
        stats = desk.l1()
        assert stats is not None
        assert stats.hits == place + 1
    assert len(desk.ledger.rows) == 5 * 4 + 5
    assert caplog.text.count("A ledger row cannot be written and is given up.") == 5


def test_a_bad_row_alone_takes_no_counts_with_it(desk: Desk) -> None:
    """The counts that wait with it are written by themselves."""
    desk.ledger.poison = "Bad"
    desk.buffer.observe(LookedUp("acme", "support", MODEL, Layer.L1, misses=1))
    desk.buffer.note([a_row(error="Bad")])
    assert desk.buffer.flush()
    stats = desk.l1()
    assert stats is not None
    assert stats.misses == 1


def test_a_store_that_goes_down_on_the_way_counts_nothing_twice(desk: Desk) -> None:
    """Rows are known by their key, counts are not: they are written last."""
    desk.ledger.poison = "Bad"
    desk.ledger.goes_down_after = 1
    desk.buffer.observe(LookedUp("acme", "support", MODEL, Layer.L1, hits=1))
    desk.buffer.note([a_row(), a_row(error="Bad"), a_row(), a_row()])
    assert not desk.buffer.flush()
    desk.ledger.goes_down_after, desk.ledger.down = None, False
    desk.breaker.forget()
    assert desk.buffer.flush()
    assert len(desk.ledger.rows) == 3
    stats = desk.l1()
    assert stats is not None
    assert stats.hits == 1


def test_memory_is_bounded(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of too many rows the oldest are given up, and an event says how many."""
    monkeypatch.setattr("cognition.services.ledger_buffer._MOST_ROWS", 3)
    desk.ledger.down = True
    rows: list[LedgerRow] = [a_row() for _ in range(5)]
    desk.buffer.note(rows)
    desk.buffer.flush()
    assert [event.rows for event in desk.events if isinstance(event, LedgerDropped)] == [2]
    desk.ledger.down = False
    desk.breaker.forget()
    desk.buffer.flush()
    assert desk.ledger.rows == rows[2:]


def test_hits_are_given_up_before_attempts(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Attempts were paid for; a hit only saved something."""
    monkeypatch.setattr("cognition.services.ledger_buffer._MOST_ROWS", 1)
    desk.ledger.down = True
    paid, hit = a_row(), a_row(layer=Layer.L1, status="cache_hit")
    desk.buffer.note([paid, hit])
    desk.buffer.flush()
    desk.ledger.down = False
    desk.breaker.forget()
    desk.buffer.flush()
    assert desk.ledger.rows == [paid]


def test_closing_writes_what_waits(desk: Desk) -> None:
    """And leaves no timer behind."""
    desk.hit()
    desk.buffer.close()
    assert len(desk.ledger.rows) == 1


def test_closing_says_what_is_lost(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    """One line in the log counts the rows; nothing goes on trying against closed connections."""
    desk.ledger.down = True
    desk.buffer.note([a_row(), a_row()])
    threads = threading.active_count()
    desk.buffer.close()
    assert "2 ledger rows could not be written before the engine closed." in caplog.text
    desk.breaker.close()
    assert threading.active_count() <= threads + 1, "only a probe that is ending"


def test_a_child_process_writes_only_its_own(desk: Desk) -> None:
    """What waited at the fork is the parent's to write."""
    desk.hit()
    desk.buffer.forget()
    desk.hit()
    assert desk.buffer.flush()
    assert len(desk.ledger.rows) == 1


def test_a_provider_answer_is_no_hit(desk: Desk) -> None:
    """Attempts book themselves; only their look-ups are counted here."""
    desk.buffer.observe(LookedUp("acme", "support", MODEL, Layer.L1, misses=1))
    assert desk.buffer.flush()
    assert desk.ledger.rows == []


def test_hours_are_counted_apart(desk: Desk) -> None:
    """A window of an hour does not see what was an hour before."""
    desk.hit()
    desk.clock.advance(timedelta(hours=3))
    desk.hit()
    desk.buffer.flush()
    (stats,) = desk.ledger.stats("acme", timedelta(minutes=1), desk.clock())
    assert stats.hits == 1
