"""Tables of the cache: entries of L2, namespaces, rollups and the single-flight fallback.

Above each index stands the query it serves; a test extracts that query and asks the planner. Prompts are never indexed.
"""

from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Computed,
    Double,
    Index,
    Integer,
    Table,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, BYTEA, TIMESTAMP, UUID
from sqlalchemy.types import Text

from cognition.adapters.postgres.columns import (
    counter,
    digest,
    label,
    metadata,
    moment,
    moment_now,
    money,
    optional_moment,
    tenant,
)


def answer_columns() -> tuple[Column[Any], ...]:
    """What an entry of either durable layer holds besides its identity."""
    return (
        label("model"),
        label("provider"),
        label("requested_model"),
        # Opaque bytes of the one codec (JSON, or zstd above 1 KiB): encryption at rest needs no other column.
        Column("payload", BYTEA, nullable=False),
        Column("payload_bytes", Integer, nullable=False),
        # The generation of the namespace the answer was asked in; an entry of an older one is never stored.
        Column("generation", BigInteger, nullable=False),
        Column("tags", ARRAY(Text), nullable=False, server_default=text("'{}'")),
        Column("request_id", UUID(as_uuid=False), nullable=False),
        moment_now("created_at"),
        moment("expires_at"),
        optional_moment("stale_until"),
        counter("access_count"),
        optional_moment("last_accessed_at"),
    )


cache_namespace = Table(
    "cache_namespace",
    metadata,
    tenant(primary_key=True),
    label("namespace", primary_key=True),
    # Raised by every invalidation in the transaction that deletes: an answer asked for before is refused afterwards.
    Column("generation", BigInteger, nullable=False, server_default=text("1")),
    moment_now("updated_at"),
    CheckConstraint("generation > 0", name="generation"),
)

llm_cache = Table(
    "llm_cache",
    metadata,
    tenant(primary_key=True),
    digest("key", primary_key=True),
    label("namespace"),
    digest("scope_key"),
    # Of a copy made for a similar question: the exact key of the question that was answered, to be invalidated with it.
    digest("origin_key", nullable=True),
    *answer_columns(),
    # DELETE FROM llm_cache WHERE tenant = 't' AND namespace = 'n' AND created_at < now()
    Index("ix_llm_cache_namespace", "tenant", "namespace", "created_at"),
    # DELETE FROM llm_cache WHERE tenant = 't' AND model = 'm' AND created_at < now()
    Index("ix_llm_cache_model", "tenant", "model", "created_at"),
    # DELETE FROM llm_cache WHERE tenant = 't' AND created_at < now()
    Index("ix_llm_cache_age", "tenant", "created_at"),
    # DELETE FROM llm_cache WHERE tenant = 't' AND tags @> ARRAY['x']
    Index("ix_llm_cache_tags", "tags", postgresql_using="gin"),
    # DELETE FROM llm_cache WHERE tenant = 't' AND request_id = '00000000-0000-0000-0000-000000000000'
    Index("ix_llm_cache_request", "tenant", "request_id"),
    # DELETE FROM llm_cache WHERE coalesce(stale_until, expires_at) < now()
    Index("ix_llm_cache_purge", text("coalesce(stale_until, expires_at)")),
    # DELETE FROM llm_cache WHERE tenant = 't' AND origin_key = ANY(ARRAY['\x00'::bytea])
    Index("ix_llm_cache_origin", "tenant", "origin_key", postgresql_where=text("origin_key IS NOT NULL")),
)

# Cumulative figures, upserted in the transaction of the rows they count, so that purging rows never changes them.
# A row of layer 'provider' counts attempts: answered ones as hits, failed ones as misses.
# The key starts with tenant and hour: every report is a range of hours, and the hour is what grows.
llm_cache_stats = Table(
    "llm_cache_stats",
    metadata,
    tenant(primary_key=True),
    Column("hour", TIMESTAMP(timezone=True), primary_key=True, nullable=False),
    label("layer", primary_key=True),
    label("namespace", primary_key=True),
    label("model", primary_key=True),
    Column("lookups", BigInteger, Computed("hits + misses", persisted=True), nullable=False),
    counter("hits"),
    counter("misses"),
    # Hits past their freshness, counted among the hits.
    counter("stale_hits"),
    # Near answers that the guard refused, counted among the misses.
    counter("refusals"),
    counter("stores"),
    counter("errors"),
    counter("corrupt"),
    counter("prompt_tokens"),
    counter("completion_tokens"),
    money("cost_usd"),
    money("saved_usd"),
    counter("latency_count"),
    Column[float]("latency_ms_sum", Double, nullable=False, server_default=text("0")),
    moment_now("updated_at"),
    CheckConstraint("layer IN ('l1', 'l2', 'l3', 'provider')", name="layer"),
    CheckConstraint("hour = date_trunc('hour', hour, 'UTC')", name="hour"),
)

# Who computes a missing answer while Redis is away. Not logged to the WAL: after a crash nobody holds a lease anyway.
single_flight_lease = Table(
    "single_flight_lease",
    metadata,
    tenant(primary_key=True),
    digest("key", primary_key=True),
    # Token of the holder; the lease is free when there is none or its time is over.
    Column("token", Text, nullable=True),
    moment("lease_until"),
    # What the holder before left for those who wait: its answer or error through the codec.
    Column("outcome_of", Text, nullable=True),
    Column("outcome", BYTEA, nullable=True),
    optional_moment("outcome_until"),
    CheckConstraint("(outcome_of IS NULL) = (outcome_until IS NULL)", name="outcome"),
    # DELETE FROM single_flight_lease WHERE greatest(outcome_until, lease_until) < now()
    Index("ix_single_flight_lease_purge", text("greatest(outcome_until, lease_until)")),
    prefixes=["UNLOGGED"],
)
