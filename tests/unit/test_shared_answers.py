"""Whose answer a caller may be given who asks the same as another at the same time."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from tests.unit.memory_engine import GatedProvider, Rig, eventually


def test_who_comes_after_an_invalidation_takes_no_answer_from_before_it(make_rig: Callable[..., Rig]) -> None:
    """It boards the flight of a caller who looked before, waits for it, and asks for itself."""
    provider = GatedProvider()
    rig = make_rig(provider=provider)
    flights = rig.machinery.flights._flights  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
    with ThreadPoolExecutor(max_workers=2) as threads:
        before = threads.submit(rig.engine.complete, "Really?")
        eventually(lambda: bool(provider.requests))
        rig.engine.cache.invalidate(namespace="default")
        after = threads.submit(rig.engine.complete, "Really?")
        eventually(lambda: [2] == [flight.passengers for flight in flights.values()])
        provider.gate.set()

    assert [1, 1] == [before.result().attempts, after.result().attempts]
    assert 2 == len(provider.requests)
