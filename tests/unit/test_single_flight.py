"""One caller asks, the others wait: in one process, and across processes that share a lease store."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, TypeVar

import pytest

from cognition.adapters.memory import MemoryLeases
from cognition.domain.entry import Address
from cognition.errors import CacheUnavailable, CognitionError, EntryCorrupted, ProviderUnavailable
from cognition.events import Event
from cognition.ports import LeaseView
from cognition.resilience.store_breaker import Guarded, StoreBreaker
from cognition.services.single_flight import Codec, Landing, LeaseTimes, SingleFlight
from cognition.testing.clock import FakeClock
from cognition.testing.contracts.samples import an_address

HERE, THERE = an_address("here"), an_address("there")
TIMES = LeaseTimes(lease=0.05, outcome=5.0, first_poll=0.0005, longest_poll=0.001)
R = TypeVar("R")


async def in_thread(use: Callable[[], R]) -> R:
    """Run a blocking call on the spot: leases in memory do not block."""
    await asyncio.sleep(0)
    return use()


def dump(result: str | CognitionError) -> bytes:
    """Return a result as others get it."""
    return f"!{result}".encode() if isinstance(result, CognitionError) else result.encode()


def load(outcome: bytes) -> str | CognitionError:
    """Return what others left."""
    text = outcome.decode()
    if text == "?":
        raise EntryCorrupted("What another process left is not ours.")
    return ProviderUnavailable(text[1:]) if text.startswith("!") else text


class Work:
    """Something that is done once it is let, and counts how often."""

    def __init__(self, result: str | BaseException = "done") -> None:
        self.result = result
        self.may_end = asyncio.Event()
        self.begun = asyncio.Event()
        self.runs = 0
        self.cancelled = 0

    async def __call__(self) -> str:
        """Wait to be let, then return or raise."""
        self.runs += 1
        self.begun.set()
        try:
            await self.may_end.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if isinstance(self.result, BaseException):
            raise self.result
        return self.result


class DeadLeases(MemoryLeases):
    """A lease store that does not answer."""

    def acquire(self, address: Address, token: str, seconds: float) -> str:
        """Fail."""
        raise CacheUnavailable.of(self.name, f"{address} {token} {seconds}")

    def ping(self) -> None:
        """Fail."""
        raise CacheUnavailable.of(self.name, "no connection")


def process(*stores: MemoryLeases) -> SingleFlight[str]:
    """Return the single flight of one process over lease stores, which several processes may share."""
    events: list[Event] = []
    leases = [Guarded(store, StoreBreaker(store.name, store.ping, events.append)) for store in stores]
    return SingleFlight(leases, Codec(dump, load), in_thread, TIMES)


@pytest.fixture
def clock() -> FakeClock:
    """Return the clock by which leases end."""
    return FakeClock()


@pytest.fixture
def leases(clock: FakeClock) -> MemoryLeases:
    """Return a lease store."""
    return MemoryLeases(clock)


async def settle() -> None:
    """Let every task run until it waits."""
    for _ in range(20):
        await asyncio.sleep(0)


def start(
    flight: SingleFlight[str], work: Callable[[], Awaitable[str]], address: Address = HERE
) -> asyncio.Task[Landing[str]]:
    """Ask, without waiting for the answer."""
    return asyncio.ensure_future(flight.run(address, work))


# -- in one process ---------------------------------------------------------------------------------------------------


async def test_callers_of_one_process_share_a_result(leases: MemoryLeases) -> None:
    """The work runs once; only the caller whose work it was has led."""
    flight, work = process(leases), Work()
    calls = [start(flight, work) for _ in range(5)]
    await work.begun.wait()
    work.may_end.set()
    landings = await asyncio.gather(*calls)
    assert work.runs == 1
    assert [landing.result for landing in landings] == ["done"] * 5
    assert [landing.led for landing in landings] == [True, False, False, False, False]


async def test_callers_of_one_process_share_an_error(leases: MemoryLeases) -> None:
    """The work's error is everybody's."""
    flight, work = process(leases), Work(ProviderUnavailable("down"))
    calls = [start(flight, work) for _ in range(3)]
    work.may_end.set()
    errors = await asyncio.gather(*calls, return_exceptions=True)
    assert work.runs == 1
    assert [str(error) for error in errors] == ["down"] * 3


async def test_other_addresses_fly_by_themselves(leases: MemoryLeases) -> None:
    """Different questions do not wait for each other."""
    flight, here, there = process(leases), Work("here"), Work("there")
    waiting = start(flight, here)
    there.may_end.set()
    assert (await flight.run(THERE, there)).result == "there"
    here.may_end.set()
    assert (await waiting).result == "here"


async def test_the_next_caller_asks_again(leases: MemoryLeases) -> None:
    """A flight that has landed is forgotten."""
    flight, work = process(leases), Work()
    work.may_end.set()
    for _ in range(2):
        assert (await flight.run(HERE, work)).led
    assert work.runs == 2


async def test_a_leader_that_gives_up_does_not_take_it_from_the_others(leases: MemoryLeases) -> None:
    """The work goes on while anybody waits for it."""
    flight, work = process(leases), Work()
    leader, other = start(flight, work), start(flight, work)
    await work.begun.wait()
    leader.cancel()
    await settle()
    work.may_end.set()
    assert (await other).result == "done"
    assert leader.cancelled()
    assert (work.runs, work.cancelled) == (1, 0)


async def test_the_last_one_that_gives_up_ends_the_work(leases: MemoryLeases) -> None:
    """Nobody pays for an answer that nobody wants; the lease is free at once."""
    flight, work = process(leases), Work()
    calls = [start(flight, work) for _ in range(2)]
    await work.begun.wait()
    for call in calls:
        call.cancel()
    await asyncio.gather(*calls, return_exceptions=True)
    await settle()
    assert work.cancelled == 1
    assert leases.view(HERE) == LeaseView()


async def test_a_caller_after_a_cancelled_flight_starts_a_new_one(leases: MemoryLeases) -> None:
    """The old flight still gives its lease back; the new one waits for that and leads."""
    flight, work, again = process(leases), Work(), Work("again")
    call = start(flight, work)
    await work.begun.wait()
    call.cancel()
    await settle()
    again.may_end.set()
    assert (await flight.run(HERE, again)).result == "again"


async def test_a_fault_is_raised_and_leaves_no_lease(leases: MemoryLeases) -> None:
    """An error that is not ours to share ends the flight all the same."""
    flight, work = process(leases), Work(ZeroDivisionError())
    work.may_end.set()
    with pytest.raises(ZeroDivisionError):
        await flight.run(HERE, work)
    assert leases.view(HERE) == LeaseView()


# -- across processes -------------------------------------------------------------------------------------------------


async def test_another_process_gets_the_result(leases: MemoryLeases) -> None:
    """Its own work never runs."""
    first, second = process(leases), process(leases)
    work, never = Work(), Work("never")
    leader = start(first, work)
    await work.begun.wait()
    follower = start(second, never)
    await settle()
    work.may_end.set()
    assert (await leader).led
    landing = await follower
    assert (landing.result, landing.led, never.runs) == ("done", False, 0)


async def test_another_process_gets_the_error(leases: MemoryLeases) -> None:
    """What failed for one has failed for all who waited."""
    first, second = process(leases), process(leases)
    work, never = Work(ProviderUnavailable("down")), Work()
    leader = start(first, work)
    await work.begun.wait()
    follower = start(second, never)
    await settle()
    work.may_end.set()
    with pytest.raises(ProviderUnavailable):
        await leader
    with pytest.raises(ProviderUnavailable, match="down"):
        await follower
    assert never.runs == 0


async def test_a_later_caller_is_not_given_an_old_outcome(leases: MemoryLeases) -> None:
    """What is left is for those who waited; the cache is for the others."""
    first, second = process(leases), process(leases)
    work, own = Work("old"), Work("new")
    work.may_end.set()
    own.may_end.set()
    await first.run(HERE, work)
    assert (await second.run(HERE, own)).result == "new"


async def test_a_follower_takes_over_from_a_dead_leader(leases: MemoryLeases, clock: FakeClock) -> None:
    """A lease that is not renewed ends, and one of those who wait leads."""
    leases.acquire(HERE, "dead", seconds=5.0)
    work = Work("mine")
    work.may_end.set()
    follower = start(process(leases), work)
    await asyncio.sleep(0.005)
    assert work.runs == 0
    clock.advance(timedelta(seconds=6))
    landing = await follower
    assert (landing.result, landing.led) == ("mine", True)


async def test_a_living_leader_keeps_its_lease(leases: MemoryLeases, clock: FakeClock) -> None:
    """It renews the lease, so that followers wait however long the work takes."""
    work, never = Work(), Work()
    leader = start(process(leases), work)
    await work.begun.wait()
    first_holder = leases.view(HERE).holder
    follower = start(process(leases), never)
    for _ in range(5):
        await asyncio.sleep(0.02)  # a third of a lease passes for the renewal ...
        clock.advance(timedelta(seconds=0.03))  # ... and less than a whole one for the store
        assert leases.view(HERE).holder == first_holder
    work.may_end.set()
    assert (await leader).led
    assert (await follower).result == "done"
    assert never.runs == 0


async def test_a_leader_that_is_cancelled_lets_a_follower_lead(leases: MemoryLeases) -> None:
    """It leaves nothing, so a follower asks itself, without waiting for the lease to end."""
    work, own = Work(), Work("mine")
    own.may_end.set()
    leader = start(process(leases), work)
    await work.begun.wait()
    follower = start(process(leases), own)
    await settle()
    leader.cancel()
    assert (await follower).result == "mine"


async def test_an_outcome_that_cannot_be_read_is_asked_again(leases: MemoryLeases) -> None:
    """A process of another release may leave what we do not know."""
    work, own = Work("?"), Work("mine")
    own.may_end.set()
    leader = start(process(leases), work)
    await work.begun.wait()
    follower = start(process(leases), own)
    await settle()
    work.may_end.set()
    await leader
    assert (await follower).result == "mine"


async def test_the_second_store_stands_in_for_the_first(leases: MemoryLeases, clock: FakeClock) -> None:
    """While the preferred store is down, processes still meet at the other one."""
    first, second = process(DeadLeases(clock), leases), process(DeadLeases(clock), leases)
    work, never = Work(), Work()
    leader = start(first, work)
    await work.begun.wait()
    follower = start(second, never)
    await settle()
    work.may_end.set()
    assert [(await call).result for call in (leader, follower)] == ["done", "done"]
    assert never.runs == 0


async def test_without_any_store_everybody_asks(clock: FakeClock) -> None:
    """A duplicate call costs money, a stuck one costs the user."""
    work, own = Work(), Work("mine")
    own.may_end.set()
    leader = start(process(DeadLeases(clock)), work)
    assert (await process(DeadLeases(clock)).run(HERE, own)).led
    work.may_end.set()
    assert (await leader).led


async def test_a_store_that_dies_while_one_waits_lets_it_lead(
    leases: MemoryLeases, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A follower that can see nothing any more asks itself."""
    work, own = Work(), Work("mine")
    own.may_end.set()
    leader = start(process(leases), work)
    await work.begun.wait()
    follower = start(process(leases), own)
    await settle()

    def dead(*_: Any) -> Any:
        raise CacheUnavailable.of("memory", "no connection")

    monkeypatch.setattr(leases, "view", dead)
    monkeypatch.setattr(leases, "ping", dead)
    monkeypatch.setattr(leases, "acquire", dead)
    assert (await follower).result == "mine"
    work.may_end.set()
    assert (await leader).result == "done"


async def test_after_a_fork_nothing_is_waited_for(leases: MemoryLeases) -> None:
    """The parent's flights are not the child's: its loop does not run there."""
    flight, work, own = process(leases), Work(), Work("mine")
    parents = start(flight, work)
    await work.begun.wait()
    flight.forget()
    own.may_end.set()
    leases.release(HERE, leases.view(HERE).holder or "", None, 1.0)
    assert (await flight.run(HERE, own)).led
    work.may_end.set()
    await parents
