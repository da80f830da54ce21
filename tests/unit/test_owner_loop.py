"""Work on the owner loop that nobody waits for."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Generator

import pytest

from cognition.owner_loop import OwnerLoop
from tests.unit.memory_engine import eventually


async def _nothing() -> None:
    """Do nothing."""


@pytest.fixture
def loop() -> Generator[OwnerLoop]:
    """Give a loop that is closed afterwards."""
    loop = OwnerLoop(workers=2)
    yield loop
    loop.close(_nothing())


def test_spawned_work_runs_while_the_caller_goes_on(loop: OwnerLoop) -> None:
    """The caller does not wait for it."""
    gate, done = threading.Event(), threading.Event()

    async def work() -> None:
        await loop.in_thread(gate.wait)
        done.set()

    loop.spawn(work())
    assert not done.is_set()
    gate.set()
    assert done.wait(10)


def test_an_error_of_spawned_work_is_logged(loop: OwnerLoop, caplog: pytest.LogCaptureFixture) -> None:
    """Nobody could catch it."""

    async def work() -> None:
        raise ValueError("no luck")

    with caplog.at_level(logging.WARNING):
        loop.spawn(work())
        eventually(lambda: "no luck" in caplog.text)


def test_spawned_work_has_a_limit(loop: OwnerLoop) -> None:
    """What comes while too much runs is dropped, and room is made as work ends."""
    started: list[int] = []
    gate = asyncio.Event()

    async def work(number: int) -> None:
        started.append(number)
        await gate.wait()

    async def open_gate() -> None:
        gate.set()

    for number in range(40):
        loop.spawn(work(number))
    eventually(lambda: len(started) == 16)
    loop.call(open_gate())
    eventually(lambda: not loop._spawned)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
    loop.spawn(work(99))
    eventually(lambda: started[-1] == 99)


def test_closing_cancels_spawned_work() -> None:
    """It never keeps a program from ending."""
    loop, cancelled, started = OwnerLoop(workers=1), threading.Event(), threading.Event()

    async def work() -> None:
        started.set()
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            cancelled.set()
            raise

    loop.spawn(work())
    assert started.wait(10)
    loop.close(_nothing())
    assert cancelled.is_set()
    loop.spawn(work())
