"""The ledger buffer loses no money: what cannot be written waits, in order, and what is given up is said."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from cognition.adapters.memory import MemoryBudgets
from cognition.domain.attribution import Attribution
from cognition.domain.completion import Call, Completion, CompletionRequest
from cognition.domain.entry import Layer
from cognition.domain.fingerprint import address_of
from cognition.domain.ledger import LedgerBatch, LedgerRow
from cognition.events import Answered, Event, LedgerDelayed, LedgerDropped, LookedUp, Stored
from cognition.resilience.store_breaker import StoreBreaker
from cognition.services import ledger_buffer
from cognition.services.ledger_buffer import Books, LedgerBuffer
from cognition.testing.clock import FakeClock
from cognition.testing.contracts.samples import MODEL, a_row, an_answer
from tests.unit.failing_ledger import FailingLedger

TENANT, NAMESPACE = "acme", "support"
SAVED = Decimal("0.0004")


@pytest.fixture
def ledger() -> FailingLedger:
    """Return an empty ledger that answers."""
    return FailingLedger()


@pytest.fixture
def events() -> list[Event]:
    """Return what the buffer emitted."""
    return []


@pytest.fixture
def breaker(ledger: FailingLedger) -> StoreBreaker:
    """Return a breaker that stays open once it was tripped, because it never probes."""
    breaker = StoreBreaker("postgres", ledger.ping, lambda _: None)
    breaker.close()
    return breaker


@pytest.fixture
def buffer(
    ledger: FailingLedger, breaker: StoreBreaker, clock: FakeClock, events: list[Event], monkeypatch: pytest.MonkeyPatch
) -> LedgerBuffer:
    """Return an empty buffer that is flushed by the test alone: its timers never run out."""
    monkeypatch.setattr(ledger_buffer, "_FLUSH_SECONDS", threading.TIMEOUT_MAX)
    return LedgerBuffer(books(ledger), breaker, clock, events.append)


def books(ledger: FailingLedger) -> Books:
    """Return a ledger with budgets that use it."""
    return Books(ledger, MemoryBudgets(FakeClock(), ledger))


def rows(*names: str) -> list[LedgerRow]:
    """Return rows of calls with these request ids."""
    return [a_row(request_id=name) for name in names]


def recover(ledger: FailingLedger, breaker: StoreBreaker) -> None:
    """Let the ledger answer again, and the breaker know."""
    ledger.down = False
    breaker.forget()
    breaker.close()


def a_hit(name: str = "hit", prompt: str = "Why?") -> Answered:
    """Return the event of an answer from L1."""
    request = CompletionRequest(prompt=prompt, model=MODEL, tenant=TENANT, namespace=NAMESPACE)
    completion = Completion(
        output="It depends.",
        response=an_answer("It depends."),
        layer=Layer.L1,
        request_id=name,
        model=MODEL,
        requested_model=MODEL,
        cost_usd=Decimal(0),
        saved_usd=SAVED,
        latency=timedelta(milliseconds=2),
    )
    call = Call(request=request, attribution=Attribution(user="alice"), request_id=name)
    return Answered(call, address_of(request), completion)


def a_look_up(**counts: int) -> LookedUp:
    """Return the event of look-ups in L1."""
    return LookedUp(TENANT, NAMESPACE, MODEL, Layer.L1, **counts)


def counted(ledger: FailingLedger, clock: FakeClock) -> dict[str, Any]:
    """Return what the ledger counted in L1."""
    (stats,) = ledger.stats(TENANT, timedelta(hours=1), clock())
    return {name: getattr(stats, name) for name in ("hits", "misses", "corrupt", "stores", "saved_usd")}


def test_attempts_are_written_at_once(buffer: LedgerBuffer, ledger: FailingLedger) -> None:
    """Money that was spent does not wait in memory."""
    buffer.record(rows("first", "second"))

    assert ["first", "second"] == ledger.written


def test_noted_rows_wait_for_the_batch(buffer: LedgerBuffer, ledger: FailingLedger) -> None:
    """And are then written in one transaction, in their order."""
    buffer.note(rows("first"))
    buffer.note(rows("second"))
    assert [] == ledger.batches

    assert buffer.flush()

    assert [["first", "second"]] == [[row.request_id for row in batch.rows] for batch in ledger.batches]


def test_hits_wait_for_the_batch(buffer: LedgerBuffer, ledger: FailingLedger, clock: FakeClock) -> None:
    """After the attempts noted before; each has its own row, and the entry's accesses are counted."""
    noon = clock()
    buffer.observe(a_hit("one"))
    last = clock.advance(timedelta(minutes=1))
    buffer.observe(a_hit("two"))
    buffer.note(rows("attempt"))
    assert [] == ledger.batches

    buffer.flush()

    assert [("attempt", "ok"), ("one", "cache_hit"), ("two", "cache_hit")] == [
        (row.request_id, row.status) for row in ledger.rows
    ]
    assert [noon, last] == [row.created_at for row in ledger.rows[1:]]
    assert {a_hit().address: (2, last)} == ledger.accesses


def test_a_hit_is_booked_with_what_it_saved(buffer: LedgerBuffer, ledger: FailingLedger, clock: FakeClock) -> None:
    """To whom it belongs, at no cost."""
    buffer.observe(a_hit())
    buffer.flush()

    (row,) = ledger.rows
    assert row.cost is not None
    assert ("alice", Layer.L1, 0, Decimal(0), SAVED, 2.0) == (
        row.attribution.user, row.layer, row.attempt, row.cost.usd, row.saved_usd, row.latency_ms
    )  # fmt: skip
    assert SAVED == counted(ledger, clock)["saved_usd"]


def test_an_answer_of_the_provider_is_no_hit(buffer: LedgerBuffer, ledger: FailingLedger) -> None:
    """Its attempts are recorded by those who made them."""
    answered = a_hit()
    paid = replace(answered.completion, layer=Layer.PROVIDER)
    buffer.observe(replace(answered, completion=paid))

    assert buffer.flush()
    assert [] == ledger.batches


def test_look_ups_are_added_up(buffer: LedgerBuffer, ledger: FailingLedger, clock: FakeClock) -> None:
    """In one count an hour and layer, however many there were."""
    buffer.observe(a_look_up(hits=1))
    buffer.observe(a_look_up(hits=2, misses=3, corrupt=1))
    buffer.observe(Stored(a_hit().address, MODEL, Layer.L1))
    buffer.flush()
    buffer.observe(a_look_up(misses=1))
    buffer.flush()

    assert {"hits": 3, "misses": 4, "corrupt": 1, "stores": 1, "saved_usd": 0} == counted(ledger, clock)


def test_counts_belong_to_the_hour_of_the_look_up(
    buffer: LedgerBuffer, ledger: FailingLedger, clock: FakeClock
) -> None:
    """Not to the one in which they are written."""
    buffer.observe(a_look_up(hits=1))
    noon = clock()
    clock.advance(timedelta(hours=1))
    buffer.flush()

    assert [noon] == [key.hour for key in ledger.batches[0].counts]


def test_what_a_dead_ledger_does_not_take_waits(
    buffer: LedgerBuffer, ledger: FailingLedger, breaker: StoreBreaker, events: list[Event]
) -> None:
    """An event says so, the breaker opens, and nobody asks the ledger again until it is back."""
    ledger.down = True

    buffer.record(rows("attempt"))

    assert [1] == [event.rows for event in events if isinstance(event, LedgerDelayed)]
    assert breaker.is_open
    buffer.record(rows("later"))
    assert not buffer.flush()
    assert 1 == len(ledger.batches)


def test_what_waited_is_written_first(buffer: LedgerBuffer, ledger: FailingLedger, breaker: StoreBreaker) -> None:
    """In the order of the calls, once the ledger answers again."""
    ledger.down = True
    buffer.note(rows("first"))
    assert not buffer.flush()
    buffer.note(rows("second"))
    assert not buffer.flush()
    recover(ledger, breaker)
    buffer.note(rows("third"))

    assert buffer.flush()
    assert ["first", "second", "third"] == ledger.written


def test_counts_survive_a_dead_ledger(
    buffer: LedgerBuffer, ledger: FailingLedger, breaker: StoreBreaker, clock: FakeClock
) -> None:
    """They are added to those of the time after, hits and their savings once."""
    ledger.down = True
    buffer.observe(a_look_up(hits=1, misses=1))
    buffer.observe(a_hit())
    assert not buffer.flush()
    assert not buffer.flush()
    recover(ledger, breaker)
    buffer.observe(a_look_up(hits=1))

    assert buffer.flush()
    assert {"hits": 2, "misses": 1, "corrupt": 0, "stores": 0, "saved_usd": SAVED} == counted(ledger, clock)
    assert ["hit"] == ledger.written


def test_accesses_survive_a_dead_ledger(
    buffer: LedgerBuffer, ledger: FailingLedger, breaker: StoreBreaker, clock: FakeClock
) -> None:
    """Which entries are used decides what is evicted, after an outage too."""
    ledger.down = True
    buffer.observe(a_hit("one"))
    buffer.flush()
    recover(ledger, breaker)
    buffer.observe(a_hit("two"))

    buffer.flush()

    assert {a_hit().address: (2, clock())} == ledger.accesses


def test_above_the_limit_the_oldest_rows_are_given_up(
    buffer: LedgerBuffer,
    ledger: FailingLedger,
    breaker: StoreBreaker,
    events: list[Event],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An event says how many; the newest are written later."""
    monkeypatch.setattr(ledger_buffer, "_MOST_ROWS", 3)
    ledger.down = True
    buffer.note(rows("a", "b", "c"))
    assert not buffer.flush()
    assert [] == [event for event in events if isinstance(event, LedgerDropped)]
    buffer.note(rows("d", "e"))
    assert not buffer.flush()

    assert [LedgerDropped(2)] == [event for event in events if isinstance(event, LedgerDropped)]
    recover(ledger, breaker)
    buffer.flush()
    assert ["c", "d", "e"] == ledger.written


@pytest.mark.parametrize("poison", "abcdefg")
def test_a_row_that_cannot_be_written_holds_up_no_other(
    buffer: LedgerBuffer, ledger: FailingLedger, clock: FakeClock, caplog: pytest.LogCaptureFixture, poison: str
) -> None:
    """Wherever it stands, it alone is given up, and a log line says so; look-ups are counted once."""
    ledger.poison = {poison}
    buffer.note(rows(*"abcdefg"))
    buffer.observe(a_look_up(hits=1, misses=1))

    assert buffer.flush()

    assert sorted(set("abcdefg") - {poison}) == ledger.written
    assert ["A ledger row cannot be written and is given up."] == [record.message for record in caplog.records]
    assert (1, 1) == (counted(ledger, clock)["hits"], counted(ledger, clock)["misses"])


def test_a_row_that_cannot_be_written_is_found_by_halving(buffer: LedgerBuffer, ledger: FailingLedger) -> None:
    """Two batches for each halving, not one for each row."""
    names = [f"{number:03}" for number in range(64)]
    ledger.poison = {"017"}
    buffer.note(rows(*names))

    buffer.flush()

    halvings = 6
    assert len(ledger.batches) <= 1 + 2 * halvings
    assert [name for name in names if name != "017"] == ledger.written


def test_counts_that_cannot_be_written_hold_up_no_row(
    buffer: LedgerBuffer, ledger: FailingLedger, caplog: pytest.LogCaptureFixture
) -> None:
    """Only they are given up."""
    ledger.poisoned_counts = True
    buffer.note(rows("a", "b"))
    buffer.observe(a_look_up(hits=1))

    assert buffer.flush()

    assert ["a", "b"] == ledger.written
    assert "A look-up count cannot be written and is given up." in [record.message for record in caplog.records]


def test_a_poison_row_is_not_tried_for_ever(
    buffer: LedgerBuffer, ledger: FailingLedger, caplog: pytest.LogCaptureFixture
) -> None:
    """An attempt that the ledger refuses is logged by the one who recorded it, and not kept for the next batch."""
    ledger.poison = {"bad"}

    buffer.record(rows("bad"))

    assert 1 == len(caplog.records)
    assert buffer.flush()
    assert 1 == len(ledger.batches)


def test_closing_writes_what_waits(
    buffer: LedgerBuffer, ledger: FailingLedger, caplog: pytest.LogCaptureFixture
) -> None:
    """And has nothing to say then."""
    buffer.note(rows("last"))

    buffer.close()

    assert ["last"] == ledger.written
    assert [] == caplog.records


def test_closing_says_what_could_not_be_written(
    buffer: LedgerBuffer, ledger: FailingLedger, caplog: pytest.LogCaptureFixture
) -> None:
    """One line with the number of rows, hits included, is all that is left of them."""
    ledger.down = True
    buffer.note(rows("a", "b"))
    buffer.observe(a_hit())

    buffer.close()

    assert [(logging.ERROR, "3 ledger rows could not be written before the engine closed.")] == [
        (record.levelno, record.message) for record in caplog.records
    ]


def test_a_batch_is_written_without_being_asked_for(
    ledger: FailingLedger, breaker: StoreBreaker, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A timer starts with the first row that waits."""
    monkeypatch.setattr(ledger_buffer, "_FLUSH_SECONDS", 0.001)
    written = threading.Event()
    record = ledger.record
    monkeypatch.setattr(ledger, "record", _then(record, written))
    buffer = LedgerBuffer(books(ledger), breaker, clock, lambda _: None)

    buffer.note(rows("first"))

    assert written.wait(10)
    assert ["first"] == ledger.written


def _then(record: Callable[[LedgerBatch], None], written: threading.Event) -> Callable[[LedgerBatch], None]:
    def recording(batch: LedgerBatch) -> None:
        record(batch)
        written.set()

    return recording


def test_rows_noted_by_many_threads_are_all_written(buffer: LedgerBuffer, ledger: FailingLedger) -> None:
    """Once each, while others flush."""

    def note(names: Sequence[str]) -> None:
        for name in names:
            buffer.note(rows(name))
            buffer.flush()

    parts = [[f"{thread}-{number}" for number in range(50)] for thread in range(4)]
    threads = [threading.Thread(target=note, args=(part,)) for part in parts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    buffer.flush()
    assert sorted(name for part in parts for name in part) == sorted(ledger.written)
