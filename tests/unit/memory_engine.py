"""The whole engine over stores in memory: the real services, put together as in production."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from typing import Any, TypeVar

from pydantic_ai.messages import ModelResponse, TextPart
from pydantic_ai.usage import RequestUsage

from cognition import Cognition, Settings
from cognition.adapters.memory import (
    MemoryBreakers,
    MemoryBudgetAdmin,
    MemoryBudgets,
    MemoryDurableEntries,
    MemoryEmbedder,
    MemoryEntries,
    MemoryLeases,
    MemoryLedger,
    MemoryPairs,
    MemorySemanticEntries,
    MemoryVerifier,
    ScriptedProvider,
)
from cognition.domain.budget import Budget, Scope
from cognition.domain.completion import CompletionRequest, Prompt
from cognition.domain.entry import Address, CacheEntry, Found
from cognition.domain.ledger import NOTHING, LedgerBatch, LedgerRow
from cognition.domain.reservation import CallAttempt, Claim, Reservation, Standing
from cognition.domain.semantic import Label, Question
from cognition.errors import CacheUnavailable, CognitionError
from cognition.events import Event
from cognition.ports import Clock, Nearby, Provider
from cognition.resilience.policy import ResiliencePolicy
from cognition.services.budget_control import BudgetStores
from cognition.testing.clock import FakeClock
from cognition.wiring import Models, Stores, assemble

MODEL = "openai-chat:gpt-5-mini"
T = TypeVar("T")


def eventually(condition: Callable[[], bool]) -> None:
    """Wait for another thread, for a few milliseconds as a rule."""
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


class Outage:
    """Makes the methods of a store fail while it is down."""

    def __init__(self) -> None:
        self.down = False

    def check(self) -> None:
        """Fail while the store is down."""
        if self.down:
            raise CacheUnavailable.of("memory", "it was taken down")


class FragileFast(MemoryEntries):
    """L1 that can be taken down."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(clock)
        self.outage = Outage()
        self.batches: list[int] = []

    def get(self, address: Address) -> Found:
        """Look up, or fail while it is down."""
        self.outage.check()
        return super().get(address)

    def get_many(self, addresses: Sequence[Address]) -> list[Found]:
        """Look up, or fail while it is down; remember how many were asked for."""
        self.outage.check()
        self.batches.append(len(addresses))
        return [super(FragileFast, self).get(address) for address in addresses]

    def put(self, items: Sequence[tuple[Address, CacheEntry]]) -> int:
        """Keep, or fail while it is down."""
        self.outage.check()
        return super().put(items)

    def ping(self) -> None:
        """Answer, or fail while it is down."""
        self.outage.check()


class FragileDurable(MemoryDurableEntries):
    """L2 that can be taken down."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self.outage = Outage()

    def get(self, address: Address) -> Found:
        """Look up, or fail while it is down."""
        self.outage.check()
        return super().get(address)

    def put(self, items: Sequence[tuple[Address, CacheEntry]]) -> int:
        """Keep, or fail while it is down."""
        self.outage.check()
        return super().put(items)

    def ping(self) -> None:
        """Answer, or fail while it is down."""
        self.outage.check()


class FragileSemantic(MemorySemanticEntries):
    """L3 that can be taken down.

    Attributes:
        asked: How many questions each look-up brought.
        outage: Takes it down.
    """

    def __init__(self, clock: FakeClock, durable: MemoryDurableEntries, pairs: MemoryPairs) -> None:
        super().__init__(clock, durable, pairs)
        self.asked: list[int] = []
        self.outage = Outage()

    def nearest(self, fingerprint: str, questions: Sequence[Question], limit: int) -> list[Nearby]:
        """Look up, or fail while it is down."""
        self.outage.check()
        self.asked.append(len(questions))
        return super().nearest(fingerprint, questions, limit)

    def put(self, fingerprint: str, items: Sequence[tuple[Question, CacheEntry]]) -> int:
        """Keep, or fail while it is down."""
        self.outage.check()
        return super().put(fingerprint, items)

    def ping(self) -> None:
        """Answer, or fail while it is down."""
        self.outage.check()


class FragilePairs(MemoryPairs):
    """What is known about similar questions, unless it cannot be told.

    Attributes:
        error: What it raises instead of telling; None to tell.
    """

    def __init__(self) -> None:
        super().__init__()
        self.error: CognitionError | None = None

    def labels(self, tenant: str, namespace: str, fingerprint: str, limit: int) -> list[Label]:
        """Tell, or fail."""
        if self.error is not None:
            raise self.error
        return super().labels(tenant, namespace, fingerprint, limit)


class FragileBudgets(MemoryBudgets):
    """Budgets that can be taken down.

    Attributes:
        outage: Takes them down.
        claims: What was asked for, in order.
        renewed: What was prolonged, in order.
    """

    def __init__(self, clock: Clock, ledger: MemoryLedger) -> None:
        super().__init__(clock, ledger)
        self.outage = Outage()
        self.claims: list[Claim] = []
        self.renewed: list[set[CallAttempt]] = []

    def reserve(self, claim: Claim) -> Reservation:
        """Set aside, or fail while it is down."""
        self.outage.check()
        self.claims.append(claim)
        return super().reserve(claim)

    def settle(self, attempt: CallAttempt, cost_usd: Decimal | None, batch: LedgerBatch = NOTHING) -> Reservation:
        """Book, or fail while it is down."""
        self.outage.check()
        return super().settle(attempt, cost_usd, batch)

    def renew(self, attempts: Sequence[CallAttempt], lease: timedelta) -> set[CallAttempt]:
        """Prolong, or fail while it is down."""
        self.outage.check()
        self.renewed.append(super().renew(attempts, lease))
        return self.renewed[-1]

    def budgets(self) -> list[Budget]:
        """Tell, or fail while it is down."""
        self.outage.check()
        return super().budgets()

    def version(self) -> str:
        """Tell, or fail while it is down."""
        self.outage.check()
        return super().version()

    def look(self, subjects: Mapping[Scope, str]) -> list[Standing]:
        """Tell, or fail while it is down."""
        self.outage.check()
        return super().look(subjects)


class GatedProvider:
    """Answers every prompt with its own text, once it is let."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.requests: list[CompletionRequest] = []
        self.cancelled = 0
        self.most_at_once = 0
        self._now = 0

    async def prepare(self, request: CompletionRequest) -> None:
        """Be ready."""

    async def ask(self, request: CompletionRequest) -> ModelResponse:
        """Wait for the gate, then answer."""
        self.requests.append(request)
        self._now += 1
        self.most_at_once = max(self.most_at_once, self._now)
        try:
            while not self.gate.is_set():  # noqa: ASYNC110  tests open the gate from another thread
                await asyncio.sleep(0.001)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self._now -= 1
        return an_answer(f"Answer to {request.prompt}")

    async def close(self) -> None:
        """Hold nothing."""


class OpenProvider(GatedProvider):
    """Answers at once."""

    def __init__(self) -> None:
        super().__init__()
        self.gate.set()


def an_answer(text: str, **fields: Any) -> ModelResponse:
    """Return a finished answer of one text."""
    fields.setdefault("usage", RequestUsage(input_tokens=1000, output_tokens=100))
    fields.setdefault("finish_reason", "stop")
    return ModelResponse([TextPart(text)], **fields)


@dataclass
class Rig:
    """An engine, and everything around it that a test wants to see or break; its stores may be those of another."""

    provider: Provider = field(default_factory=ScriptedProvider)
    clock: FakeClock = field(default_factory=FakeClock)
    settings: Settings = field(default_factory=lambda: Settings(model=MODEL, resilience=ResiliencePolicy(attempts=1)))
    ledger: MemoryLedger = field(default_factory=MemoryLedger)
    embedder: MemoryEmbedder | None = None
    verifier: MemoryVerifier | None = None
    beside: Rig | None = None
    events: list[Event] = field(default_factory=list[Event])

    def __post_init__(self) -> None:
        """Put the engine together."""
        if self.beside is None:
            self.durable = FragileDurable(self.clock)
            self.fast, self.pairs = FragileFast(self.clock), FragilePairs()
            self.semantic = FragileSemantic(self.clock, self.durable, self.pairs)
            self.budgets = FragileBudgets(self.clock, self.ledger)
        else:
            other = self.beside
            self.clock, self.ledger, self.durable = other.clock, other.ledger, other.durable
            self.fast, self.pairs, self.semantic = other.fast, other.pairs, other.semantic
            self.budgets = other.budgets
        stores = Stores(
            fast=self.fast,
            durable=self.durable,
            ledger=self.ledger,
            fast_leases=MemoryLeases(self.clock),
            durable_leases=MemoryLeases(self.clock),
            semantic=self.semantic,
            pairs=self.pairs,
            breakers=MemoryBreakers(self.clock),
            budgets=BudgetStores(calls=self.budgets, admin=MemoryBudgetAdmin(self.budgets, self.ledger)),
        )
        self.machinery = assemble(
            stores, self.settings, self.clock, Models(self.provider, self.embedder, self.verifier)
        )
        self.machinery.observers.add(self.events.append)
        self.engine = Cognition(self.settings, self.machinery)

    @property
    def script(self) -> ScriptedProvider:
        """The provider that answers from a script."""
        assert isinstance(self.provider, ScriptedProvider)
        return self.provider

    def settle(self) -> None:
        """Wait for what callers do not wait for."""
        self.machinery.cache.layers.settle()
        eventually(lambda: not self.machinery.loop._spawned)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]

    @property
    def rows(self) -> list[LedgerRow]:
        """What stands in the ledger, waiting rows included."""
        self.engine.ledger.flush()
        return self.ledger.rows

    def seen(self, kind: type[T]) -> list[T]:
        """Return the events of a kind."""
        return [event for event in self.events if isinstance(event, kind)]

    def layer(self, prompt: Prompt, **options: Any) -> str:
        """Ask, and return which layer answered."""
        return str(self.engine.complete(prompt, **options).layer)
