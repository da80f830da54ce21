"""The one event loop of a process on which providers are asked.

HTTP clients, single flight and back-off waits belong to an event loop. Prefect gives every submitted async task a
loop of its own and runs sync tasks in threads without one, so none of these could be shared there; here they are.
Plain asyncio is
enough: anyio's portal would keep the interpreter from exiting until it is closed, and its worker threads end with each
submitted task.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")

_CLOSE_SECONDS = 5.0


class OwnerLoop:
    """An event loop in a daemon thread and worker threads for blocking calls, started on first use."""

    def __init__(self, workers: int) -> None:
        """Start nothing yet.

        Args:
            workers: How many blocking calls may run at once; the size of the database pool.
        """
        self._workers = workers
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pool: ThreadPoolExecutor | None = None

    def call(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the loop and wait for its result in this thread."""
        future = self._submit(coroutine)
        try:
            return future.result()
        except BaseException:
            # An interrupt of the waiting thread must reach the HTTP call, or its money is spent for nobody.
            future.cancel()
            raise

    async def acall(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the loop and await its result on the caller's loop; cancelling reaches it."""
        return await asyncio.wrap_future(self._submit(coroutine))

    async def in_thread(self, use: Callable[[], T]) -> T:
        """Run a blocking call in a worker thread and await its result, from any loop."""
        return await asyncio.wrap_future(self._executor().submit(use))

    def close(self, last: Coroutine[Any, Any, object]) -> None:
        """Run one last coroutine and stop; wait no longer than some seconds.

        Args:
            last: Closes what lives on the loop; dropped when the loop never ran.
        """
        with self._lock:
            loop, self._loop = self._loop, None
            pool, self._pool = self._pool, None
        if loop is None:
            last.close()
        else:
            future = asyncio.run_coroutine_threadsafe(last, loop)
            try:
                future.result(timeout=_CLOSE_SECONDS)
            except TimeoutError:
                future.cancel()
            finally:
                loop.call_soon_threadsafe(loop.stop)
        if pool is not None:
            pool.shutdown(wait=False, cancel_futures=True)

    def forget(self) -> None:
        """Start anew after a fork: threads do not survive it."""
        self._lock = threading.Lock()
        self._loop = None
        self._pool = None

    def _submit(self, coroutine: Coroutine[Any, Any, T]) -> Future[T]:
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                threading.Thread(target=_run, args=(self._loop,), name="cognition-owner-loop", daemon=True).start()
            return asyncio.run_coroutine_threadsafe(coroutine, self._loop)

    def _executor(self) -> ThreadPoolExecutor:
        with self._lock:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(self._workers, thread_name_prefix=f"cognition-store-{os.getpid()}")
            return self._pool


def _run(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
    finally:
        loop.close()
