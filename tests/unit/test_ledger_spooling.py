"""Money that was spent while the ledger is away goes to the spool, and from there into the books once."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

import pytest

from cognition.adapters.memory import MemorySpool
from cognition.adapters.memory.spool import SpoolPlace
from cognition.domain.ledger import LedgerBatch
from cognition.domain.settlement import Settlement
from cognition.errors import CacheUnavailable, ConfigurationError, LedgerFull
from cognition.events import (
    BudgetCrossed,
    LedgerDropped,
    LedgerReplayed,
    LedgerSpooled,
    LedgerSpoolFull,
    StoreRecovered,
)
from cognition.services import ledger_buffer
from cognition.testing.contracts.samples import a_row
from tests.unit.ledger_desk import ALICE, DOLLAR, Desk, hits, rows, small_desk, spooled
from tests.unit.memory_engine import eventually


@pytest.fixture(autouse=True)
def no_timers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no timer run out."""
    monkeypatch.setattr(ledger_buffer, "_FLUSH_SECONDS", threading.TIMEOUT_MAX)


@pytest.fixture
def desk() -> Desk:
    """Return a buffer with plenty of room."""
    return Desk()


# -- into the spool ---------------------------------------------------------------------------------------------------


def test_attempts_are_kept_at_once(desk: Desk) -> None:
    """The first that fails, and those after it, which nobody tries."""
    desk.go_down()
    desk.buffer.record(rows("first"))
    desk.buffer.record(rows("second", "third"))
    assert ["first", "second", "third"] == spooled(desk)
    assert [LedgerSpooled(1), LedgerSpooled(2)] == desk.seen(LedgerSpooled)
    assert 1 == len(desk.ledger.batches)


def test_free_attempts_are_kept_with_the_batch(desk: Desk) -> None:
    """They are attempts, too; hits wait in memory."""
    desk.go_down()
    desk.buffer.note([*rows("free"), *hits("hit")])
    assert not desk.buffer.flush()
    assert ["free"] == spooled(desk)
    desk.recover()
    assert desk.buffer.flush()
    assert ["hit", "free"] == desk.ledger.written


def test_hits_beyond_the_bound_go_to_the_spool(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest first; none is given up."""
    monkeypatch.setattr(ledger_buffer, "_MOST_ROWS", 3)
    desk.go_down()
    desk.buffer.note(hits("a", "b", "c", "d", "e"))
    assert not desk.buffer.flush()
    assert ["a", "b"] == spooled(desk)
    desk.recover()
    assert desk.buffer.flush()
    assert ["a", "b", "c", "d", "e"] == sorted(desk.ledger.written)
    assert [] == desk.seen(LedgerDropped)


def test_only_hits_are_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """When neither the ledger nor the spool nor the memory has room for more."""
    monkeypatch.setattr(ledger_buffer, "_MOST_ROWS", 3)
    desk = small_desk(0)
    desk.go_down()
    desk.buffer.note([*hits("a", "b", "c", "d", "e"), *rows("1", "2", "3", "4")])
    assert not desk.buffer.flush()
    assert [LedgerDropped(2)] == desk.seen(LedgerDropped)
    desk.recover()
    assert desk.buffer.flush()
    assert ["1", "2", "3", "4", "c", "d", "e"] == sorted(desk.ledger.written)


def test_closing_leaves_all_in_the_spool(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    """Hits as well; one line of the log says where, and another process writes them."""
    desk.go_down()
    desk.buffer.note([*rows("attempt"), *hits("hit")])
    desk.buffer.close()
    (record,) = caplog.records
    assert record.message.startswith("2 ledger rows could not be written yet and wait in memory; the next process")
    assert ["attempt", "hit"] == spooled(Desk(spool=desk.spool))


def test_closing_says_what_could_not_be_kept(caplog: pytest.LogCaptureFixture) -> None:
    """One line with the number of rows is all that is left of them."""
    desk = small_desk(0)
    desk.go_down()
    desk.buffer.note([*rows("a", "b"), *hits("c")])
    desk.buffer.close()
    assert [(logging.ERROR, "3 ledger rows could not be written before the engine closed, and are lost.")] == [
        (record.levelno, record.message) for record in caplog.records
    ]


def test_what_the_spool_refuses_waits_in_memory() -> None:
    """With all that is known of it; an event says so once, until the spool takes something again."""
    desk = small_desk(1)
    desk.budgets.put(DOLLAR, "alice")
    held = desk.hold("0.50")
    desk.go_down()
    desk.buffer.record(rows("first"))
    desk.buffer.record(rows("second"))
    desk.buffer.settle(Settlement(row=held, held=True))
    assert not desk.buffer.flush()
    assert ["first"] == spooled(desk)
    assert 1 == len(desk.seen(LedgerSpoolFull))

    desk.recover()
    assert desk.buffer.flush()
    assert {"first", "second", held.request_id} == set(desk.ledger.written)
    assert (Decimal("0.25"), 0) == desk.figures()


# -- room -------------------------------------------------------------------------------------------------------------


def test_a_full_spool_stops_new_attempts_before_they_cost() -> None:
    """While the ledger is away; afterwards they are made again."""
    desk = small_desk(2)
    desk.buffer.require_room()
    desk.go_down()
    desk.buffer.record(rows("first"))
    desk.buffer.require_room()
    desk.buffer.record(rows("second"))
    with pytest.raises(LedgerFull):
        desk.buffer.require_room()

    desk.recover()
    assert desk.buffer.flush()
    desk.buffer.require_room()


def test_a_full_spool_stops_nobody_once_the_ledger_takes_rows_again() -> None:
    """What waits may take long to be replayed; new attempts need no room there."""
    desk = small_desk(1)
    desk.go_down()
    desk.buffer.record(rows("first"))
    desk.recover()
    with pytest.raises(LedgerFull):
        desk.buffer.require_room()
    desk.buffer.record(rows("under way"))
    desk.buffer.require_room()
    assert ["first"] == spooled(desk)


def test_as_many_as_memory_may_hold_stop_new_attempts(monkeypatch: pytest.MonkeyPatch) -> None:
    """When the disk takes none at all."""

    class BrokenSpool(MemorySpool):
        def append(self, settlements: Sequence[Settlement]) -> None:
            raise CacheUnavailable.of("spool", f"no room for {len(settlements)}")

    monkeypatch.setattr(ledger_buffer, "_MOST_ROWS", 2)
    desk = Desk(spool=BrokenSpool())
    desk.go_down()
    desk.buffer.record(rows("first"))
    desk.buffer.require_room()
    desk.buffer.record(rows("second"))
    with pytest.raises(LedgerFull, match="in memory"):
        desk.buffer.require_room()


# -- out of the spool -------------------------------------------------------------------------------------------------


def test_what_is_held_is_settled_after_the_outage(desk: Desk) -> None:
    """The row and the money, once, in one step."""
    desk.budgets.put(DOLLAR, "alice")
    row = desk.hold("0.50")
    desk.go_down()
    assert () == desk.buffer.settle(Settlement(row=row, held=True)).shares
    desk.recover()
    assert (0, Decimal("0.50")) == desk.figures()

    assert desk.buffer.flush()
    assert (Decimal("0.25"), 0) == desk.figures()
    assert [row] == desk.ledger.rows
    assert [LedgerReplayed(1)] == desk.seen(LedgerReplayed)
    assert not desk.spool.waits


def test_what_was_spent_without_asking_is_booked_after_the_outage(desk: Desk) -> None:
    """Whoever's it is; and whoever watches the budget learns that it reached its limits."""
    desk.budgets.put(DOLLAR, "alice")
    row = a_row("0.90")
    desk.go_down()
    desk.buffer.settle(Settlement(row=row, subjects=ALICE))
    desk.recover()
    assert desk.buffer.flush()
    assert (Decimal("0.90"), 0) == desk.figures()
    assert [("acme", Decimal("0.8"))] == [(one.tenant, one.crossing.threshold) for one in desk.seen(BudgetCrossed)]


def test_without_an_outage_it_is_booked_at_once(desk: Desk) -> None:
    """The store came back while the provider was asked."""
    desk.budgets.put(DOLLAR, "alice")
    row = a_row("0.90")
    assert ["late"] == [share.outcome for share in desk.buffer.settle(Settlement(row=row, subjects=ALICE)).shares]
    assert [row] == desk.ledger.rows
    assert not desk.spool.waits


def test_an_answer_that_was_lost_books_nothing_twice(desk: Desk) -> None:
    """The ledger had written it when the connection broke."""
    desk.budgets.put(DOLLAR, "alice")
    row = desk.hold("0.50")
    settlement = Settlement(row=row, held=True)
    desk.buffer.settle(settlement)
    desk.spool.append([settlement, Settlement(row=row), settlement])
    assert desk.buffer.flush()
    assert (Decimal("0.25"), 0) == desk.figures()
    assert [row] == desk.ledger.rows


def test_an_outage_during_a_replay_loses_nothing(desk: Desk) -> None:
    """What was taken before is taken again, and stands there once."""
    desk.budgets.put(DOLLAR, "alice")
    held = [desk.hold("0.10") for _ in range(3)]
    desk.spool.append([Settlement(row=row, held=True) for row in held])
    desk.budgets.error, desk.budgets.after = CacheUnavailable.of("postgres", "it went away"), 1
    assert not desk.buffer.flush()
    assert held[:1] == desk.ledger.rows

    desk.budgets.error = None
    desk.recover()
    assert desk.buffer.flush()
    assert held == desk.ledger.rows
    assert (Decimal("0.15"), 0) == desk.figures()


def test_a_row_that_can_never_be_written_holds_up_no_other(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    """It is kept aside; a plain one, and one that holds money."""
    desk.ledger.poison = {"bad", "worse"}
    desk.spool.append([Settlement(row=row) for row in rows("a", "bad", "b")])
    desk.spool.append([Settlement(row=row, held=True) for row in rows("worse", "c")])
    assert desk.buffer.flush()
    assert ["a", "b", "c"] == desk.ledger.written
    assert (0, 2) == (desk.spool.state().rows, desk.spool.state().rejected)
    assert {"A ledger row cannot be written and is kept aside."} < {record.message for record in caplog.records}


def test_a_conflict_is_kept_aside(desk: Desk) -> None:
    """Two calls with one id: the first is in the ledger, the second can be looked at."""
    row = a_row("0.25")
    desk.buffer.record([row])
    desk.buffer.settle(Settlement(row=replace(row, cost=None), held=True))
    assert [row] == desk.ledger.rows
    assert 1 == desk.spool.state().rejected


def test_money_that_the_budgets_refuse_is_in_the_ledger(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever is wrong with them."""
    desk.budgets.error = ValueError("nobody expects this")
    row = a_row("0.25")
    desk.buffer.settle(Settlement(row=row, held=True))
    assert [row] == desk.ledger.rows
    assert ["The budgets cannot book an attempt; its ledger row is written without them."] == [
        record.message for record in caplog.records
    ]


def test_money_waits_for_budgets_that_lack_something(desk: Desk) -> None:
    """With its row in the ledger and no settlement, nobody would book it when they have got it."""
    desk.budgets.put(DOLLAR, "alice")
    row = desk.hold("0.50")
    desk.budgets.error = ConfigurationError("There is no such function.")
    desk.buffer.settle(Settlement(row=row, held=True))
    assert not desk.buffer.flush()
    assert ([row.request_id], []) == (spooled(desk), desk.ledger.rows)

    desk.budgets.error = None
    assert desk.buffer.flush()
    assert (Decimal("0.25"), 0) == desk.figures()
    assert [row] == desk.ledger.rows


def test_a_cost_that_is_no_amount_holds_up_no_other(desk: Desk) -> None:
    """It would wait for ever, and all that waits behind it."""
    desk.budgets.put(DOLLAR, "alice")
    odd, row = a_row("-1"), desk.hold("0.50")
    desk.spool.append([Settlement(row=odd, held=True), Settlement(row=row, held=True)])
    assert desk.buffer.flush()
    assert (Decimal("0.25"), 0) == desk.figures()


def test_rows_that_do_not_fit_an_older_schema_wait(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Until somebody runs the upgrade; they are not to blame."""
    record = desk.ledger.record

    def refuse(_: object) -> None:
        raise ConfigurationError("The database lacks tables; run 'cognition db upgrade'.")

    monkeypatch.setattr(desk.ledger, "record", refuse)
    desk.buffer.record(rows("first"))
    assert not desk.buffer.flush()
    assert (1, 0) == (desk.spool.state().rows, desk.spool.state().rejected)
    monkeypatch.setattr(desk.ledger, "record", record)
    assert desk.buffer.flush()
    assert ["first"] == desk.ledger.written


# -- when -------------------------------------------------------------------------------------------------------------


def test_what_the_dead_left_is_replayed_in_the_background(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the next engine that opens."""
    monkeypatch.setattr(ledger_buffer, "_FLUSH_SECONDS", 0.001)
    desk.spool.append([Settlement(row=row) for row in rows("left")])
    desk.spool.close()
    desk.buffer.resume()
    eventually(lambda: desk.ledger.written == ["left"])


def test_when_the_store_is_back_so_is_what_others_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """They died during the outage, while this process lived."""
    monkeypatch.setattr(ledger_buffer, "_FLUSH_SECONDS", 0.001)
    place = SpoolPlace()
    desk, other = Desk(spool=MemorySpool(place=place)), MemorySpool(place=place)
    other.append([Settlement(row=row) for row in rows("left")])
    other.close()
    desk.buffer.observe(StoreRecovered("postgres"))
    eventually(lambda: desk.ledger.written == ["left"])


def test_nobody_waits_for_a_replay_of_another_thread(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may take long; what waits in memory is written meanwhile."""
    begun, end, record = threading.Event(), threading.Event(), desk.ledger.record

    def slowly(batch: LedgerBatch) -> None:
        if [row.request_id for row in batch.rows] == ["left"]:
            begun.set()
            assert end.wait(10)
        record(batch)

    monkeypatch.setattr(desk.ledger, "record", slowly)
    desk.spool.append([Settlement(row=row) for row in rows("left")])
    replaying = threading.Thread(target=desk.buffer.flush)
    replaying.start()
    assert begun.wait(10)
    desk.buffer.note(hits("hit"))
    # The spool in memory lets nobody look into it meanwhile.
    monkeypatch.setattr(MemorySpool, "waits", True)
    assert not desk.buffer.flush()
    assert ["hit"] == desk.ledger.written
    end.set()
    replaying.join()
    assert ["hit", "left"] == desk.ledger.written


def test_a_replay_that_takes_long_goes_on_in_the_background(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever flushes or closes is not kept; what is left is there for the next one."""
    monkeypatch.setattr(ledger_buffer, "_REPLAY_SECONDS", 0.0)
    desk.spool.append([Settlement(row=row) for row in rows("left")])
    assert not desk.buffer.flush()
    desk.buffer.close()
    assert [] == desk.ledger.written
    monkeypatch.setattr(ledger_buffer, "_REPLAY_SECONDS", 60.0)
    other = Desk(spool=desk.spool)
    assert other.buffer.flush()
    assert ["left"] == other.ledger.written


def test_a_child_leaves_the_spool_to_its_parent(desk: Desk) -> None:
    """And what waits in memory too."""
    desk.go_down()
    desk.buffer.record(rows("first"))
    desk.buffer.note(hits("hit"))
    desk.buffer.forget()
    desk.recover()
    assert desk.buffer.flush()
    assert [] == desk.ledger.written
