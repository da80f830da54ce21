"""Places at a service: who gets one, who waits, who is refused."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cognition.errors import BulkheadFull
from cognition.resilience.bulkhead import Bulkhead, Bulkheads, Quota

SERVICE = "openai-chat:gpt-5-mini"


class Guests:
    """Calls that hold a place until they are told to go."""

    def __init__(self, bulkhead: Bulkhead) -> None:
        self._bulkhead = bulkhead
        self.inside: list[str] = []
        self._doors: dict[str, asyncio.Event] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def come(self, name: str, quota: Quota) -> None:
        """Let one come and go as far as it gets."""
        self._doors[name] = asyncio.Event()
        self._tasks[name] = asyncio.create_task(self._stay(name, quota))
        await settle()

    async def go(self, *names: str) -> None:
        """Let some leave."""
        for name in names:
            self._doors[name].set()
        await settle()

    def cancel(self, name: str) -> None:
        """Cancel one, which notices later."""
        self._tasks[name].cancel()

    async def _stay(self, name: str, quota: Quota) -> None:
        async with self._bulkhead.place(quota):
            self.inside.append(name)
            await self._doors[name].wait()
        self.inside.remove(name)


async def settle() -> None:
    """Let every task go as far as it can."""
    for _ in range(5):
        await asyncio.sleep(0)


@pytest.fixture
def bulkhead() -> Bulkhead:
    """Return a bulkhead without calls."""
    return Bulkhead(SERVICE)


@pytest.fixture
def guests(bulkhead: Bulkhead) -> Guests:
    """Return calls for it."""
    return Guests(bulkhead)


async def test_places_are_given_in_order(guests: Guests, bulkhead: Bulkhead) -> None:
    """Two at a time, the others in the order in which they came."""
    for name in "abcd":
        await guests.come(name, Quota(2, 9))
    assert ["a", "b"] == guests.inside
    await guests.go("b")
    assert ["a", "c"] == guests.inside
    await guests.go("a", "c")
    assert ["d"] == guests.inside
    await guests.go("d")
    assert (0, 0) == (bulkhead.utilisation.in_use, bulkhead.utilisation.waiting)


async def test_a_newcomer_does_not_overtake(guests: Guests) -> None:
    """A place that has become free belongs to the first who waits, even before that one runs."""
    await guests.come("a", Quota(1, 9))
    await guests.come("b", Quota(1, 9))
    newcomer = asyncio.create_task(guests.come("c", Quota(1, 9)))
    await guests.go("a")
    await newcomer
    assert ["b"] == guests.inside
    await guests.go("b", "c")


async def test_a_full_queue_is_refused_at_once(guests: Guests, bulkhead: Bulkhead) -> None:
    """The error says what is full."""
    await guests.come("a", Quota(1, 1))
    await guests.come("b", Quota(1, 1))
    with pytest.raises(BulkheadFull, match="1 calls are at openai-chat:gpt-5-mini and 1 wait") as caught:
        async with bulkhead.place(Quota(1, 1)):
            pass
    assert (SERVICE, 1, 1) == (caught.value.service, caught.value.max_concurrent, caught.value.max_waiting)
    await guests.go("a", "b")


async def test_nobody_may_wait_where_no_place_is_for_waiting(bulkhead: Bulkhead) -> None:
    """`max_waiting=0` means now or never."""
    async with bulkhead.place(Quota(1, 0)):
        with pytest.raises(BulkheadFull):
            async with bulkhead.place(Quota(1, 0)):
                pass
    async with bulkhead.place(Quota(1, 0)):
        assert 1 == bulkhead.utilisation.in_use


async def test_who_is_cancelled_while_waiting_gives_its_turn_away(guests: Guests, bulkhead: Bulkhead) -> None:
    """Neither its place in the queue nor a permit is lost."""
    for name in "abc":
        await guests.come(name, Quota(1, 9))
    guests.cancel("b")
    await guests.go("a")
    assert ["c"] == guests.inside
    await guests.go("c")
    assert 0 == bulkhead.utilisation.in_use


async def test_who_is_cancelled_at_its_turn_passes_the_place_on(guests: Guests, bulkhead: Bulkhead) -> None:
    """The place was already its own, although it had not run yet."""
    for name in "abc":
        await guests.come(name, Quota(1, 9))
    leaving = asyncio.create_task(guests.go("a"))
    while bulkhead.utilisation.waiting == 2:  # noqa: ASYNC110  the very step at which the turn comes is meant
        await asyncio.sleep(0)
    guests.cancel("b")
    await leaving
    await settle()
    assert ["c"] == guests.inside
    await guests.go("c")
    assert (0, 0) == (bulkhead.utilisation.in_use, bulkhead.utilisation.waiting)


async def test_an_error_inside_gives_the_place_back(bulkhead: Bulkhead) -> None:
    """Whatever it was."""
    with pytest.raises(ZeroDivisionError):
        async with bulkhead.place(Quota(1, 0)):
            raise ZeroDivisionError
    assert 0 == bulkhead.utilisation.in_use


async def test_callers_with_different_quotas_share_the_service(guests: Guests) -> None:
    """Each is let in when there is room under its own quota."""
    await guests.come("a", Quota(2, 9))
    await guests.come("b", Quota(1, 9))
    assert ["a"] == guests.inside
    await guests.go("a")
    assert ["b"] == guests.inside
    await guests.go("b")


async def test_utilisation_can_be_read() -> None:
    """By service, with the share that is taken; after a fork it starts anew."""
    bulkheads = Bulkheads()
    async with bulkheads.of(SERVICE).place(Quota(4, 9)):
        (busy,) = bulkheads.utilisation()
    assert (SERVICE, 1, 0, 0.25) == (busy.service, busy.in_use, busy.waiting, busy.share)
    assert bulkheads.of(SERVICE) is not bulkheads.of("other")
    bulkheads.forget()
    assert [] == bulkheads.utilisation()


@given(st.lists(st.tuples(st.integers(0, 5), st.sampled_from(["come", "go", "cancel"])), max_size=40))
def test_no_place_is_ever_lost_or_given_twice(steps: list[tuple[int, str]]) -> None:
    """Whatever comes, goes and is cancelled in whatever order."""

    async def play() -> None:
        bulkhead, number = Bulkhead(SERVICE), 0
        guests, names = Guests(bulkhead), list[str]()
        for which, what in steps:
            if what == "come":
                number += 1
                names.append(f"{number}")
                await guests.come(names[-1], Quota(2, 100))
            elif names and what == "go":
                await guests.go(names.pop(which % len(names)))
            elif names:
                guests.cancel(names.pop(which % len(names)))
            assert bulkhead.utilisation.in_use <= 2
        await guests.go(*names)
        await settle()
        assert (0, 0) == (bulkhead.utilisation.in_use, bulkhead.utilisation.waiting)

    asyncio.run(play())
