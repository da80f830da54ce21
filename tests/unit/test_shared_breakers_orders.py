"""Cool-downs and orders, as the workers that share a breaker obey them."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from cognition.domain.breaker import BreakerState
from cognition.domain.breaker_standing import Order
from cognition.events import BreakerChanged, BreakerThresholdReached, CoolingDown
from tests.unit.breaker_rig import KEY, Workers


async def test_a_cool_down_stops_every_worker() -> None:
    """This one at once, others within a second, and all are free again together."""
    workers = Workers()
    first, second = workers.worker("a"), workers.worker("b")
    await workers.succeed(first)
    await first.cool_down(KEY, timedelta(seconds=30), "rate limited")
    workers.wait(1.1)
    for worker in (first, second):
        refused = await workers.refusal(worker)
        assert refused is not None
        assert ("cooling_down", 28.9) == (refused.state, refused.retry_after)
    workers.wait(29)
    assert [None, None] == [await workers.refusal(worker) for worker in (first, second)]
    assert [] == workers.changes()


async def test_forty_calls_that_are_rate_limited_are_one_cool_down() -> None:
    """One event, one word to the store."""
    workers = Workers()
    worker = workers.worker("a")
    await workers.succeed(worker)
    await asyncio.gather(*(worker.cool_down(KEY, timedelta(seconds=30), "rate limited") for _ in range(40)))
    assert ([CoolingDown(KEY, 30.0, "rate limited")], 1) == (
        workers.seen(CoolingDown),
        workers.store.asked["cool_down"],
    )


async def test_disabled_admits_and_tells_nothing() -> None:
    """However often calls fail."""
    workers = Workers()
    worker = workers.worker("a")
    workers.store.obey(KEY, Order(BreakerState.DISABLED, "alice", "trial"))
    await workers.fail(worker, 30)
    assert {"look": 1} == workers.store.asked


async def test_metrics_only_admits_and_says_once_that_it_would_open() -> None:
    """Thirty failures in a row are one event, and no call is refused."""
    workers = Workers()
    first, second = workers.worker("a"), workers.worker("b")
    workers.store.obey(KEY, Order(BreakerState.METRICS_ONLY, "alice", "trial"))
    for worker in (first, second) * 15:
        await workers.fail(worker)
    assert [BreakerThresholdReached(KEY, 5)] == workers.seen(BreakerThresholdReached)
    assert [] == workers.seen(BreakerChanged)


async def test_a_distrusted_copy_is_not_used() -> None:
    """The next call looks, however new the copy was."""
    workers = Workers()
    worker = workers.worker("a")
    await workers.succeed(worker)
    workers.store.obey(KEY, Order(BreakerState.FORCED_OPEN, "alice", "maintenance"))
    worker.distrust(KEY)
    refused = await workers.refusal(worker)
    assert refused is not None
    assert f"cognition breaker reset {KEY}" in str(refused)
