"""The composition root: builds the adapters a `Settings` asks for and puts the services together.

Nothing else constructs an adapter.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Generator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import cast

from redis import Redis
from sqlalchemy import Engine

from cognition.adapters import codec
from cognition.adapters.embedded import ensure_running
from cognition.adapters.embedders import ApiAccess, open_embedder
from cognition.adapters.memory import MemoryEntries, MemoryLeases
from cognition.adapters.postgres.connection import check, connect
from cognition.adapters.postgres.entries import PostgresEntries
from cognition.adapters.postgres.leases import PostgresLeases
from cognition.adapters.postgres.ledger import PostgresLedger
from cognition.adapters.postgres.migrate import require_current, upgrade
from cognition.adapters.providers import GenaiPrices, ModelProvider
from cognition.adapters.redis import RedisEntries, RedisLeases, forget_connections
from cognition.adapters.redis import connect as connect_redis
from cognition.domain.entry import CacheEntry
from cognition.errors import CognitionError, EntryCorrupted
from cognition.events import Observers
from cognition.owner_loop import OwnerLoop
from cognition.ports import Clock, DurableStore, Embedder, FastStore, LeaseStore, Ledger, Provider
from cognition.resilience.store_breaker import StoreBreaker
from cognition.services.cache_control import CacheParts
from cognition.services.completion import Collaborators, CompletionService
from cognition.services.cost_control import CostControl
from cognition.services.layered_cache import GuardedStore, LayeredCache
from cognition.services.ledger_buffer import LedgerBuffer
from cognition.services.reporting import LedgerReports
from cognition.services.single_flight import Codec, GuardedLeases, SingleFlight
from cognition.settings import Settings, address_of_provider

_IN_PROCESS = "memory://"

# The first byte of what single flight leaves for other processes.
_ENTRY = b"="
_ERROR = b"!"

# Fewer than the database connections a pool may open (10, and 20 more for a moment), so that none waits for one.
_WORKERS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Stores:
    """Where an engine keeps things.

    Attributes:
        fast: L1.
        durable: L2.
        ledger: Rows of attempts and hits.
        fast_leases: For single flight, beside L1.
        durable_leases: For single flight while those do not answer.
        database: The pool of PostgreSQL connections, None when nothing is there.
        redis: The Redis client, None when L1 is in the process.
    """

    fast: FastStore
    durable: DurableStore
    ledger: Ledger
    fast_leases: LeaseStore
    durable_leases: LeaseStore
    database: Engine | None = None
    redis: Redis | None = None

    def close(self) -> None:
        """Close all connections."""
        if self.database is not None:
            self.database.dispose()
        if self.redis is not None:
            self.redis.close()

    def forget(self) -> None:
        """Leave open connections to the parent after a fork; those to PostgreSQL see to it themselves."""
        if self.redis is not None:
            forget_connections(self.redis)


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
    breakers: tuple[StoreBreaker, ...]
    stores: Stores


def build(settings: Settings, clock: Clock, provider: Provider | None = None) -> Machinery:
    """Return the machinery for some settings; starts the embedded servers where a URL is not set.

    Args:
        settings: Which stores, whose calls, which policies.
        clock: Returns the present time.
        provider: Asks models; by default pydantic-ai does.

    Raises:
        ConfigurationError: A store cannot be used as configured; the sentence says what to change.
    """
    return assemble(open_stores(settings, clock), settings, clock, provider or ModelProvider())


def assemble(stores: Stores, settings: Settings, clock: Clock, provider: Provider) -> Machinery:
    """Put the services together over some stores.

    Args:
        stores: Where everything is kept.
        settings: Whose calls, which prices.
        clock: Returns the present time.
        provider: Asks models.
    """
    observers = Observers()
    emit = observers.emit
    fast = GuardedStore(stores.fast, StoreBreaker(stores.fast.name, stores.fast.ping, emit))
    durable = GuardedStore(stores.durable, StoreBreaker(stores.durable.name, stores.durable.ping, emit))
    buffer = LedgerBuffer(stores.ledger, durable.breaker, clock, emit)
    observers.add(buffer.observe)
    cache = LayeredCache(fast, durable, clock, emit)
    loop = OwnerLoop(_WORKERS)
    leases = (
        GuardedLeases(stores.fast_leases, fast.breaker),
        GuardedLeases(stores.durable_leases, durable.breaker),
    )
    flights = SingleFlight(leases, Codec(_dump, _load), loop.in_thread)
    costs = CostControl(GenaiPrices(settings.prices), buffer, clock)
    parts = Collaborators(cache=cache, flights=flights, provider=provider, costs=costs, in_thread=loop.in_thread)
    control = CacheParts(layers=cache, durable=stores.durable, ledger=stores.ledger, buffer=buffer, clock=clock)
    return Machinery(
        completion=CompletionService(parts, clock, emit),
        cache=control,
        ledger=LedgerReports(stores.ledger, buffer, settings.tenant),
        observers=observers,
        loop=loop,
        provider=provider,
        flights=flights,
        buffer=buffer,
        breakers=(fast.breaker, durable.breaker),
        stores=stores,
    )


def database_of(settings: Settings) -> str:
    """Return the database's URL, starting the embedded server when none is set."""
    if settings.database_url is not None:
        return settings.database_url.get_secret_value()
    return ensure_running(settings.home).database_url


def open_stores(settings: Settings, clock: Clock) -> Stores:
    """Return the stores that some settings ask for, PostgreSQL connected; Redis may be away, and L1 empty for a while.

    Args:
        settings: Where the stores are; embedded servers are started where a URL is not set.
        clock: Returns the present time.

    Raises:
        ConfigurationError: A store cannot be used as configured; the sentence says what to change.
        CacheUnavailable: PostgreSQL does not answer.
    """
    database = connect(database_of(settings))
    try:
        check(database)
        if settings.database_url is None:
            upgrade(database)
        else:
            require_current(database)
        redis = _redis_of(settings)
    except CognitionError:
        database.dispose()
        raise
    return Stores(
        fast=MemoryEntries(clock) if redis is None else RedisEntries(redis, clock),
        durable=PostgresEntries(database, clock),
        ledger=PostgresLedger(database),
        fast_leases=MemoryLeases(clock) if redis is None else RedisLeases(redis),
        durable_leases=PostgresLeases(database),
        database=database,
        redis=redis,
    )


@contextmanager
def embedder_alone(name: str) -> Generator[Embedder]:
    """Give an embedder without an engine around it, for commands that embed texts and need no store.

    Args:
        name: `local:name` or `provider:model`.

    Raises:
        ConfigurationError: The name is none, or a package is missing.
    """
    access = ApiAccess(endpoint=address_of_provider(name.partition(":")[0]))
    with asyncio.Runner() as runner:
        opened = cast("Embedder", open_embedder(name, runner.run, access))  # None stands for no name
        with closing(opened):
            yield opened


def _redis_of(settings: Settings) -> Redis | None:
    """Return the client of L1's server, or None when L1 is in the process."""
    url = settings.redis_url.get_secret_value() if settings.redis_url else ensure_running(settings.home).redis_url
    return None if url is None or url.startswith(_IN_PROCESS) else connect_redis(url)


def _dump(result: CacheEntry | CognitionError) -> bytes:
    """Return what single flight leaves for other processes: an entry, or an error as JSON."""
    if isinstance(result, CognitionError):
        return _ERROR + json.dumps(result.to_dict()).encode()
    return _ENTRY + bytes.fromhex(result.key) + codec.encode(result)


def _load(outcome: bytes) -> CacheEntry | CognitionError:
    kind, body = outcome[:1], outcome[1:]
    if kind == _ERROR:
        try:
            return CognitionError.from_dict(json.loads(body))
        except (ValueError, KeyError, TypeError) as error:
            raise EntryCorrupted(
                "What another process left is not an error of ours; ask the provider again."
            ) from error
    if kind != _ENTRY:
        raise EntryCorrupted(
            "What another process left is neither an answer nor an error of ours; ask the provider again."
        )
    return codec.decode(body[32:], body[:32].hex())
