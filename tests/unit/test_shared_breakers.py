"""Breakers that workers share: what they decide by their copies, what they ask and tell the store."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import timedelta

import pytest

from cognition.domain.breaker import BreakerState
from cognition.domain.breaker_standing import Order
from cognition.errors import CircuitOpen
from cognition.events import WorkerHeldBack
from cognition.resilience.breaker_copies import BreakerCopies
from tests.unit.breaker_rig import KEY, POLICY, Workers, settle

MINUTE = 60.0


# -- closed -----------------------------------------------------------------------------------------------------------


async def test_the_healthy_path_asks_nothing() -> None:
    """A thousand calls within a second look once, at the very first."""
    workers = Workers()
    await workers.succeed(workers.worker("a"), 1000)
    assert {"look": 1} == workers.store.asked


async def test_many_first_calls_look_once() -> None:
    """They wait for the same answer."""
    workers = Workers()
    worker = workers.worker("a")
    await asyncio.gather(*(workers.succeed(worker) for _ in range(50)))
    assert {"look": 1} == workers.store.asked


async def test_an_old_copy_decides_nothing() -> None:
    """After a second without renewal the next call looks first."""
    workers = Workers()
    first, second = workers.worker("a"), workers.worker("b")
    await workers.succeed(second)
    workers.store.obey(KEY, Order(BreakerState.FORCED_OPEN, "alice", "maintenance"))
    assert None is await workers.refusal(second)
    workers.wait(1.1)
    refused = await workers.refusal(second)
    assert refused is not None
    assert ("forced_open", None) == (refused.state, refused.retry_after)
    assert None is not await workers.refusal(first)


async def test_copies_in_use_are_renewed_in_the_background() -> None:
    """Calls need not wait for it, and it ends when nobody calls any more."""
    workers = Workers(refresh_seconds=0.001)
    worker = workers.worker("a")
    await workers.succeed(worker)
    workers.store.obey(KEY, Order(BreakerState.FORCED_OPEN, "alice", "maintenance"))
    await settle(lambda: workers.store.asked["look"] > 3)
    assert None is not await workers.refusal(worker)
    workers.wait(600)
    before = workers.store.asked["look"]
    await asyncio.sleep(0.02)
    assert workers.store.asked["look"] <= before + 1


async def test_forty_failures_at_once_open_once() -> None:
    """All were admitted before; one of them opens it, and the others come too late to matter."""
    workers = Workers()
    first, second = workers.worker("a"), workers.worker("b")
    async with AsyncExitStack() as calls:
        for number in range(40):
            passage = (first, second)[number % 2].passage(KEY, POLICY)
            (await calls.enter_async_context(passage)).failure("ProviderUnavailable")
    assert ["open"] == workers.changes()
    assert 1 == len(workers.store.history(KEY, 10))
    assert (5, 35) == (workers.standing().totals.failures, workers.standing().totals.outdated)


async def test_a_success_between_failures_is_told() -> None:
    """Otherwise failures of a whole day would add up."""
    workers = Workers()
    worker = workers.worker("a")
    for _ in range(10):
        await workers.fail(worker, 4)
        await workers.succeed(worker)
    assert ([], 0) == (workers.changes(), workers.standing().consecutive_failures)


async def test_untold_successes_part_the_failures_of_many_workers() -> None:
    """Each worker sees one failure among many successes: nobody's provider is down."""
    workers = Workers()
    for name in "abcdefgh":
        worker = workers.worker(name)
        await workers.succeed(worker)
        workers.wait(0.1)
        await workers.succeed(worker, 9)
        workers.wait(0.1)
        await workers.fail(worker)
    assert [] == workers.changes()
    assert 1 == workers.standing().consecutive_failures


async def test_slow_successes_are_successes() -> None:
    """Where nobody asked for a share of slow calls, they part failures like others."""
    workers = Workers()
    for name in "abcdefgh":
        worker = workers.worker(name)
        async with worker.passage(KEY, POLICY) as passage:
            workers.wait(40)
            passage.success()
        await workers.fail(worker)
    assert [] == workers.changes()


async def test_an_ignored_call_tells_nothing() -> None:
    """Neither one without verdict, nor one that takes its verdict back, nor one that raises."""
    workers = Workers()
    worker = workers.worker("a")
    async with worker.passage(KEY, POLICY):
        pass
    async with worker.passage(KEY, POLICY) as passage:
        passage.failure("ProviderTimeout")
        passage.ignore()
    with pytest.raises(ValueError, match="ours"):
        async with worker.passage(KEY, POLICY):
            raise ValueError("ours")
    assert {"look": 1} == workers.store.asked


async def test_slow_calls_are_measured() -> None:
    """A call that outlasts `slow_after` is slow, and shares are told of successes too."""
    policy = replace(POLICY, slow_call_rate=0.5, minimum_calls=4)
    workers = Workers(policy)
    first, second = workers.worker("a"), workers.worker("b")
    for number in range(4):
        async with (first, second)[number % 2].passage(KEY, policy) as passage:
            workers.wait(31 if number < 2 else 1)
            passage.success()
    assert (BreakerState.CLOSED, 2) == (workers.standing().state, workers.standing().window.slow_calls)
    async with first.passage(KEY, replace(policy, window=timedelta(hours=1))) as passage:
        workers.wait(31)
        passage.success()
    assert ["open"] == workers.changes()


async def test_shares_are_told_in_the_background() -> None:
    """Successes that nobody tells would make every share of failures look like all."""
    policy = replace(POLICY, failure_rate=0.5)
    workers = Workers(policy, refresh_seconds=0.001)
    await workers.succeed(workers.worker("a"), 7)
    await settle(lambda: workers.standing().window.calls == 7)
    assert 7 == workers.standing().totals.successes


# -- one worker alone -------------------------------------------------------------------------------------------------


async def test_a_worker_that_fails_alone_is_held_back_alone() -> None:
    """After five failures of its own it pauses; the others go on."""
    workers = Workers()
    bad, good = workers.worker("bad"), workers.worker("good")
    await workers.succeed(good)
    await workers.fail(bad, 5)
    refused = await workers.refusal(bad)
    assert refused is not None
    assert ("open", 60.0) == (refused.state, refused.retry_after)
    assert None is await workers.refusal(good)
    assert [] == workers.changes()
    assert ["open"] == [event.transition.to_state for event in workers.seen(WorkerHeldBack)]


async def test_a_worker_that_was_held_back_comes_back() -> None:
    """It probes with its own three permits, and two good probes release it."""
    workers = Workers()
    worker = workers.worker("a")
    await workers.fail(worker, 5)
    workers.wait(MINUTE)
    async with AsyncExitStack() as probes:
        entered = [await probes.enter_async_context(worker.passage(KEY, POLICY)) for _ in range(3)]
        assert None is not await workers.refusal(worker)
        for passage in entered:
            passage.success()
    assert ["open", "half_open", "closed"] == [event.transition.to_state for event in workers.seen(WorkerHeldBack)]
    await workers.succeed(worker, 10)
    assert ([], 0) == (workers.changes(), workers.standing().consecutive_failures)


async def test_a_lone_worker_opens_it_for_all_in_the_end() -> None:
    """Its probes count, too: after ten failures everybody stops, with no more attempts than three a period."""
    workers = Workers()
    worker = workers.worker("a")
    attempts = 0
    while workers.standing().state is BreakerState.CLOSED:
        for _ in range(20):
            try:
                await workers.fail(worker)
                attempts += 1
            except CircuitOpen:
                pass
        workers.wait(MINUTE)
        assert attempts < 20
    assert 10 == attempts
    assert ["open"] == workers.changes()


# -- open and half-open -----------------------------------------------------------------------------------------------


async def test_failures_of_two_workers_stop_all() -> None:
    """Who did not see it itself hears of it within a second."""
    workers = Workers()
    first, second, third = (workers.worker(name) for name in "abc")
    await workers.succeed(third)
    await workers.trip(first, second)
    refusals = [await workers.refusal(worker) for worker in (first, second)]
    # The first one's copy is as old as its last failure, the second one's is new.
    assert refusals[1] is not None
    assert 60.0 == refusals[1].retry_after
    workers.wait(1.1)
    assert [False] * 3 == [await workers.refusal(worker) is None for worker in (first, second, third)]


async def test_refusals_ask_nothing() -> None:
    """A provider that is down costs neither it nor the store anything."""
    workers = Workers()
    first, second = workers.worker("a"), workers.worker("b")
    await workers.trip(first, second)
    before = workers.store.asked.copy()
    for _ in range(100):
        assert None is not await workers.refusal(second)
    assert before == workers.store.asked


async def test_refusals_are_counted_for_people() -> None:
    """In the background, every five seconds at most."""
    workers = Workers(refresh_seconds=0.001)
    first, second = workers.worker("a"), workers.worker("b")
    await workers.trip(first, second)
    for _ in range(10):
        await workers.refusal(second)
    workers.wait(6)
    await settle(lambda: workers.standing().totals.rejections == 10)
    first.close()
    second.close()


async def test_an_answer_that_was_overtaken_is_left_aside() -> None:
    """A look that began before the breaker opened, and ends after, must not close it in this worker's eyes."""
    workers = Workers()
    first, second = workers.worker("a"), workers.worker("b")
    await workers.fail(first, 3)
    before = workers.standing()
    copies = BreakerCopies(60, moved=lambda _: None)
    await workers.fail(second, 2)
    copy = copies.put(workers.standing(), POLICY, 0.0)
    for later in (-0.5, 0.5):
        copies.put(replace(before, as_of=workers.clock.now + timedelta(seconds=later)), POLICY, 1.0)
        assert BreakerState.OPEN is copy.standing.state
    copies.put(replace(before, as_of=workers.clock.now + timedelta(seconds=5)), POLICY, 2.0)
    assert BreakerState.CLOSED is copy.standing.state


async def test_three_probe_in_all() -> None:
    """Of twenty callers in two workers."""
    workers = Workers()
    first, second = workers.worker("a"), workers.worker("b")
    await workers.trip(first, second)
    workers.wait(MINUTE)
    async with AsyncExitStack() as probes:
        admitted, refused = 0, set[tuple[str, float | None]]()
        for number in range(20):
            try:
                await probes.enter_async_context((first, second)[number % 2].passage(KEY, POLICY))
                admitted += 1
            except CircuitOpen as error:
                refused.add((error.state, error.retry_after))
        assert (3, {("half_open", None)}) == (admitted, refused)
        # Each worker was refused by the store once, and knew it for the next tenth of a second.
        assert 3 + 2 == workers.store.asked["admit"]
    assert ["open", "half_open"] == workers.changes()
    assert () == workers.standing().permits


async def test_good_probes_close_it() -> None:
    """Two, of whichever worker; each change is told once."""
    workers = Workers()
    first, second = workers.worker("a"), workers.worker("b")
    await workers.trip(first, second)
    workers.wait(MINUTE)
    await workers.succeed(first)
    await workers.succeed(second)
    assert ["open", "half_open", "closed"] == workers.changes()
    workers.wait(1.1)
    await workers.succeed(first, 10)
    assert None is await workers.refusal(second)


async def test_an_outage_that_is_over_is_forgotten() -> None:
    """A worker whose failures helped to open it is not held back by them after it has closed."""
    workers = Workers()
    first, second = workers.worker("a"), workers.worker("b")
    await workers.trip(first, second)
    workers.wait(MINUTE)
    await workers.succeed(first, 2)
    await workers.fail(first, 4)
    assert None is await workers.refusal(first)
    assert [] == workers.seen(WorkerHeldBack)


async def test_a_bad_probe_opens_it_for_longer() -> None:
    """Or for as long as the provider asks, if that is longer."""
    workers = Workers()
    first, second = workers.worker("a"), workers.worker("b")
    await workers.trip(first, second)
    workers.wait(MINUTE)
    await workers.fail(first)
    assert timedelta(seconds=120) == workers.standing().open_left
    workers.wait(2 * MINUTE)
    await workers.fail(second, retry_after=timedelta(hours=2))
    assert timedelta(hours=2) == workers.standing().open_left


async def test_a_stale_success_closes_nothing() -> None:
    """A call that began before the breaker opened says nothing about now."""
    workers = Workers()
    first, second = workers.worker("a"), workers.worker("b")
    async with first.passage(KEY, POLICY) as early, first.passage(KEY, POLICY) as other:
        await workers.trip(first, second)
        workers.wait(MINUTE)
        async with second.passage(KEY, POLICY):
            early.success()
            other.success()
            assert BreakerState.HALF_OPEN is workers.standing().state
    assert (BreakerState.HALF_OPEN, 0) == (workers.standing().state, workers.standing().half_open_successes)


async def test_a_cancelled_probe_gives_its_permit_back() -> None:
    """Without a verdict."""
    workers = Workers()
    first, second = workers.worker("a"), workers.worker("b")
    await workers.trip(first, second)
    workers.wait(MINUTE)
    entered = asyncio.Event()

    async def probe() -> None:
        async with first.passage(KEY, POLICY):
            entered.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(probe())
    await entered.wait()
    assert 1 == len(workers.standing().permits)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    standing = workers.standing()
    assert (BreakerState.HALF_OPEN, 0, ()) == (standing.state, standing.half_open_successes, standing.permits)


async def test_a_permit_for_a_caller_that_has_gone_is_given_back() -> None:
    """It was cancelled while the store granted it."""
    workers = Workers()
    first, second = workers.worker("a"), workers.worker("b")
    await workers.trip(first, second)
    workers.wait(MINUTE)
    await workers.refusal(first)
    workers.gate.clear()
    task = asyncio.create_task(workers.succeed(first))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    workers.gate.set()
    before = workers.store.asked["admit"]
    await settle(lambda: workers.store.asked["admit"] > before and workers.standing().permits == ())
    assert BreakerState.HALF_OPEN is workers.standing().state
