"""Shared breakers while calls fail, and calls that waited since they were admitted: the past decides nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import replace
from datetime import timedelta

from cognition.domain.breaker import BreakerState
from cognition.domain.breaker_standing import Order
from cognition.domain.routing import Target
from cognition.errors import CircuitOpen
from cognition.resilience.bulkhead import Bulkheads
from cognition.resilience.pipeline import Pipeline
from cognition.resilience.policy import ResiliencePolicy, Rules
from cognition.resilience.retry_budget import RetryBudgets
from cognition.resilience.shared_breakers import SharedBreakers
from tests.unit.breaker_rig import KEY, POLICY, Workers, settle
from tests.unit.passing_time import PassingTime, Told, chain

MODEL = f"{KEY.provider}:{KEY.model}"
ONE_PROBE = replace(POLICY, half_open_permits=1, success_threshold=1)


async def refused_after(workers: Workers, worker: SharedBreakers, meanwhile: Awaitable[object]) -> CircuitOpen | None:
    """Return why a call is refused that was admitted and then had to wait for its turn, or None when it is not."""
    try:
        async with worker.passage(KEY, POLICY) as passage:
            await meanwhile
            workers.wait(0.5)
            await passage.begin()
    except CircuitOpen as error:
        return error
    return None


async def test_who_saw_a_failure_looks_before_each_call() -> None:
    """The breaker opened in another process a moment ago; a copy would have let one more call through."""
    workers = Workers()
    first, second = workers.worker("a"), workers.worker("b")
    await workers.fail(second)
    await workers.fail(first, 4)
    refused = await workers.refusal(second)
    assert refused is not None
    assert ("open", 5) == (refused.state, workers.standing().totals.failures)


async def test_after_a_success_nobody_looks_any_more() -> None:
    """The healthy path asks nothing, also when it was not healthy before."""
    workers = Workers()
    worker = workers.worker("a")
    await workers.fail(worker)
    await workers.succeed(worker)
    before = workers.store.asked["look"]
    await workers.succeed(worker, 100)
    assert before == workers.store.asked["look"]


async def test_a_failure_on_its_way_to_the_store_counts_at_once() -> None:
    """Calls of the same worker that come meanwhile look, too."""
    workers = Workers()
    worker = workers.worker("a")
    await workers.succeed(worker)
    workers.gate.clear()
    failing = asyncio.create_task(workers.fail(worker))
    await asyncio.sleep(0)
    other = asyncio.create_task(workers.succeed(worker))
    await asyncio.sleep(0)
    workers.gate.set()
    await asyncio.gather(failing, other)
    assert 2 == workers.store.asked["look"]


async def test_a_call_that_waited_for_its_turn_is_admitted_anew() -> None:
    """Thousands may wait when a provider goes down; they must not all try it, one after the other."""
    workers = Workers()
    first, second = workers.worker("a"), workers.worker("b")
    refused = await refused_after(workers, first, workers.trip(first, second))
    assert refused is not None
    assert "open" == refused.state
    assert (5, 0) == (workers.standing().totals.failures, workers.standing().totals.outdated)


async def test_a_call_that_waited_keeps_to_a_cool_down() -> None:
    """The provider asked for fewer calls meanwhile."""
    workers = Workers()
    worker = workers.worker("a")
    pause = worker.cool_down(KEY, timedelta(seconds=30), "rate limited")
    refused = await refused_after(workers, worker, pause)
    assert refused is not None
    assert ("cooling_down", 29.5) == (refused.state, refused.retry_after)


async def test_a_call_that_waited_while_all_is_well_asks_nothing() -> None:
    """And its verdict counts."""
    workers = Workers()
    worker = workers.worker("a")
    async with worker.passage(KEY, POLICY) as passage:
        workers.wait(0.5)
        await passage.begin()
        passage.failure("ProviderTimeout")
    assert {"look": 1, "record": 1} == workers.store.asked
    assert 1 == workers.standing().consecutive_failures


async def test_a_call_that_waited_counts_where_it_was_admitted_last() -> None:
    """Somebody reset the breaker meanwhile: the failure is one of the new generation."""
    workers = Workers()
    worker = workers.worker("a")
    async with worker.passage(KEY, POLICY) as passage:
        workers.store.obey(KEY, Order(BreakerState.CLOSED, "alice", "repaired"))
        worker.distrust(KEY)
        workers.wait(0.5)
        await passage.begin()
        passage.failure("ProviderTimeout")
    assert (1, 0) == (workers.standing().consecutive_failures, workers.standing().totals.outdated)


async def test_a_probe_that_waited_keeps_its_permit() -> None:
    """Giving it back and asking again would cost two questions and may lose it to somebody else."""
    workers = Workers(ONE_PROBE)
    first, second = workers.worker("a"), workers.worker("b")
    await workers.trip(first, second)
    workers.wait(60.1)
    async with first.passage(KEY, ONE_PROBE) as passage:
        workers.wait(0.5)
        await passage.begin()
        passage.success()
    assert 1 == workers.store.asked["admit"]
    assert BreakerState.CLOSED is workers.standing().state


async def test_waiting_for_ones_turn_is_not_slowness_of_the_provider() -> None:
    """Else a long queue in this process would open the breaker."""
    policy = replace(POLICY, slow_call_rate=0.5, minimum_calls=1, lone_worker_factor=1)
    workers = Workers(policy)
    worker = workers.worker("a")
    async with worker.passage(KEY, policy) as passage:
        workers.wait(40)
        await passage.begin()
        workers.wait(1)
        passage.success()
    assert ([], 0) == (workers.changes(), workers.standing().window.slow_calls)


async def test_without_the_store_a_call_that_waited_asks_this_process_again() -> None:
    """Its own breaker has opened meanwhile."""
    workers = Workers()
    worker = workers.worker("a")
    workers.store.outage.down = True
    refused = await refused_after(workers, worker, workers.fail(worker, 5))
    assert refused is not None
    assert "open" == refused.state


async def test_the_refusal_of_the_next_call_is_known_beforehand() -> None:
    """So that nobody waits for an attempt that will not be made; half open it is not."""
    workers = Workers()
    first, second = workers.worker("a"), workers.worker("b")
    assert None is first.refusal(KEY)
    await workers.trip(first, second)
    workers.wait(20)
    refused = second.refusal(KEY)
    assert refused is not None
    assert ("open", 40.0) == (refused.state, refused.retry_after)
    workers.wait(41)
    assert None is second.refusal(KEY)


async def test_a_breaker_that_a_person_opened_refuses_for_ever() -> None:
    """Nobody can tell how long to wait."""
    workers = Workers()
    worker = workers.worker("a")
    workers.store.obey(KEY, Order(BreakerState.FORCED_OPEN, "alice", "maintenance"))
    await workers.refusal(worker)
    refused = worker.refusal(KEY)
    assert refused is not None
    assert ("forced_open", None) == (refused.state, refused.retry_after)


async def test_a_worker_that_is_held_back_alone_refuses_alone() -> None:
    """Its own failures opened its own breaker; without the store it is the only one."""
    workers = Workers()
    bad, good = workers.worker("bad"), workers.worker("good")
    await workers.fail(bad, 5)
    assert None is not bad.refusal(KEY)
    assert None is good.refusal(KEY)
    workers.store.outage.down = True
    await workers.fail(good, 5)
    assert None is not good.refusal(KEY)


async def test_a_queue_for_a_provider_that_went_down_is_refused() -> None:
    """One call is at the provider and many wait behind it; when it is known to be down, none of them tries it."""
    workers = Workers()
    first, second = workers.worker("a"), workers.worker("b")
    pipeline = Pipeline(first, Bulkheads(), RetryBudgets(), PassingTime().timing)
    rules, asked, go_on = Rules(ResiliencePolicy(max_concurrent=1, breaker=POLICY)), list[Target](), asyncio.Event()

    async def attempt(target: Target, _: float) -> str:
        asked.append(target)
        await go_on.wait()
        return "late"

    calls = [asyncio.create_task(pipeline.run(chain(MODEL), attempt, rules, Told())) for _ in range(20)]
    await settle(lambda: pipeline.bulkheads.of(MODEL).utilisation.waiting == 19)
    await workers.trip(second, workers.worker("c"))
    workers.wait(1.5)
    go_on.set()
    answers = await asyncio.gather(*calls, return_exceptions=True)
    assert 1 == len(asked)
    assert ["late"] + ["open"] * 19 == [one.state if isinstance(one, CircuitOpen) else one for one in answers]
