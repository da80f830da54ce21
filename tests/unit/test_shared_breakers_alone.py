"""Shared breakers while their store is away, slow, or another process's."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from cognition.domain.breaker import BreakerState
from cognition.domain.breaker_standing import Order
from cognition.events import BreakerChanged, BreakerStoreAdopted, BreakerStoreLost, StoreRecovered
from tests.unit.breaker_rig import KEY, Workers, settle


@pytest.fixture(autouse=True)
def _quick_probes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask a dead store again every millisecond."""
    monkeypatch.setattr("cognition.resilience.store_breaker._FIRST_PROBE_SECONDS", 0.001)


async def recovered(workers: Workers) -> None:
    """Bring the store back, and wait until that was noticed."""
    workers.store.outage.down = False
    await settle(lambda: bool(workers.seen(StoreRecovered)))


async def test_calls_go_on_without_the_store() -> None:
    """From the first call on, and one event says so."""
    workers = Workers()
    worker = workers.worker("a")
    workers.store.outage.down = True
    await workers.succeed(worker, 100)
    assert [BreakerStoreLost("memory")] == workers.seen(BreakerStoreLost)
    await recovered(workers)


async def test_a_local_breaker_takes_over() -> None:
    """It opens after five failures, probes with three calls and closes, and its events say that it is alone."""
    workers = Workers()
    worker = workers.worker("a")
    workers.store.outage.down = True
    await workers.fail(worker, 5)
    refused = await workers.refusal(worker)
    assert refused is not None
    assert ("open", 60.0) == (refused.state, refused.retry_after)
    workers.wait(60)
    await workers.succeed(worker, 2)
    assert ["open", "half_open", "closed"] == workers.changes()
    assert [False] * 3 == [event.shared for event in workers.seen(BreakerChanged)]
    await recovered(workers)


async def test_what_was_open_stays_open() -> None:
    """The local breaker begins with what the shared one last said, and for no longer than that."""
    workers = Workers()
    first, second = workers.worker("a"), workers.worker("b")
    await workers.trip(first, second)
    workers.store.outage.down = True
    workers.wait(20)
    refused = await workers.refusal(second)
    assert refused is not None
    assert 40.0 == refused.retry_after
    workers.wait(40)
    assert None is await workers.refusal(second)
    await recovered(workers)


async def test_forced_states_and_cool_downs_stay() -> None:
    """An order holds also while nobody can look it up, and so does a pause that was agreed."""
    workers = Workers()
    forced, cooling = workers.worker("a"), workers.worker("b")
    await cooling.cool_down(KEY, timedelta(seconds=30), "rate limited")
    assert None is not await workers.refusal(cooling)
    workers.store.obey(KEY, Order(BreakerState.FORCED_OPEN, "alice", "maintenance"))
    assert None is not await workers.refusal(forced)
    workers.store.outage.down = True
    workers.wait(2)
    refusals = [await workers.refusal(worker) for worker in (forced, cooling)]
    assert ["forced_open", "cooling_down"] == [one.state for one in refusals if one is not None]
    await cooling.cool_down(KEY, timedelta(seconds=90), "quota")
    workers.wait(60)
    assert None is not await workers.refusal(cooling)
    await recovered(workers)


async def test_failures_of_one_worker_count_on() -> None:
    """Three before the store was lost, one that finds it lost, and one after: five."""
    workers = Workers()
    worker = workers.worker("a")
    await workers.fail(worker, 3)
    workers.store.outage.down = True
    await workers.fail(worker)
    assert None is await workers.refusal(worker)
    await workers.fail(worker)
    assert ["open"] == workers.changes()
    await recovered(workers)


async def test_shared_state_is_adopted_again() -> None:
    """What the local breaker thought no longer matters, and one event says so."""
    workers = Workers()
    worker = workers.worker("a")
    workers.store.outage.down = True
    await workers.fail(worker, 5)
    assert None is not await workers.refusal(worker)
    await recovered(workers)
    assert None is await workers.refusal(worker)
    assert [BreakerStoreAdopted("memory")] == workers.seen(BreakerStoreAdopted)
    workers.store.obey(KEY, Order(BreakerState.FORCED_OPEN, "alice", "maintenance"))
    workers.wait(1.1)
    refused = await workers.refusal(worker)
    assert refused is not None
    assert "forced_open" == refused.state


async def test_a_slow_store_keeps_nobody_waiting() -> None:
    """After its patience a call goes on alone, and the next ones do not even try; a late answer is believed again."""
    workers = Workers(patience_seconds=0.01)
    worker = workers.worker("a")
    workers.gate.clear()
    await workers.succeed(worker, 50)
    assert [BreakerStoreLost("memory")] == workers.seen(BreakerStoreLost)
    workers.gate.set()
    await settle(lambda: bool(workers.seen(BreakerStoreAdopted)))
    await workers.succeed(worker, 50)
    assert {"look": 1} == workers.store.asked


async def test_a_result_that_is_told_slowly_is_told() -> None:
    """The call does not wait for it; the store hears of it all the same."""
    workers = Workers(patience_seconds=0.01)
    worker = workers.worker("a")
    await workers.succeed(worker)
    workers.gate.clear()
    await asyncio.wait_for(workers.fail(worker), 5)
    workers.gate.set()
    await settle(lambda: workers.standing().consecutive_failures == 1)


async def test_a_defect_of_the_store_stops_no_call(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged, and the breakers of this process take over."""
    workers = Workers()
    worker = workers.worker("a")

    def broken(_: object) -> None:
        raise RuntimeError("a defect")

    monkeypatch.setattr(workers.store, "look", broken)
    await workers.succeed(worker, 3)
    assert "a defect" in caplog.text


async def test_a_fork_begins_anew() -> None:
    """Under its own name, without the parent's copies and failures."""
    workers = Workers()
    worker = workers.worker("a")
    await workers.fail(worker, 5)
    before = workers.store.asked["look"]
    worker.forget()
    await workers.succeed(worker)
    assert before + 1 == workers.store.asked["look"]


async def test_a_closed_engine_looks_no_further() -> None:
    """Nothing runs in the background any more."""
    workers = Workers(refresh_seconds=0.001)
    worker = workers.worker("a")
    await workers.succeed(worker)
    await settle(lambda: workers.store.asked["look"] > 1)
    worker.close()
    await asyncio.sleep(0.01)
    before = workers.store.asked["look"]
    await asyncio.sleep(0.02)
    assert before == workers.store.asked["look"]
