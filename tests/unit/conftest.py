"""Engines in memory; each is closed after its test."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

import pytest

from tests.unit.memory_engine import OpenProvider, Rig

MakeRig = Callable[..., Rig]


@pytest.fixture
def make_rig(monkeypatch: pytest.MonkeyPatch) -> Generator[MakeRig]:
    """Return a function that makes engines; a dead store is asked again every millisecond."""
    monkeypatch.setattr("cognition.resilience.store_breaker._FIRST_PROBE_SECONDS", 0.001)
    rigs: list[Rig] = []

    def make(**parts: Any) -> Rig:
        rigs.append(Rig(**parts))
        return rigs[-1]

    yield make
    for rig in rigs:
        rig.engine.close()


@pytest.fixture
def rig(make_rig: MakeRig) -> Rig:
    """Return an engine whose provider answers from a script."""
    return make_rig()


@pytest.fixture
def open_rig(make_rig: MakeRig) -> Rig:
    """Return an engine whose provider answers every prompt at once."""
    return make_rig(provider=OpenProvider())
