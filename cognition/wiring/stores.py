"""Opens the stores that some settings ask for."""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from redis import Redis
from sqlalchemy import Engine

from cognition.adapters.embedded import ensure_running
from cognition.adapters.memory import MemoryEntries, MemoryLeases, MemorySpool
from cognition.adapters.postgres.breakers import PostgresBreakers
from cognition.adapters.postgres.budget_admin import PostgresBudgetAdmin
from cognition.adapters.postgres.budgets import PostgresBudgets
from cognition.adapters.postgres.connection import address_of_database, check, connect
from cognition.adapters.postgres.entries import PostgresEntries
from cognition.adapters.postgres.frequent import PostgresFrequent
from cognition.adapters.postgres.leases import PostgresLeases
from cognition.adapters.postgres.ledger import PostgresLedger
from cognition.adapters.postgres.migrate import require_current, upgrade
from cognition.adapters.postgres.pairs import PostgresPairs
from cognition.adapters.postgres.report_store import PostgresReports
from cognition.adapters.postgres.semantic_entries import PostgresSemanticEntries
from cognition.adapters.postgres.semantic_maintenance import SemanticMaintenance
from cognition.adapters.postgres.upkeep import PostgresUpkeep
from cognition.adapters.redis import RedisEntries, RedisLeases, forget_connections
from cognition.adapters.redis import connect as connect_redis
from cognition.adapters.spool import FileSpool
from cognition.errors import CognitionError
from cognition.ports import Clock, DurableStore, FastStore, LeaseStore, Ledger, PairStore, SemanticStore
from cognition.resilience.breaker_store import BreakerStore
from cognition.resilience.spool import Spool
from cognition.services.budget_control import BudgetStores
from cognition.services.hit_rate import ReportStore
from cognition.services.maintenance import UpkeepStore
from cognition.services.semantic_upkeep import SemanticMaintenanceStore
from cognition.services.warming import WarmStore
from cognition.settings import Settings

_IN_PROCESS = "memory://"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stores:
    """Where an engine keeps things.

    Attributes:
        fast: L1.
        durable: L2.
        ledger: Rows of attempts and hits.
        fast_leases: For single flight, beside L1.
        durable_leases: For single flight while those do not answer.
        semantic: L3.
        pairs: Similar questions that met, and verdicts on them.
        breakers: Circuit breakers that all processes share.
        budgets: What may be spent, and what is.
        spool: What the ledger and the budgets could not take yet; in memory unless said otherwise.
        maintenance: L3, as far as maintenance needs it; None where there is nothing to maintain.
        reports: Sums of the ledger; None where nothing adds up.
        frequent: What was asked often; None where nothing counts.
        upkeep: The tables as a whole; None where there are none.
        database: The pool of PostgreSQL connections, None when nothing is there.
        redis: The Redis client, None when L1 is in the process.
    """

    fast: FastStore
    durable: DurableStore
    ledger: Ledger
    fast_leases: LeaseStore
    durable_leases: LeaseStore
    semantic: SemanticStore
    pairs: PairStore
    breakers: BreakerStore
    budgets: BudgetStores
    spool: Spool = field(default_factory=MemorySpool)
    maintenance: SemanticMaintenanceStore | None = None
    reports: ReportStore | None = None
    frequent: WarmStore | None = None
    upkeep: UpkeepStore | None = None
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


def database_of(settings: Settings) -> str:
    """Return the database's URL, starting the embedded server when none is set."""
    if settings.database_url is not None:
        return settings.database_url.get_secret_value()
    return ensure_running(settings.home).database_url


def spool_of(settings: Settings, database_url: str) -> Spool:
    """Return where rows wait for a database; nothing is made or connected to.

    Args:
        settings: In which folder, and whose rows.
        database_url: The database. Each one and each tenant has a folder of its own, whoever connects to it.
    """
    name = sha256(f"{address_of_database(database_url)} {settings.tenant}".encode("utf-8", "surrogatepass"))
    folder = (settings.spool or _own_folder()).expanduser().absolute() / name.hexdigest()[:16]
    return FileSpool(folder, settings.spool_limit_mb * 1_000_000)


def open_stores(settings: Settings, clock: Clock) -> Stores:
    """Return the stores that some settings ask for, PostgreSQL connected; Redis may be away, and L1 empty for a while.

    Args:
        settings: Where the stores are; embedded servers are started where a URL is not set.
        clock: Returns the present time.

    Raises:
        ConfigurationError: A store cannot be used as configured; the sentence says what to change.
        CacheUnavailable: PostgreSQL does not answer.
    """
    database_url = database_of(settings)
    database = connect(database_url)
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
        semantic=PostgresSemanticEntries(database, clock),
        pairs=PostgresPairs(database),
        breakers=PostgresBreakers(database, settings.tenant),
        budgets=BudgetStores(
            calls=PostgresBudgets(database, settings.tenant), admin=PostgresBudgetAdmin(database, settings.tenant)
        ),
        spool=spool_of(settings, database_url),
        maintenance=SemanticMaintenance(database, clock),
        reports=PostgresReports(database),
        frequent=PostgresFrequent(database),
        upkeep=PostgresUpkeep(database, settings.tenant, clock),
        database=database,
        redis=redis,
    )


def _own_folder() -> Path:
    from platformdirs import user_state_path  # noqa: PLC0415 - half of the time of attaching, and often not needed

    return user_state_path("prefect-cognition", appauthor=False) / "spool"


def _redis_of(settings: Settings) -> Redis | None:
    """Return the client of L1's server, or None when L1 is in the process."""
    url = settings.redis_url.get_secret_value() if settings.redis_url else ensure_running(settings.home).redis_url
    return None if url is None or url.startswith(_IN_PROCESS) else connect_redis(url)
