"""The one event loop of a process on which providers are asked.

HTTP clients, single flight and back-off waits belong to an event loop. Prefect gives every submitted async task a
loop of its own and runs sync tasks in threads without one, so none of these could be shared there; here they are.
Plain asyncio is enough: anyio's portal would keep the interpreter from exiting until it is closed, and its worker
threads end with each submitted task.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass
from functools import partial
from queue import SimpleQueue
from typing import Any, TypeVar

from cognition.errors import CallNotPermitted

T = TypeVar("T")

_CLOSE_SECONDS = 5.0
_MOST_SPAWNED = 16

_log = logging.getLogger(__name__)


class OwnerLoop:
    """An event loop in a daemon thread and worker threads for blocking calls, started on first use."""

    def __init__(self, workers: int) -> None:
        """Start nothing yet.

        Args:
            workers: How many blocking calls may run at once; no more than the database pool can serve.
        """
        self._workers = workers
        self._lock = threading.Lock()
        self._running: _Running | None = None
        self._pool: _Workers | None = None
        self._closed = False
        self._left_behind: list[object] = []
        self._spawned: set[Future[object]] = set()

    def call(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the loop and wait for its result in this thread.

        Raises:
            CallNotPermitted: The loop was closed, before or meanwhile.
        """
        future = self._submit(coroutine)
        try:
            return future.result()
        except CancelledError:
            raise _closed_meanwhile() from None
        except BaseException:
            # An interrupt of the waiting thread must reach the HTTP call, or its money is spent for nobody.
            future.cancel()
            raise

    async def acall(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the loop and await its result on the caller's loop; cancelling reaches it.

        Raises:
            CallNotPermitted: The loop was closed, before or meanwhile.
        """
        future = self._submit(coroutine)
        try:
            return await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            caller = asyncio.current_task()
            if future.cancelled() and caller is not None and not caller.cancelling():
                raise _closed_meanwhile() from None
            raise

    def spawn(self, coroutine: Coroutine[Any, Any, object]) -> None:
        """Run a coroutine on the loop without waiting for it; dropped when too many run already or the loop is closed.

        For work that nobody waits for and whose loss harms nobody: its errors are logged, and closing cancels it.
        """
        with self._lock:
            room = not self._closed and len(self._spawned) < _MOST_SPAWNED
        if not room:
            coroutine.close()
            return
        future = self._submit(coroutine)
        self._spawned.add(future)
        future.add_done_callback(self._spawned_ended)

    async def in_thread(self, use: Callable[[], T]) -> T:
        """Run a blocking call in a worker thread and await its result, from any loop."""
        return await asyncio.wrap_future(self._executor().submit(use))

    def begin(self, use: Callable[[], None]) -> None:
        """Run a blocking call in a worker thread without waiting for it."""
        self._executor().submit(use)

    def close(self, last: Coroutine[Any, Any, object]) -> None:
        """Cancel what runs, let it book what it has spent, run one last coroutine and stop.

        Waits no longer than some seconds; threads that wait in `call` are released at once.

        Args:
            last: Closes what lives on the loop; dropped when the loop never ran.
        """
        with self._lock:
            self._closed = True
            running, self._running = self._running, None
        try:
            if running is None:
                last.close()
            else:
                running.stop(last)
        finally:
            with self._lock:
                pool, self._pool = self._pool, None
            if pool is not None:
                pool.close()

    def forget(self) -> None:
        """Start anew after a fork: threads do not survive it."""
        # Kept, for destroying them here would warn, and end what the parent still uses.
        self._left_behind += [self._running, self._pool]
        self._lock = threading.Lock()
        self._running = None
        self._pool = None
        self._spawned = set()

    def _spawned_ended(self, future: Future[object]) -> None:
        self._spawned.discard(future)
        if not future.cancelled() and (error := future.exception()) is not None:
            _log.warning("Work in the background failed: %s", error)

    def _submit(self, coroutine: Coroutine[Any, Any, T]) -> Future[T]:
        with self._lock:
            if self._closed:
                coroutine.close()
                raise CallNotPermitted("The engine is closed; open a new one.")
            if self._running is None:
                self._running = _start()
            running = self._running
            future = asyncio.run_coroutine_threadsafe(coroutine, running.loop)
            running.calls.add(future)
        future.add_done_callback(running.calls.discard)
        return future

    def _executor(self) -> _Workers:
        with self._lock:
            if self._pool is None:
                self._pool = _Workers(self._workers)
            return self._pool


class _Workers:
    """Daemon threads for blocking calls, started as they are needed.

    Those of `concurrent.futures` take no more work once the interpreter begins to exit; but just then calls that are
    cancelled must be booked and their leases given back.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._threads = 0
        self._idle = threading.Semaphore(0)
        self._waiting: SimpleQueue[Callable[[], None] | None] = SimpleQueue()

    def submit(self, use: Callable[[], T]) -> Future[T]:
        future: Future[T] = Future()
        self._waiting.put(partial(_fulfil, future, use))
        if not self._idle.acquire(blocking=False):
            self._start()
        return future

    def close(self) -> None:
        """Let each thread end when nothing waits any more."""
        for _ in range(self._threads):
            self._waiting.put(None)

    def _start(self) -> None:
        with self._lock:
            if self._threads < self._most:
                self._threads += 1
                name = f"cognition-store-{self._threads}"
                threading.Thread(target=self._work, name=name, daemon=True).start()

    def _work(self) -> None:
        while (task := self._waiting.get()) is not None:
            task()
            # What a finished call holds must not live until the next one comes.
            del task
            self._idle.release()


def _fulfil(future: Future[T], use: Callable[[], T]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        result = use()
    except BaseException as error:  # noqa: BLE001  it is raised again where the future is awaited
        future.set_exception(error)
    else:
        future.set_result(result)


@dataclass(frozen=True, slots=True)
class _Running:
    loop: asyncio.AbstractEventLoop
    thread: threading.Thread
    calls: set[Future[Any]]

    def stop(self, last: Coroutine[Any, Any, object]) -> None:
        for call in list(self.calls):
            call.cancel()
        future = asyncio.run_coroutine_threadsafe(_finish(last), self.loop)
        try:
            future.result(timeout=_CLOSE_SECONDS)
        except TimeoutError:
            future.cancel()
        finally:
            self.loop.call_soon_threadsafe(self.loop.stop)
            self.thread.join(_CLOSE_SECONDS)


def _start() -> _Running:
    loop = _new_loop()
    thread = threading.Thread(target=_run, args=(loop,), name="cognition-owner-loop", daemon=True)
    thread.start()
    return _Running(loop, thread, set())


def _new_loop() -> asyncio.AbstractEventLoop:
    """Return a loop of uvloop where there is one: a miss takes some thirty steps, which are a third faster there."""
    try:
        import uvloop  # noqa: PLC0415  not for Windows, and heavy for those who never miss
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


def _run(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
    finally:
        loop.close()


async def _finish(last: Coroutine[Any, Any, object]) -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    if others:
        await asyncio.wait(others, timeout=_CLOSE_SECONDS / 2)
    await last


def _closed_meanwhile() -> CallNotPermitted:
    return CallNotPermitted("The engine was closed before the answer came; keep it open until every call has returned.")
