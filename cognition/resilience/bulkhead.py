"""Bounds how many calls are at one service at a time, and how many wait for their turn."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from cognition.errors import BulkheadFull


@dataclass(frozen=True, slots=True)
class Quota:
    """How many calls a service takes.

    Attributes:
        max_concurrent: How many may be at it.
        max_waiting: How many may wait.
    """

    max_concurrent: int
    max_waiting: int


@dataclass(frozen=True, slots=True)
class Utilisation:
    """How busy a service is.

    Attributes:
        service: Name of the service.
        in_use: Calls that are at it.
        waiting: Calls that wait.
        quota: How many there may be of each, as the latest call said.
    """

    service: str
    in_use: int
    waiting: int
    quota: Quota

    @property
    def share(self) -> float:
        """Share of its places that are taken; above 1 when the quota has been lowered meanwhile."""
        return self.in_use / self.quota.max_concurrent


@dataclass(frozen=True, slots=True, eq=False)
class _Waiter:
    turn: asyncio.Future[None]
    quota: Quota


class Bulkhead:
    """The places of one service, given in the order in which they were asked for; lives on the owner loop.

    Each call brings the quota it was configured with and is let in when there is room under it.
    """

    def __init__(self, service: str) -> None:
        """Start empty.

        Args:
            service: Name of the service, for messages.
        """
        self._service = service
        self._in_use = 0
        self._queue: deque[_Waiter] = deque()
        self._quota = Quota(1, 0)

    @property
    def utilisation(self) -> Utilisation:
        """How busy it is; may be read from any thread."""
        return Utilisation(self._service, self._in_use, len(self._queue), self._quota)

    @asynccontextmanager
    async def place(self, quota: Quota) -> AsyncGenerator[None]:
        """Hold a place; wait for it when none is free.

        Raises:
            BulkheadFull: None is free and enough others wait.
        """
        self._quota = quota
        if self._queue or self._in_use >= quota.max_concurrent:
            await self._wait(quota)
        else:
            self._in_use += 1
        try:
            yield
        finally:
            self._leave()

    async def _wait(self, quota: Quota) -> None:
        if len(self._queue) >= quota.max_waiting:
            raise BulkheadFull.of(self._service, quota.max_concurrent, quota.max_waiting)
        waiter = _Waiter(asyncio.get_running_loop().create_future(), quota)
        self._queue.append(waiter)
        try:
            await waiter.turn
        except asyncio.CancelledError:
            if waiter in self._queue:
                self._queue.remove(waiter)
            elif not waiter.turn.cancelled():
                # Its turn came while it was being cancelled.
                self._in_use -= 1
            self._call_next()
            raise

    def _leave(self) -> None:
        self._in_use -= 1
        self._call_next()

    def _call_next(self) -> None:
        while self._queue:
            first = self._queue[0]
            if not first.turn.cancelled():
                if self._in_use >= first.quota.max_concurrent:
                    return
                # The place is taken here, not when the waiter runs: nobody may come in between.
                self._in_use += 1
                first.turn.set_result(None)
            self._queue.popleft()


class Bulkheads:
    """One bulkhead a service."""

    def __init__(self) -> None:
        """Start empty."""
        self._bulkheads: dict[str, Bulkhead] = {}

    def of(self, service: str) -> Bulkhead:
        """Return the bulkhead of a service."""
        return self._bulkheads.setdefault(service, Bulkhead(service))

    def utilisation(self) -> list[Utilisation]:
        """Return how busy each service is that was asked since the start."""
        return [bulkhead.utilisation for bulkhead in list(self._bulkheads.values())]

    def forget(self) -> None:
        """Start anew after a fork: the calls that hold places are the parent's."""
        self._bulkheads = {}
