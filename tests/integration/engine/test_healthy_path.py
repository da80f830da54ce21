"""What calls cost PostgreSQL while every provider is well: nothing for circuit breakers."""

from __future__ import annotations

import time
from typing import Any

import pytest
import sqlalchemy as sa

from cognition.adapters.postgres import breakers
from cognition.resilience.breaker_times import BreakerTimes
from tests.integration.engine.stage import Stage

CALLS = 100


def test_healthy_calls_send_no_statement_for_the_breaker(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundred calls that all reach the provider; the copy is renewed in the background, at its own pace."""
    statements: list[str] = []
    fetch = breakers.fetch

    def noting(engine: sa.Engine, statement: str, *rest: Any, **more: Any) -> list[tuple[Any, ...]]:
        statements.append(statement)
        return fetch(engine, statement, *rest, **more)

    monkeypatch.setattr(breakers, "fetch", noting)
    engine = stage.open()
    stage.ask(engine, "The first call looks.", cache="bypass")
    assert statements
    statements.clear()
    started = time.monotonic()
    for number in range(CALLS):
        stage.ask(engine, f"What is {number}?", cache="bypass")
    renewals = (time.monotonic() - started) / BreakerTimes().refresh_seconds + 1
    assert CALLS + 1 == stage.provider.count
    assert len(statements) <= renewals < CALLS / 2
    assert all(statement.startswith("SELECT k.key") for statement in statements)
