"""Puts the services together over some stores and models."""

from __future__ import annotations

from dataclasses import dataclass

from cognition.adapters.embedders import ApiAccess, open_embedder
from cognition.adapters.providers import GenaiPrices, ModelProvider
from cognition.domain.entry import CacheEntry
from cognition.events import Observers
from cognition.owner_loop import OwnerLoop
from cognition.ports import Clock, Embedder, Provider
from cognition.resilience.store_breaker import Guarded, StoreBreaker
from cognition.services.all_layers import AllLayers
from cognition.services.cache_control import CacheParts
from cognition.services.completion import CompletionService
from cognition.services.cost_control import CostControl
from cognition.services.embeddings import Embeddings
from cognition.services.errand import Collaborators
from cognition.services.explaining import Explaining
from cognition.services.layered_cache import LayeredCache
from cognition.services.ledger_buffer import LedgerBuffer
from cognition.services.reporting import LedgerReports
from cognition.services.second_opinion import OpinionParts, SecondOpinion
from cognition.services.semantic_trust import SemanticTrust
from cognition.services.single_flight import Codec, SingleFlight
from cognition.settings import Settings, address_of_provider
from cognition.wiring.outcomes import dump, load
from cognition.wiring.semantic import semantic_layer
from cognition.wiring.stores import Stores, open_stores

# Fewer than the database connections a pool may open (10, and 20 more for a moment), so that none waits for one.
_WORKERS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Machinery:
    """An engine's moving parts, built and connected.

    Attributes:
        completion: Answers calls.
        cache: Invalidates, counts and purges.
        ledger: Reports.
        observers: See every event.
        loop: Where the provider is asked.
        provider: Asks models.
        flights: Single flight, on the loop.
        buffer: Ledger rows that wait.
        embedder: Makes vectors for L3, None when none is set.
        embeddings: Vectors that are remembered, None without an embedder.
        breakers: One for each store.
        stores: Where everything is kept.
    """

    completion: CompletionService
    cache: CacheParts
    ledger: LedgerReports
    observers: Observers
    loop: OwnerLoop
    provider: Provider
    flights: SingleFlight[CacheEntry]
    buffer: LedgerBuffer
    embedder: Embedder | None
    embeddings: Embeddings | None
    breakers: tuple[StoreBreaker, ...]
    stores: Stores


def build(settings: Settings, clock: Clock, provider: Provider | None = None) -> Machinery:
    """Return the machinery for some settings; starts the embedded servers where a URL is not set.

    Args:
        settings: Which stores, whose calls, which policies.
        clock: Returns the present time.
        provider: Asks models; by default pydantic-ai does.

    Raises:
        ConfigurationError: A store or the embedder cannot be used as configured; the sentence says what to change.
    """
    loop = OwnerLoop(_WORKERS)
    # Before any store is opened: what is wrong with a name should not cost a start of servers.
    embedder = _embedder_of(settings, loop)
    stores = open_stores(settings, clock)
    return assemble(stores, settings, clock, Models(provider or ModelProvider(), embedder), loop)


@dataclass(frozen=True, slots=True)
class Models:
    """What asks models: for answers, and for vectors if L3 is wanted."""

    provider: Provider
    embedder: Embedder | None = None


def assemble(
    stores: Stores, settings: Settings, clock: Clock, models: Models, loop: OwnerLoop | None = None
) -> Machinery:
    """Put the services together over some stores.

    Args:
        stores: Where everything is kept.
        settings: Whose calls, which prices.
        clock: Returns the present time.
        models: Asks models.
        loop: Where the provider is asked; by default a new one.
    """
    observers = Observers()
    emit = observers.emit
    loop = loop or OwnerLoop(_WORKERS)
    fast = Guarded(stores.fast, StoreBreaker(stores.fast.name, stores.fast.ping, emit))
    durable = Guarded(stores.durable, StoreBreaker(stores.durable.name, stores.durable.ping, emit))
    buffer = LedgerBuffer(stores.ledger, durable.breaker, clock, emit, stores.pairs if models.embedder else None)
    observers.add(buffer.observe)
    cache = LayeredCache(fast, durable, clock, emit)
    trust = SemanticTrust(Guarded(stores.pairs, durable.breaker), clock, emit)
    near = semantic_layer(stores, models.embedder, trust, clock, emit)
    leases = (Guarded(stores.fast_leases, fast.breaker), Guarded(stores.durable_leases, durable.breaker))
    flights = SingleFlight(leases, Codec(dump, load), loop.in_thread)
    costs = CostControl(GenaiPrices(settings.prices), buffer, clock)
    parts = Collaborators(
        layers=AllLayers(cache, near.layer if near else None),
        flights=flights,
        provider=models.provider,
        costs=costs,
        in_thread=loop.in_thread,
    )
    completion = CompletionService(parts, clock, emit)
    if near is not None:
        ask = OpinionParts(
            embeddings=near.embeddings,
            trust=trust,
            ask=completion.ask,
            spawn=loop.spawn,
            in_thread=loop.in_thread,
        )
        observers.add(SecondOpinion(ask).observe)
    control = CacheParts(
        layers=cache,
        explaining=Explaining(cache, near.layer if near else None, clock),
        embeddings=near.embeddings if near else None,
        trust=trust,
        semantic=settings.semantic,
        durable=stores.durable,
        ledger=stores.ledger,
        buffer=buffer,
        clock=clock,
    )
    return Machinery(
        completion=completion,
        cache=control,
        ledger=LedgerReports(stores.ledger, buffer, settings.tenant),
        observers=observers,
        loop=loop,
        provider=models.provider,
        flights=flights,
        buffer=buffer,
        embedder=models.embedder,
        embeddings=near.embeddings if near else None,
        breakers=(fast.breaker, durable.breaker, *(near.breakers if near else ())),
        stores=stores,
    )


def _embedder_of(settings: Settings, loop: OwnerLoop) -> Embedder | None:
    """Return the embedder; the address in the environment is part of its identity, as of a model's."""
    name = settings.embedder
    if name is None:
        return None
    return open_embedder(name, loop.call, ApiAccess(endpoint=address_of_provider(name.partition(":")[0])))
