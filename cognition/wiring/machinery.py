"""Puts the services together over some stores and models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cognition.adapters.machine import worker_name
from cognition.adapters.providers import GenaiPrices
from cognition.domain.entry import CacheEntry
from cognition.events import Observers
from cognition.owner_loop import OwnerLoop
from cognition.ports import Clock, LeaseStore, Provider
from cognition.resilience.bulkhead import Bulkheads
from cognition.resilience.pipeline import Pipeline
from cognition.resilience.retry_budget import RetryBudgets
from cognition.resilience.shared_breakers import SharedBreakers
from cognition.resilience.store_breaker import Guarded, StoreBreaker
from cognition.resilience.timing import Timing
from cognition.services.all_layers import AllLayers
from cognition.services.breaker_control import BreakerControl
from cognition.services.budget_control import BudgetControl
from cognition.services.cache_control import CacheParts
from cognition.services.completion import CompletionService
from cognition.services.cost_control import CostControl
from cognition.services.embeddings import Embeddings
from cognition.services.errand import Collaborators
from cognition.services.explaining import Explaining
from cognition.services.failure_counts import FailureCounts
from cognition.services.hit_rate import HitRateParts
from cognition.services.layered_cache import LayeredCache
from cognition.services.ledger_buffer import LedgerBuffer
from cognition.services.ledger_writer import Books
from cognition.services.maintenance import UpkeepParts
from cognition.services.measuring import MeasuringParts
from cognition.services.reporting import LedgerReports
from cognition.services.reports import Reports
from cognition.services.second_opinion import OpinionParts, SecondOpinion
from cognition.services.semantic_trust import SemanticTrust
from cognition.services.single_flight import Codec, SingleFlight
from cognition.services.warming import WarmParts
from cognition.settings import Settings
from cognition.wiring.outcomes import dump, load
from cognition.wiring.semantic import Models, Near, open_models, semantic_layer, upkeep_of
from cognition.wiring.spending import Money, money_of, route_to
from cognition.wiring.stores import Stores, open_stores

# Fewer than the database connections a pool may open (10, and 20 more for a moment), so that none waits for one.
_WORKERS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Machinery:
    """An engine's moving parts, built and connected.

    Attributes:
        completion: Answers calls.
        cache: Invalidates, counts and purges.
        ledger: Sums of its rows.
        reports: For people who were not there.
        warming: Asks before anybody waits.
        upkeep: Looks after the store.
        observers: See every event.
        loop: Where the provider is asked.
        models: Asked for answers, vectors and second looks.
        flights: Single flight, on the loop.
        bulkheads: How many calls are at each service, on the loop.
        buffer: Ledger rows that wait.
        embeddings: Vectors that are remembered, None without an embedder.
        breakers: One for each store.
        circuits: One for each model and account, shared by all processes; on the loop.
        breaker_control: What people do to those.
        money: What budgets need.
        budget_control: What people do to budgets.
        failures: Errors of calls, by flow run.
        measuring: What monitoring sees.
        stores: Where everything is kept.
    """

    completion: CompletionService
    cache: CacheParts
    ledger: LedgerReports
    reports: Reports
    warming: WarmParts
    upkeep: UpkeepParts
    observers: Observers
    loop: OwnerLoop
    models: Models
    flights: SingleFlight[CacheEntry]
    bulkheads: Bulkheads
    buffer: LedgerBuffer
    embeddings: Embeddings | None
    breakers: tuple[StoreBreaker, ...]
    circuits: SharedBreakers
    breaker_control: BreakerControl
    money: Money
    budget_control: BudgetControl
    failures: FailureCounts
    measuring: MeasuringParts
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
    models = open_models(settings, loop, provider)
    machinery = assemble(open_stores(settings, clock), settings, clock, models, loop)
    # From the first call on it is known whether a budget limits it, also when the database goes away before.
    machinery.money.known.refresh()
    return machinery


def assemble(
    stores: Stores, settings: Settings, clock: Clock, models: Models, loop: OwnerLoop | None = None
) -> Machinery:
    """Put the services together over some stores.

    Args:
        stores: Where everything is kept.
        settings: Whose calls, which prices.
        clock: Returns the present time.
        models: Asked for answers and vectors.
        loop: Where they are asked; by default a new one.
    """
    loop = loop or OwnerLoop(_WORKERS)
    base = _base(stores, settings, models, clock, loop)
    parts = _collaborators(base, models, clock, loop)
    completion = CompletionService(parts, clock, base.observers.emit)
    breaker_control = BreakerControl(stores.breakers, base.circuits, base.observers.emit)
    budget_control = BudgetControl(stores.budgets, settings.tenant, clock, base.money.known.forget)
    _second_opinion(base, completion, loop)
    return Machinery(
        completion=completion,
        cache=_cache_parts(base, stores, settings, models, clock),
        ledger=LedgerReports(stores.ledger, base.buffer, settings.tenant),
        reports=_reports(base, stores, settings, clock),
        warming=_warm_parts(base, stores, clock),
        upkeep=UpkeepParts(store=stores.upkeep, has_embedder=models.embedder is not None, clock=clock),
        observers=base.observers,
        loop=loop,
        models=models,
        flights=parts.flights,
        bulkheads=parts.pipeline.bulkheads,
        buffer=base.buffer,
        embeddings=base.near.embeddings if base.near else None,
        breakers=(*base.breakers, base.money.breaker),
        circuits=base.circuits,
        breaker_control=breaker_control,
        money=base.money,
        failures=base.failures,
        budget_control=budget_control,
        measuring=MeasuringParts(
            totals=stores.reports,
            budgets=budget_control,
            breakers=breaker_control,
            spool=stores.spool,
            tenant=settings.tenant,
        ),
        stores=stores,
    )


def _collaborators(base: _Base, models: Models, clock: Clock, loop: OwnerLoop) -> Collaborators:
    """Return what a call needs."""
    spending = base.money.spending
    return Collaborators(
        layers=AllLayers(base.exact, base.near.layer if base.near else None),
        flights=SingleFlight(base.leases, Codec(dump, load), loop.in_thread),
        provider=models.provider,
        pipeline=Pipeline(base.circuits, Bulkheads(), RetryBudgets(), Timing(clock=clock)),
        costs=CostControl(base.prices, base.buffer, spending, clock),
        spending=spending,
        route_to=route_to,
        in_thread=loop.in_thread,
    )


def _cache_parts(base: _Base, stores: Stores, settings: Settings, models: Models, clock: Clock) -> CacheParts:
    return CacheParts(
        layers=base.exact,
        explaining=Explaining(base.exact, base.near.layer if base.near else None, clock),
        embeddings=base.near.embeddings if base.near else None,
        trust=base.trust,
        semantic=settings.semantic,
        upkeep=upkeep_of(stores, models),
        durable=stores.durable,
        ledger=stores.ledger,
        buffer=base.buffer,
        clock=clock,
        emit=base.observers.emit,
    )


def _second_opinion(base: _Base, completion: CompletionService, loop: OwnerLoop) -> None:
    """Let answers of L3 be compared with the provider's own, in the background."""
    if base.near is not None:
        opinion = OpinionParts(base.near.embeddings, base.trust, completion.ask, loop.spawn, loop.in_thread)
        base.observers.add(SecondOpinion(opinion).observe)


def _warm_parts(base: _Base, stores: Stores, clock: Clock) -> WarmParts:
    return WarmParts(
        durable=stores.durable,
        store=stores.frequent,
        settle=base.exact.settle,
        flush=base.buffer.flush,
        clock=clock,
    )


def _reports(base: _Base, stores: Stores, settings: Settings, clock: Clock) -> Reports:
    if stores.reports is None:
        return Reports(None, base.buffer, settings.tenant)
    parts = HitRateParts(
        store=stores.reports,
        pairs=stores.pairs,
        prices=base.prices,
        policy=settings.semantic,
        clock=clock,
    )
    return Reports(parts, base.buffer, settings.tenant)


@dataclass(frozen=True, slots=True)
class _Base:
    """What the other services stand on."""

    observers: Observers
    breakers: tuple[StoreBreaker, ...]
    leases: Sequence[Guarded[LeaseStore]]
    buffer: LedgerBuffer
    exact: LayeredCache
    trust: SemanticTrust
    near: Near | None
    circuits: SharedBreakers
    failures: FailureCounts
    prices: GenaiPrices
    money: Money


def _base(stores: Stores, settings: Settings, models: Models, clock: Clock, loop: OwnerLoop) -> _Base:
    observers = Observers()
    emit = observers.emit
    fast = Guarded(stores.fast, StoreBreaker(stores.fast.name, stores.fast.ping, emit))
    durable = Guarded(stores.durable, StoreBreaker(stores.durable.name, stores.durable.ping, emit))
    books = Books(stores.ledger, stores.budgets.calls, stores.spool, stores.pairs if models.embedder else None)
    buffer = LedgerBuffer(books, durable.breaker, clock, emit)
    observers.add(buffer.observe)
    observers.add((failures := FailureCounts()).observe)
    buffer.resume()
    # One of its own, as pgvector has: L2 goes on without the tables of L3.
    pairs = Guarded(stores.pairs, StoreBreaker("pairs", stores.durable.ping, emit))
    trust = SemanticTrust(pairs, clock, emit)
    near = semantic_layer(stores, models, trust, clock, emit)
    leases = (Guarded(stores.fast_leases, fast.breaker), Guarded(stores.durable_leases, durable.breaker))
    exact = LayeredCache(fast, durable, clock, emit, submit=loop.begin)
    # One of its own: without its tables, breakers of this process go on, and so does L2.
    shared = Guarded(stores.breakers, StoreBreaker("breakers", stores.breakers.ping, emit))
    prices = GenaiPrices(settings.prices)
    return _Base(
        observers=observers,
        breakers=(fast.breaker, durable.breaker, pairs.breaker, shared.breaker, *(near.breakers if near else ())),
        leases=leases,
        buffer=buffer,
        exact=exact,
        trust=trust,
        near=near,
        circuits=SharedBreakers(shared, loop.in_thread, emit, worker_name),
        failures=failures,
        prices=prices,
        money=money_of(stores, prices, loop, clock, emit),
    )
