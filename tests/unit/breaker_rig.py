"""Workers that share breakers in memory, at a time that the test tells."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, TypeVar

from cognition.adapters.memory import MemoryBreakers
from cognition.domain.breaker import BreakerKey, BreakerPolicy
from cognition.domain.breaker_standing import Admission, BreakerResult, Recorded, Standing
from cognition.errors import CircuitOpen
from cognition.events import BreakerChanged, Event
from cognition.resilience.breaker_store import BreakerStore
from cognition.resilience.breaker_times import BreakerTimes
from cognition.resilience.shared_breakers import SharedBreakers
from cognition.resilience.store_breaker import Guarded, StoreBreaker
from cognition.testing import FakeClock
from tests.unit.memory_engine import Outage

KEY = BreakerKey("openai-chat", "gpt-5-mini")
POLICY = BreakerPolicy(open_jitter=0)
T = TypeVar("T")


class CountedBreakers(MemoryBreakers):
    """Shared breakers that count what they are asked and can be taken down.

    Attributes:
        asked: How often each method was called.
        outage: Takes it down.
    """

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(clock, draw=lambda: 0.0)
        self.asked: Counter[str] = Counter()
        self.outage = Outage()

    def look(self, keys: Sequence[BreakerKey]) -> list[Standing]:
        """Tell, or fail while it is down."""
        self._count("look")
        return super().look(keys)

    def admit(self, key: BreakerKey, policy: BreakerPolicy, worker: str) -> Admission:
        """Decide, or fail while it is down."""
        self._count("admit")
        return super().admit(key, policy, worker)

    def record(self, key: BreakerKey, policy: BreakerPolicy, result: BreakerResult) -> Recorded:
        """Record, or fail while it is down."""
        self._count("record")
        return super().record(key, policy, result)

    def cool_down(self, key: BreakerKey, duration: timedelta, reason: str) -> Standing:
        """Agree, or fail while it is down."""
        self._count("cool_down")
        return super().cool_down(key, duration, reason)

    def ping(self) -> None:
        """Answer, or fail while it is down."""
        self.outage.check()

    def _count(self, method: str) -> None:
        self.outage.check()
        self.asked[method] += 1


class Workers:
    """Processes that share a store, as seen from inside of each.

    Attributes:
        clock: The one time of the store and of all workers.
        store: What they share.
        events: What all of them emitted.
        gate: While it is closed, nothing that blocks comes back.
    """

    def __init__(self, policy: BreakerPolicy = POLICY, **times: Any) -> None:
        self.clock = FakeClock()
        self.store = CountedBreakers(self.clock)
        self.policy = policy
        self.events: list[Event] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self._beginning = self.clock.now
        self.times = replace(BreakerTimes(monotonic=self._monotonic, refresh_seconds=3600), **times)

    def worker(self, name: str) -> SharedBreakers:
        """Return one more worker."""
        store: BreakerStore = self.store
        guarded = Guarded(store, StoreBreaker(name, store.ping, self.events.append))
        return SharedBreakers(guarded, self._in_thread, self.events.append, lambda: name, self.times)

    def wait(self, seconds: float) -> None:
        """Let time pass for everybody."""
        self.clock.advance(timedelta(seconds=seconds))

    def standing(self) -> Standing:
        """Return how the shared breaker stands."""
        (standing,) = MemoryBreakers.look(self.store, [KEY])
        return standing

    def seen(self, kind: type[T]) -> list[T]:
        """Return the events of a kind."""
        return [event for event in self.events if isinstance(event, kind)]

    def changes(self) -> list[str]:
        """Return the states that the breaker went to."""
        return [event.transition.to_state.value for event in self.seen(BreakerChanged)]

    async def succeed(self, worker: SharedBreakers, times: int = 1) -> None:
        """Make calls that are answered."""
        for _ in range(times):
            async with worker.passage(KEY, self.policy) as passage:
                passage.success()

    async def fail(self, worker: SharedBreakers, times: int = 1, retry_after: timedelta | None = None) -> None:
        """Make calls that fail."""
        for _ in range(times):
            async with worker.passage(KEY, self.policy) as passage:
                passage.failure("ProviderTimeout", retry_after)

    async def trip(self, first: SharedBreakers, second: SharedBreakers) -> None:
        """Open the breaker with the failures of two workers."""
        await self.fail(first, 3)
        await self.fail(second, 2)
        assert "open" == self.standing().state

    async def refusal(self, worker: SharedBreakers) -> CircuitOpen | None:
        """Return why a call is refused, or None when it is admitted; it says nothing then."""
        try:
            async with worker.passage(KEY, self.policy):
                return None
        except CircuitOpen as error:
            return error

    def _monotonic(self) -> float:
        return (self.clock.now - self._beginning).total_seconds()

    async def _in_thread(self, use: Callable[[], T]) -> T:
        await self.gate.wait()
        return use()


async def settle(condition: Callable[[], bool]) -> None:
    """Let other tasks run until something has happened."""
    for _ in range(2000):
        if condition():
            return
        await asyncio.sleep(0.001)
    raise AssertionError("It did not happen.")
