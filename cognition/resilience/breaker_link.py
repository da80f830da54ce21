"""The way from the owner loop to the store of shared breakers, which may be slow or lead nowhere."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, TypeVar

from cognition.resilience.breaker_store import BreakerStore
from cognition.resilience.in_thread import InThread
from cognition.resilience.store_breaker import Guarded

T = TypeVar("T")

_log = logging.getLogger(__name__)


class BreakerLink:
    """Asks the store in worker threads, and never keeps a call waiting for long."""

    def __init__(self, store: Guarded[BreakerStore], in_thread: InThread, patience_seconds: float) -> None:
        """Ask nothing yet.

        Args:
            store: Leaves itself alone while it is down.
            in_thread: Runs what blocks.
            patience_seconds: How long a call waits for the store.
        """
        self._store = store
        self._in_thread = in_thread
        self._patience_seconds = patience_seconds
        self._running: set[asyncio.Task[Any]] = set()
        self._overdue = 0

    @property
    def name(self) -> str:
        """Name of the store in events."""
        return self._store.store.name

    @property
    def is_blocked(self) -> bool:
        """Whether asking is of no use now: the store is down, or still owes an answer that is long due."""
        return self._store.breaker.is_open or self._overdue > 0

    async def ask(self, use: Callable[[BreakerStore], T]) -> T | None:
        """Return what the store says, or None when it does not answer, however long it takes to find that out."""
        return await self._in_thread(partial(self._use, use))

    def start(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run something that goes on when its caller is cancelled."""
        task = asyncio.ensure_future(work)
        self._running.add(task)
        task.add_done_callback(self._ended)
        return task

    async def wait(self, task: asyncio.Task[T]) -> T | None:
        """Return what a task brings, or None when it takes too long; it goes on all the same."""
        done, _ = await asyncio.wait({task}, timeout=self._patience_seconds)
        if done:
            return task.result()
        self._overdue += 1
        task.add_done_callback(self._came_late)
        return None

    def forget(self) -> None:
        """Start anew after a fork."""
        self._running, self._overdue = set(), 0

    def _use(self, use: Callable[[BreakerStore], T]) -> T | None:
        try:
            return self._store.call(lambda: use(self._store.store), None)
        except Exception:  # noqa: BLE001  a defect of ours in here must not stop calls
            _log.exception("The store of the circuit breakers failed.")
            return None

    def _came_late(self, _: asyncio.Task[Any]) -> None:
        self._overdue = max(self._overdue - 1, 0)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("Telling the circuit breakers failed.", exc_info=error)
