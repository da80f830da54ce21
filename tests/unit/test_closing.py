"""How an engine ends: nothing paid is lost, nobody waits for ever, no thread is left."""

from __future__ import annotations

import asyncio
import os
import threading
import time
import warnings
from collections.abc import Callable

import pytest

from cognition.errors import CallNotPermitted
from cognition.owner_loop import OwnerLoop
from cognition.runtime import open_engines
from tests.unit.memory_engine import GatedProvider, OpenProvider, Rig, eventually

MakeRig = Callable[..., Rig]


def test_closing_twice_is_harmless(rig: Rig) -> None:
    """The provider is closed, waiting rows are written, and calls say what has happened."""
    rig.script.then("Yes.")
    rig.engine.complete("Really?")
    rig.engine.complete("Really?")
    rig.engine.close()
    rig.engine.close()
    assert rig.engine.closed
    assert rig.script.closed
    assert sorted(row.status for row in rig.ledger.rows) == ["cache_hit", "ok"]
    with pytest.raises(CallNotPermitted, match="The engine is closed; open a new one"):
        rig.engine.complete("Really?")


def test_an_engine_is_a_context(make_rig: MakeRig) -> None:
    """It is closed on the way out, also by an error, and no longer listed."""
    rig = make_rig()
    assert rig.engine in open_engines()
    with pytest.raises(ZeroDivisionError), rig.engine:
        raise ZeroDivisionError
    assert rig.engine.closed
    assert rig.engine not in open_engines()


def test_closing_releases_those_who_wait(make_rig: MakeRig) -> None:
    """They get an error at once; what they spent is booked before the ledger is closed."""
    provider = GatedProvider()
    rig = make_rig(provider=provider)
    errors: list[BaseException] = []

    def ask() -> None:
        try:
            rig.engine.complete("Really?")
        except CallNotPermitted as error:
            errors.append(error)

    caller = threading.Thread(target=ask)
    caller.start()
    eventually(lambda: bool(provider.requests))
    rig.engine.close()
    caller.join(10)
    assert not caller.is_alive()
    assert [str(error) for error in errors] == [
        "The engine was closed before the answer came; keep it open until every call has returned."
    ]
    assert [row.status for row in rig.ledger.rows] == ["cancelled"]


async def test_closing_releases_async_callers(make_rig: MakeRig) -> None:
    """As an error, not as a cancellation that nobody asked for."""
    provider = GatedProvider()
    rig = make_rig(provider=provider)
    call = asyncio.ensure_future(rig.engine.acomplete("Really?"))
    await asyncio.to_thread(eventually, lambda: bool(provider.requests))
    await asyncio.to_thread(rig.engine.close)
    with pytest.raises(CallNotPermitted, match="closed before the answer came"):
        await call


class BrokenProvider(OpenProvider):
    """Cannot be closed."""

    async def close(self) -> None:
        """Fail."""
        raise ZeroDivisionError


def test_a_part_that_cannot_be_closed_keeps_no_rows_back(make_rig: MakeRig) -> None:
    """Rows are money; they are written whatever else goes wrong."""
    rig = make_rig(provider=BrokenProvider())
    for _ in range(2):
        rig.engine.complete("Really?")
    with pytest.raises(ZeroDivisionError):
        rig.engine.close()
    assert sorted(row.status for row in rig.ledger.rows) == ["cache_hit", "ok"]


def test_no_thread_outlives_its_engine(make_rig: MakeRig) -> None:
    """Owner loop, workers and timers end."""
    before = set(threading.enumerate())
    rig = make_rig(provider=OpenProvider())
    for _ in range(2):
        rig.engine.complete("Really?")
    assert set(threading.enumerate()) - before
    rig.engine.close()
    eventually(lambda: not set(threading.enumerate()) - before)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows has no fork")
def test_a_child_process_has_a_loop_of_its_own(open_rig: Rig) -> None:
    """It answers from the cache and asks the provider, and leaves the parent's waiting rows to the parent."""
    open_rig.engine.complete("Before?")
    open_rig.engine.complete("Before?")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 warns of threads at a fork; that is the point
        child = os.fork()
    if not child:
        layers = [open_rig.engine.complete(prompt).layer for prompt in ("Before?", "In the child?")]
        rows = [row.status for row in open_rig.rows]
        os._exit(0 if (layers, sorted(rows)) == (["l1", "provider"], ["cache_hit", "ok", "ok"]) else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert open_rig.engine.complete("Before?").layer == "l1"
    assert sorted(row.status for row in open_rig.rows) == ["cache_hit", "cache_hit", "ok"]


# -- the loop itself --------------------------------------------------------------------------------------------------


async def nothing() -> None:
    """Do nothing."""


def test_a_loop_that_never_ran_is_closed_quietly() -> None:
    """The last coroutine is dropped without a warning, and later ones are refused."""
    loop = OwnerLoop(2)
    loop.close(nothing())
    with pytest.raises(CallNotPermitted):
        loop.call(nothing())


def test_no_more_workers_than_allowed() -> None:
    """There are as many as pooled connections; further calls wait for their turn."""
    loop = OwnerLoop(2)
    now = most = 0
    lock = threading.Lock()

    def use() -> None:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        time.sleep(0.002)
        with lock:
            now -= 1

    async def ask() -> None:
        await asyncio.gather(*(loop.in_thread(use) for _ in range(10)))

    loop.call(ask())
    loop.close(nothing())
    assert most == 2


def test_an_error_of_a_worker_is_the_callers() -> None:
    """And the worker lives on."""
    loop = OwnerLoop(1)

    with pytest.raises(ZeroDivisionError):
        loop.call(loop.in_thread(lambda: 1 // 0))
    assert loop.call(loop.in_thread(lambda: 7)) == 7
    loop.close(nothing())
