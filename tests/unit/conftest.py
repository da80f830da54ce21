"""Engines in memory; each is closed after its test."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

import pytest

from cognition.runtime import open_engines
from tests.unit.memory_engine import OpenProvider, Rig
from tests.unit.near import MakeNear, near_parts

MakeRig = Callable[..., Rig]


@pytest.fixture(autouse=True)
def no_engine_is_left_open() -> Generator[None]:
    """Close what a test opened, however it did."""
    yield
    for engine in open_engines():
        engine.close()


@pytest.fixture
def make_rig(monkeypatch: pytest.MonkeyPatch) -> MakeRig:
    """Return a function that makes engines; a dead store is asked again every millisecond."""
    monkeypatch.setattr("cognition.resilience.store_breaker._FIRST_PROBE_SECONDS", 0.001)

    def make(**parts: Any) -> Rig:
        return Rig(**parts)

    return make


@pytest.fixture
def rig(make_rig: MakeRig) -> Rig:
    """Return an engine whose provider answers from a script."""
    return make_rig()


@pytest.fixture
def open_rig(make_rig: MakeRig) -> Rig:
    """Return an engine whose provider answers every prompt at once."""
    return make_rig(provider=OpenProvider())


@pytest.fixture
def make_near(make_rig: MakeRig) -> MakeNear:
    """Return a function that makes engines with a semantic layer."""

    def make(**parts: Any) -> Rig:
        return make_rig(**near_parts(**parts))

    return make


@pytest.fixture
def near(make_near: MakeNear) -> Rig:
    """Return an engine with a semantic layer, whose provider answers every prompt at once."""
    return make_near()
