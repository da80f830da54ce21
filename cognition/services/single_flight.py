"""One caller asks, the others wait for its result: in the process by a shared task, across processes by a lease."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Awaitable, Callable, Hashable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeVar
from uuid import uuid4

from cognition.domain.entry import Address
from cognition.errors import CognitionError, EntryCorrupted
from cognition.ports import LeaseStore, LeaseView
from cognition.resilience.in_thread import InThread
from cognition.resilience.store_breaker import Guarded

T = TypeVar("T")
R = TypeVar("R")


Land = Callable[[T], None]
"""Gives the lease for some work back with the result; blocks."""

Prepare = Callable[[Land[T]], None]
"""The beginning of some work, which blocks."""


class Personal(Exception):
    """What some work brought for whom it was done, and for nobody else; those others do it themselves."""

    personal = True


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseTimes:
    """How leases are timed, in seconds.

    Attributes:
        lease: A lease whose holder died is free again after this long; a living holder renews it three times as often.
        outcome: How long those who wait may fetch what a holder left.
        first_poll: How long one who waits sleeps before it looks the first time.
        longest_poll: The longest sleep between two looks.
    """

    lease: float = 5.0
    outcome: float = 5.0
    first_poll: float = 0.01
    longest_poll: float = 0.25


@dataclass(frozen=True, slots=True)
class Codec(Generic[T]):
    """How results and errors travel to other processes; `load` raises `EntryCorrupted` on foreign bytes."""

    dump: Callable[[T | CognitionError], bytes]
    load: Callable[[bytes], T | CognitionError]


@dataclass(frozen=True, slots=True)
class Landing(Generic[T]):
    """What a flight brought.

    Attributes:
        result: The result.
        led: Whether this caller's own work ran; otherwise somebody else's result was shared.
    """

    result: T
    led: bool


@dataclass(slots=True)
class _Flight(Generic[T]):
    task: asyncio.Task[Landing[T]]
    who: Hashable
    passengers: int = 0


class SingleFlight(Generic[T]):
    """Runs the work for an address at most once at a time, here and in other processes.

    Lives on the owner loop. Of several lease stores the first that answers is used. When none answers, the work runs
    without a lease: a duplicate call costs money, a stuck one costs the user.
    """

    def __init__(
        self,
        leases: Sequence[Guarded[LeaseStore]],
        codec: Codec[T],
        in_thread: InThread,
        times: LeaseTimes | None = None,
    ) -> None:
        """Start with no flights.

        Args:
            leases: Lease stores, preferred first.
            codec: How results travel between processes.
            in_thread: Runs a blocking call in a worker thread.
            times: How leases are timed.
        """
        self._leases = leases
        self._codec = codec
        self._in_thread = in_thread
        self._times = times or LeaseTimes()
        self._flights: dict[bytes, _Flight[T]] = {}

    async def run(
        self,
        address: Address,
        work: Callable[[], Awaitable[T]],
        prepare: Prepare[T] | None = None,
        who: Hashable = None,
    ) -> Landing[T]:
        """Return the result of the work for an address, sharing it with everybody who asks meanwhile.

        The work is cancelled only when the last one who waits for it is.

        Args:
            address: What the work is for.
            work: Does it; its `CognitionError` is everybody's, unless it is personal.
            prepare: What blocks at the beginning of the work; called in the thread that took the lease, because each
                change of threads takes time. For the same reason it is given what the last thread of the work may call
                with the result: it gives the lease back.
            who: For whom; those who are equal share personal errors as well.
        """
        while True:
            flight = self._flights.get(address.key)
            boarded = flight is not None
            if flight is None:
                flight = self._flights[address.key] = _Flight(
                    asyncio.ensure_future(self._fly(address, work, prepare or _begin_at_once)), who
                )
            flight.passengers += 1
            try:
                landing = await asyncio.shield(flight.task)
            except (CognitionError, Personal) as error:
                if not (boarded and error.personal and flight.who != who):
                    raise
            else:
                return Landing(landing.result, led=landing.led and not boarded)
            finally:
                flight.passengers -= 1
                if flight.task.done() or not flight.passengers:
                    flight.task.cancel()
                    if self._flights.get(address.key) is flight:
                        del self._flights[address.key]
            # Whose work ran may not spend any more; that says nothing about this caller.

    def forget(self) -> None:
        """Start anew after a fork: the flights belong to the parent."""
        self._flights = {}

    async def _fly(self, address: Address, work: Callable[[], Awaitable[T]], prepare: Prepare[T]) -> Landing[T]:
        token = uuid4().hex
        while True:
            leases, holder, lease = await self._in_thread(partial(self._take_off, address, token, prepare))
            if leases is None:
                return Landing(await work(), led=True)
            if lease is not None:
                return Landing(await self._lead(lease, work), led=True)
            outcome = await self._follow(leases, address, holder)
            if isinstance(outcome, CognitionError):
                raise outcome
            if outcome is not None:
                return Landing(outcome, led=False)
            # The leader died, failed to say what came out, or its store went down: try to lead.

    async def _lead(self, lease: _Lease[T], work: Callable[[], Awaitable[T]]) -> T:
        outcome: bytes | None = None
        try:
            async with self._renewed(lease):
                result = await work()
            outcome = self._codec.dump(result)
        except CognitionError as error:
            outcome = None if error.personal else self._codec.dump(error)
            raise
        else:
            return result
        finally:
            if lease.held:
                # Also when cancelled: others would wait for the lease to run out.
                await asyncio.shield(asyncio.ensure_future(self._in_thread(partial(lease.give_back, outcome))))

    async def _follow(self, leases: Guarded[LeaseStore], address: Address, holder: str) -> T | CognitionError | None:
        """Return what the holder left, or None when it no longer holds the lease and left nothing."""
        sleep = self._times.first_poll
        while True:
            # Jitter needs no secrecy, only spread.
            await asyncio.sleep(sleep * (0.5 + random.random()))  # noqa: S311
            sleep = min(sleep * 1.5, self._times.longest_poll)
            view = await self._use(leases, partial(leases.store.view, address), LeaseView())
            if view.outcome is not None and view.outcome_of == holder:
                try:
                    return self._codec.load(view.outcome)
                except EntryCorrupted:
                    return None
            if view.holder != holder:
                return None

    def _take_off(
        self, address: Address, token: str, prepare: Prepare[T]
    ) -> tuple[Guarded[LeaseStore] | None, str, _Lease[T] | None]:
        """Return where the lease is, who holds it and, if it is ours, the lease; blocks.

        Unless somebody else holds it, the work has begun.
        """
        leases, holder = self._acquire(address, token)
        if leases is None:
            prepare(no_lease)
            return None, holder, None
        if holder != token:
            return leases, holder, None
        lease = _Lease(leases, address, token, self._codec, self._times.outcome)
        try:
            prepare(lease.land)
        except BaseException:
            lease.give_back(None)
            raise
        return leases, holder, lease

    def _acquire(self, address: Address, token: str) -> tuple[Guarded[LeaseStore] | None, str]:
        for leases in self._leases:
            acquire = partial(leases.store.acquire, address, token, self._times.lease)
            holder = leases.breaker.call(acquire, None)
            if holder is not None:
                return leases, holder
        return None, token

    @asynccontextmanager
    async def _renewed(self, lease: _Lease[T]) -> AsyncGenerator[None]:
        heartbeat = asyncio.ensure_future(self._renew(lease))
        try:
            yield
        finally:
            heartbeat.cancel()

    async def _renew(self, lease: _Lease[T]) -> None:
        while True:
            await asyncio.sleep(self._times.lease / 3)
            await self._in_thread(partial(lease.renew, self._times.lease))

    async def _use(self, leases: Guarded[LeaseStore], use: Callable[[], R], default: R) -> R:
        if leases.breaker.is_open:
            return default
        return await self._in_thread(partial(leases.breaker.call, use, default))


class _Lease(Generic[T]):
    """A lease that this process holds; its methods block."""

    def __init__(
        self, leases: Guarded[LeaseStore], address: Address, token: str, codec: Codec[T], seconds: float
    ) -> None:
        """Hold it.

        Args:
            leases: Where it is.
            address: What it is for.
            token: Whose it is.
            codec: How results travel between processes.
            seconds: How long others may fetch the outcome.
        """
        self._leases = leases
        self._address = address
        self._token = token
        self._codec = codec
        self._seconds = seconds
        self.held = True

    def renew(self, seconds: float) -> None:
        """Prolong it, unless it was lost meanwhile."""
        self._leases.breaker.call(partial(self._leases.store.renew, self._address, self._token, seconds), default=False)

    def land(self, result: T) -> None:
        """Give it back with a result for those who wait."""
        self.give_back(self._codec.dump(result))

    def give_back(self, outcome: bytes | None) -> None:
        """Give it back, with an outcome or without."""
        self.held = False
        release = partial(self._leases.store.release, self._address, self._token, outcome, self._seconds)
        self._leases.breaker.call(release, None)


def no_lease(result: object) -> None:
    """Stand for giving a lease back where there is none."""


def _begin_at_once(land: object) -> None:
    """Stand for a work in which nothing blocks at the beginning."""
