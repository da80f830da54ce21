"""Money that a budget let pass because its store was away is booked when the store is back."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from functools import partial

import pytest
from pydantic import SecretStr
from pydantic_ai.messages import ModelResponse, TextPart
from pydantic_ai.usage import RequestUsage

from cognition import Attribution, Budget, Cognition, Settings
from cognition.domain.completion import CompletionRequest
from cognition.events import Event, LedgerSpooled, StoreFailed, StoreRecovered
from cognition.testing.clock import FakeClock
from tests.integration.engine.servers import Servers
from tests.integration.engine.stage import MODEL, QUICK, Stage, wait_until

# 1000 tokens in and 100 out, at the public price of $0.25 and $2.00 a million.
COST = Decimal("0.00045")
ALICE = Attribution(user="alice")


class Gate:
    """A provider that answers when it is let."""

    def __init__(self) -> None:
        """Let everybody in."""
        self.open = threading.Event()
        self.open.set()
        self.asked = 0

    async def prepare(self, request: CompletionRequest) -> None:
        """Be ready."""

    async def ask(self, request: CompletionRequest) -> ModelResponse:
        """Answer, once that is allowed."""
        del request
        self.asked += 1
        await asyncio.to_thread(self.open.wait, 60)
        usage = RequestUsage(input_tokens=1000, output_tokens=100)
        return ModelResponse([TextPart("Yes.")], usage=usage, finish_reason="stop")

    async def close(self) -> None:
        """Hold nothing."""


@pytest.fixture
def gate() -> Gate:
    """Return a provider that answers."""
    return Gate()


@pytest.fixture
def engine(own_stage: Stage, gate: Gate) -> Generator[Cognition]:
    """Return an engine with a budget that stops nobody while PostgreSQL is away."""
    settings = Settings(
        database_url=SecretStr(own_stage.database_url), redis_url=SecretStr(own_stage.redis_url), resilience=QUICK
    )
    with Cognition.open(settings, clock=FakeClock(), provider=gate) as engine:
        engine.budgets.set(Budget(scope="user", limit_usd="1", period="lifetime", on_store_down="open"))
        yield engine


def test_what_was_let_pass_is_booked_when_only_reserving_failed(
    engine: Cognition, gate: Gate, own_servers: Servers
) -> None:
    """PostgreSQL was away when the call began and is back when it ends: nothing has to wait in a spool."""
    events: list[Event] = []
    engine.observers.add(events.append)
    ask = partial(engine.complete, model=MODEL, settings={"max_tokens": 100}, attribution=ALICE, cache="bypass")
    ask("Before?")
    own_servers.kill_postgres()
    gate.open.clear()
    with ThreadPoolExecutor(1) as thread:
        answer = thread.submit(ask, "Meanwhile?")
        wait_until(lambda: gate.asked == 2)
        own_servers.start()
        wait_until(lambda: _stores(events, StoreFailed) == _stores(events, StoreRecovered))
        gate.open.set()
        assert COST == answer.result().cost_usd

    assert [] == [event for event in events if isinstance(event, LedgerSpooled)]
    (standing,) = engine.budgets.status(user="alice")
    assert (2 * COST, 0) == (standing.used_usd, standing.reserved_usd)
    assert [] == engine.budgets.reconcile()


def _stores(events: list[Event], kind: type[StoreFailed | StoreRecovered]) -> list[str]:
    return sorted(event.store for event in events if isinstance(event, kind))
