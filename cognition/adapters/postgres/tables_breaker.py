"""Tables of the circuit breaker that all processes share: state, half-open permits and history."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKeyConstraint,
    Index,
    Integer,
    SmallInteger,
    Table,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, UUID

from cognition.adapters.postgres.columns import (
    counter,
    label,
    metadata,
    moment,
    moment_now,
    optional_label,
    optional_moment,
    tenant,
)

_STATES = "('closed', 'open', 'half_open', 'forced_open', 'disabled', 'metrics_only')"

circuit_breaker_state = Table(
    "circuit_breaker_state",
    metadata,
    tenant(primary_key=True),
    # provider, model and credential scope in one text, as the command line names it.
    label("breaker_key", primary_key=True),
    label("provider"),
    label("model"),
    # A digest, never the credential.
    label("credential_scope"),
    label("state", default="closed"),
    # Raised by every transition. A result admitted in an older generation only counts in metrics.
    Column("generation", BigInteger, nullable=False, server_default=text("1")),
    Column("consecutive_failures", Integer, nullable=False, server_default=text("0")),
    # Failures since the last success by worker: one bad node must not trip everyone.
    Column("failures_by_worker", JSONB, nullable=False, server_default=text("'{}'")),
    Column("half_open_successes", Integer, nullable=False, server_default=text("0")),
    # Openings since the breaker was last closed: the open time doubles with each.
    Column("consecutive_opens", Integer, nullable=False, server_default=text("0")),
    optional_moment("opened_at"),
    optional_moment("open_until"),
    # The window of the optional failure rate and slow-call rate.
    optional_moment("window_started_at"),
    Column("window_calls", Integer, nullable=False, server_default=text("0")),
    Column("window_failures", Integer, nullable=False, server_default=text("0")),
    Column("window_slow_calls", Integer, nullable=False, server_default=text("0")),
    # Who saw failures or slow calls in it; two names are evidence enough, no more are kept.
    Column("window_workers", JSONB, nullable=False, server_default=text("'[]'")),
    # A rate limit or a spent quota: neutral for the state, but nobody calls before this time.
    optional_moment("cooldown_until"),
    optional_label("cooldown_reason"),
    optional_label("forced_by"),
    optional_label("forced_reason"),
    optional_moment("forced_at"),
    counter("total_successes"),
    counter("total_failures"),
    counter("total_rejections"),
    counter("total_outdated"),
    optional_label("last_failure"),
    optional_moment("last_failure_at"),
    moment_now("updated_at"),
    CheckConstraint(f"state IN {_STATES}", name="state"),
    CheckConstraint("state <> 'open' OR open_until IS NOT NULL", name="open_until"),
    CheckConstraint(
        "state NOT IN ('forced_open', 'disabled', 'metrics_only')"
        " OR (forced_by IS NOT NULL AND forced_reason IS NOT NULL AND forced_at IS NOT NULL)",
        name="forced",
    ),
    CheckConstraint("generation > 0", name="generation"),
    # SELECT breaker_key FROM circuit_breaker_state WHERE tenant = 't' AND state <> 'closed'
    Index("ix_circuit_breaker_state_tripped", "tenant", "state", postgresql_where=text("state <> 'closed'")),
)

# A half-open permit is a numbered slot with a lease: the primary key, not a count, keeps callers at the maximum.
circuit_breaker_permits = Table(
    "circuit_breaker_permits",
    metadata,
    tenant(primary_key=True),
    label("breaker_key", primary_key=True),
    Column("slot", SmallInteger, primary_key=True, autoincrement=False),
    Column("permit", UUID(as_uuid=True), nullable=False),
    Column("generation", BigInteger, nullable=False),
    label("holder"),
    moment_now("granted_at"),
    moment("lease_until"),
    ForeignKeyConstraint(
        ["tenant", "breaker_key"],
        ["circuit_breaker_state.tenant", "circuit_breaker_state.breaker_key"],
        ondelete="CASCADE",
    ),
    CheckConstraint("slot > 0", name="slot"),
)

# One row a transition. Each transition has its own generation, so forty failures at once can't write two.
circuit_breaker_history = Table(
    "circuit_breaker_history",
    metadata,
    tenant(primary_key=True),
    label("breaker_key", primary_key=True),
    Column("generation", BigInteger, primary_key=True, autoincrement=False),
    label("from_state"),
    label("to_state"),
    # What caused it: a threshold, a probe, the clock or a person.
    label("cause"),
    optional_label("worker"),
    optional_label("actor"),
    optional_label("reason"),
    Column("consecutive_failures", Integer, nullable=False, server_default=text("0")),
    optional_moment("open_until"),
    moment_now("created_at"),
    CheckConstraint(f"from_state IN {_STATES}", name="from_state"),
    CheckConstraint(f"to_state IN {_STATES}", name="to_state"),
    # SELECT breaker_key, to_state FROM circuit_breaker_history
    # WHERE tenant = 't' AND created_at >= now() - interval '1 day' ORDER BY created_at DESC
    Index("ix_circuit_breaker_history_time", "tenant", "created_at"),
)
