"""Circuit breakers that processes share in PostgreSQL: exactly three probes, one event, life without it."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

import pytest
import sqlalchemy as sa
from sqlalchemy.event import listen
from sqlalchemy.exc import DBAPIError

from cognition.adapters.postgres.breakers import PostgresBreakers
from cognition.adapters.postgres.connection import connect
from cognition.domain.breaker import BreakerPolicy, BreakerState, BreakerVerdict
from cognition.domain.breaker_standing import BreakerResult, Order, Standing
from cognition.errors import CircuitOpen
from cognition.events import BreakerChanged, BreakerStoreAdopted, BreakerStoreLost, Event
from cognition.resilience.breaker_store import BreakerStore
from cognition.resilience.shared_breakers import SharedBreakers
from cognition.resilience.store_breaker import Guarded, StoreBreaker
from tests.integration.engine.breaker_hammer import KEY, LEASE, POLICY, PROCESSES
from tests.integration.engine.servers import Servers

ROOT = Path(__file__).parents[3]
QUICK = BreakerPolicy(open_for=timedelta(milliseconds=200), open_jitter=0)
T = TypeVar("T")


class Shared:
    """A database with breakers, and workers that share them.

    Attributes:
        store: The breakers.
        events: What the workers emitted.
    """

    def __init__(self, engine: sa.Engine) -> None:
        self.store = PostgresBreakers(engine, "default")
        self.events: list[Event] = []

    def worker(self, name: str) -> SharedBreakers:
        """Return one more worker."""
        store: BreakerStore = self.store
        guarded = Guarded(store, StoreBreaker("breakers", store.ping, self.events.append))
        return SharedBreakers(guarded, _in_thread, self.events.append, lambda: name)

    def standing(self) -> Standing:
        """Return how the breaker stands."""
        (standing,) = self.store.look([KEY])
        return standing

    def expire(self, policy: BreakerPolicy) -> None:
        """Open the breaker and let its open time pass."""
        for worker in "ababa":
            failed = BreakerResult(verdict=BreakerVerdict.FAILURE, generation=1, worker=worker, error="ProviderTimeout")
            self.store.record(KEY, policy, failed)
        assert BreakerState.OPEN is self.standing().state
        _wait_until(lambda: not self.standing().open_left)

    def changes(self) -> list[str]:
        """Return the states that the breaker went to, by the events."""
        return [event.transition.to_state.value for event in self.events if isinstance(event, BreakerChanged)]


async def _in_thread(use: Callable[[], T]) -> T:
    return await asyncio.to_thread(use)


def _wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


async def _fail(worker: SharedBreakers, times: int, policy: BreakerPolicy = QUICK) -> None:
    for _ in range(times):
        async with worker.passage(KEY, policy) as passage:
            passage.failure("ProviderTimeout")


@pytest.fixture
def shared(engine: sa.Engine) -> Shared:
    """Return a database without breakers."""
    return Shared(engine)


# -- processes --------------------------------------------------------------------------------------------------------


def _hammer(url: str, *options: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.integration.engine.breaker_hammer", url, *options]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)


def _permits(lines: Iterator[str]) -> dict[int, int]:
    """Return how many permits each process got."""
    found = (next(lines).split() for _ in range(PROCESSES))
    return {int(pid): int(got) for pid, got in found}


@pytest.mark.slow
@pytest.mark.parametrize("_run", range(3))
def test_twelve_processes_get_exactly_three_permits(shared: Shared, database_url: str, _run: int) -> None:
    """All ask at once for an open breaker whose time is up, ten times each."""
    shared.expire(POLICY)
    with _hammer(database_url) as hammer:
        assert hammer.stdout is not None
        permits = _permits(hammer.stdout)
    assert (PROCESSES, 3) == (len(permits), sum(permits.values()))
    assert [BreakerState.HALF_OPEN, BreakerState.OPEN] == [one.to_state for one in shared.store.history(KEY, 10)]


@pytest.mark.slow
def test_permits_of_killed_processes_come_back_after_their_lease(shared: Shared, database_url: str) -> None:
    """Killed with signal 9 they cannot give anything back; three others may probe, and no more."""
    shared.expire(POLICY)
    with _hammer(database_url, "--stay") as hammer:
        assert hammer.stdout is not None
        permits = _permits(hammer.stdout)
        assert 3 == sum(permits.values())
        for pid in permits:
            os.kill(pid, signal.SIGKILL)
    held = shared.standing().permits
    if len(held) == 3:  # on a machine so slow that the lease has ended, there is nothing to see here
        assert not shared.store.admit(KEY, POLICY, "early").admitted
    _wait_until(lambda: shared.standing().permits == ())
    admitted = [shared.store.admit(KEY, POLICY, "late").admitted for _ in range(5)]
    assert [True, True, True, False, False] == admitted
    assert LEASE == POLICY.permit_lease


# -- one event, no stale verdicts -------------------------------------------------------------------------------------


async def test_forty_concurrent_failures_are_one_open_event(shared: Shared) -> None:
    """Of two workers, all told to PostgreSQL at once."""
    workers = [shared.worker("a"), shared.worker("b")]

    async def call(number: int) -> None:
        async with workers[number % 2].passage(KEY, QUICK) as passage:
            await entered.wait()
            passage.failure("ProviderUnavailable")

    entered = asyncio.Event()
    calls = [asyncio.create_task(call(number)) for number in range(40)]
    await asyncio.sleep(0.2)
    entered.set()
    await asyncio.gather(*calls)
    assert ["open"] == shared.changes()
    assert [BreakerState.OPEN] == [one.to_state for one in shared.store.history(KEY, 10)]
    assert 40 == shared.standing().totals.failures + shared.standing().totals.outdated


async def test_a_stale_success_closes_nothing(shared: Shared) -> None:
    """Two calls that began before it opened end well while it is probed."""
    worker = shared.worker("a")
    async with worker.passage(KEY, QUICK) as first, worker.passage(KEY, QUICK) as second:
        shared.expire(QUICK)
        await asyncio.to_thread(shared.store.admit, KEY, QUICK, "b")
        first.success()
        second.success()
    standing = shared.standing()
    assert (BreakerState.HALF_OPEN, 0) == (standing.state, standing.half_open_successes)


async def test_a_cancelled_probe_gives_its_permit_back(shared: Shared) -> None:
    """At once, not after its lease, and without a verdict."""
    shared.expire(QUICK)
    worker, entered = shared.worker("a"), asyncio.Event()

    async def probe() -> None:
        async with worker.passage(KEY, QUICK):
            entered.set()
            await asyncio.Event().wait()

    probing = asyncio.create_task(probe())
    await asyncio.wait_for(entered.wait(), 10)
    assert 1 == len(shared.standing().permits)
    probing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await probing
    standing = shared.standing()
    assert (BreakerState.HALF_OPEN, 0, ()) == (standing.state, standing.half_open_successes, standing.permits)


async def test_the_healthy_path_asks_postgres_nothing(shared: Shared, engine: sa.Engine) -> None:
    """A hundred calls take one connection from the pool, for the first look."""
    taken: list[object] = []

    def note(*connection: object) -> None:
        taken.append(connection)

    listen(engine, "checkout", note)
    worker = shared.worker("a")
    for _ in range(100):
        async with worker.passage(KEY, QUICK) as passage:
            passage.success()
    worker.close()
    assert len(taken) <= 2  # the second one is the renewal in the background, on a slow machine


async def test_it_opens_probes_and_closes(shared: Shared) -> None:
    """The whole circle over the database's clock, each change told once."""
    first, second = shared.worker("a"), shared.worker("b")
    await _fail(first, 3)
    await _fail(second, 2)
    with pytest.raises(CircuitOpen):
        await _fail(second, 1)
    await asyncio.to_thread(_wait_until, lambda: not shared.standing().open_left)
    async with AsyncExitStack() as probes:
        for _ in range(3):
            (await probes.enter_async_context(second.passage(KEY, QUICK))).success()
    assert ["open", "half_open", "closed"] == shared.changes()
    assert BreakerState.CLOSED is shared.standing().state


# -- without PostgreSQL -----------------------------------------------------------------------------------------------


@pytest.mark.slow
async def test_calls_go_on_while_postgres_is_down(own_servers: Servers) -> None:
    """The local breaker takes over, opens and refuses; later the shared state counts again, all with events."""
    url = own_servers.fresh_database()
    engine = connect(url)
    shared = Shared(engine)
    worker = shared.worker("a")
    async with worker.passage(KEY, POLICY) as passage:
        passage.success()
    own_servers.kill_postgres()
    long = BreakerPolicy(open_for=timedelta(minutes=5), open_jitter=0)
    await _fail(worker, 5, long)
    with pytest.raises(CircuitOpen) as refused:
        await _fail(worker, 1, long)
    assert ("open", True) == (refused.value.state, (refused.value.retry_after or 0) > 200)
    assert 1 == len([event for event in shared.events if isinstance(event, BreakerStoreLost)])

    own_servers.start()
    await asyncio.to_thread(_wait_until, lambda: _is_back(engine))
    shared.store.obey(KEY, Order(BreakerState.DISABLED, "alice", "trial"))

    async def adopted() -> bool:
        try:
            async with worker.passage(KEY, long):
                return True
        except CircuitOpen:
            return False

    deadline = time.monotonic() + 30
    while not await adopted():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)
    assert 1 == len([event for event in shared.events if isinstance(event, BreakerStoreAdopted)])
    assert [("open", False)] == [
        (event.transition.to_state.value, event.shared) for event in shared.events if isinstance(event, BreakerChanged)
    ]
    engine.dispose()


def _is_back(engine: sa.Engine) -> bool:
    try:
        with engine.connect() as connection:
            return connection.execute(sa.text("SELECT 1")).scalar() == 1
    except DBAPIError:
        return False
