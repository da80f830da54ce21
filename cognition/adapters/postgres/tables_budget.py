"""Tables of budgets: limits, the counters of their periods, reservations, adjustments and alerts.

A budget says whose spend is limited; a counter is one period of one subject. Under the subject `*` every subject of
the scope has a counter of its own, which is how each root flow run, or each user, gets a cap without a row of its own.
"""

import uuid

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    ForeignKeyConstraint,
    Index,
    Integer,
    Numeric,
    SmallInteger,
    Table,
    text,
)
from sqlalchemy import UniqueConstraint as Unique
from sqlalchemy.dialects.postgresql import INTERVAL, TIMESTAMP, UUID

from cognition.adapters.postgres.columns import (
    counter,
    label,
    metadata,
    moment,
    moment_now,
    money,
    optional_label,
    optional_moment,
    optional_money,
    tenant,
)


def _budget_id(*, primary_key: bool = False) -> Column[uuid.UUID]:
    return Column("budget_id", UUID(as_uuid=True), primary_key=primary_key, nullable=False)


def _new_id(name: str) -> Column[uuid.UUID]:
    return Column(name, UUID(as_uuid=True), primary_key=True, server_default=text("gen_random_uuid()"))


def _counter_reference() -> ForeignKeyConstraint:
    """The counter a row belongs to; it can't be deleted while rows explain it."""
    return ForeignKeyConstraint(
        ["tenant", "budget_id", "subject", "period_start"],
        [
            "budget_periods.tenant",
            "budget_periods.budget_id",
            "budget_periods.subject",
            "budget_periods.period_start",
        ],
    )


user_budgets = Table(
    "user_budgets",
    metadata,
    tenant(primary_key=True),
    _new_id("budget_id"),
    label("scope"),
    # Whose spend: a user, team, workflow, task or model; for scope tenant the tenant; `*` for each one separately.
    label("subject"),
    Column("limit_usd", Numeric(20, 9), nullable=False),
    label("period"),
    # Only of a rolling period; zero otherwise, so that the uniqueness below needs no special case for NULL.
    Column("period_length", INTERVAL, nullable=False, server_default=text("'00:00:00'")),
    label("timezone", default="UTC"),
    # ISO: 1 is Monday, 7 is Sunday.
    Column("week_start", SmallInteger, nullable=False, server_default=text("1")),
    # A share of the limit.
    Column("soft_limit", Numeric(5, 4), nullable=False, server_default=text("0.8")),
    label("on_soft", default="warn"),
    label("on_hard", default="block"),
    optional_label("downgrade_to"),
    label("on_unknown_price", default="refuse"),
    # What a call of unknown price reserves under the policy `ceiling`.
    optional_money("price_ceiling_usd"),
    label("on_store_down", default="closed"),
    # How old the last known counter may be under the policy `last_known`.
    Column("last_known_max_age", INTERVAL, nullable=True),
    Column("active", Boolean, nullable=False, server_default=text("true")),
    optional_label("updated_by"),
    optional_moment("last_reset"),
    moment_now("created_at"),
    moment_now("updated_at"),
    # Also answers: which budgets of the tenant apply to this scope and subject?
    Unique("tenant", "scope", "subject", "period", "period_length"),
    CheckConstraint(
        "scope IN ('tenant', 'user', 'team', 'workflow', 'task', 'model', 'flow_run')",
        name="scope",
    ),
    CheckConstraint(
        "period IN ('daily', 'weekly', 'monthly', 'quarterly', 'rolling', 'lifetime')",
        name="period",
    ),
    CheckConstraint("(period = 'rolling') = (period_length > interval '0')", name="period_length"),
    CheckConstraint("limit_usd >= 0", name="limit"),
    CheckConstraint("week_start BETWEEN 1 AND 7", name="week_start"),
    CheckConstraint("soft_limit > 0 AND soft_limit <= 1", name="soft_limit"),
    CheckConstraint("on_soft IN ('warn', 'downgrade')", name="on_soft"),
    CheckConstraint("on_hard IN ('block', 'downgrade')", name="on_hard"),
    CheckConstraint(
        "downgrade_to IS NOT NULL OR (on_soft <> 'downgrade' AND on_hard <> 'downgrade')",
        name="downgrade_to",
    ),
    CheckConstraint("on_unknown_price IN ('refuse', 'ceiling', 'allow')", name="on_unknown_price"),
    CheckConstraint("(on_unknown_price = 'ceiling') = (price_ceiling_usd IS NOT NULL)", name="price_ceiling"),
    CheckConstraint("on_store_down IN ('closed', 'open', 'last_known')", name="on_store_down"),
    CheckConstraint("(on_store_down = 'last_known') = (last_known_max_age IS NOT NULL)", name="last_known_max_age"),
)

# The counter of one subject in one period. A rolling budget keeps one row a bucket and sums those inside its window.
budget_periods = Table(
    "budget_periods",
    metadata,
    tenant(primary_key=True),
    _budget_id(primary_key=True),
    label("subject", primary_key=True),
    Column("period_start", TIMESTAMP(timezone=True), primary_key=True, nullable=False),
    # 'infinity' for a lifetime budget.
    moment("period_end"),
    # Exactly the sum of the ledger rows that were settled into this counter.
    money("used_usd"),
    # Exactly the sum of the estimates of reservations still held.
    money("reserved_usd"),
    # The sum of adjustments: positive gives room. Admitted while used + reserved + estimate <= limit + credit.
    money("credit_usd"),
    # What reservations that were purged since had been settled at; a part of used.
    money("purged_usd"),
    counter("calls"),
    optional_moment("closed_at"),
    moment_now("created_at"),
    moment_now("updated_at"),
    ForeignKeyConstraint(["tenant", "budget_id"], ["user_budgets.tenant", "user_budgets.budget_id"]),
    CheckConstraint("period_start < period_end", name="period"),
    CheckConstraint("reserved_usd >= 0", name="reserved"),
    # SELECT budget_id, subject FROM budget_periods WHERE closed_at IS NULL AND period_end <= now()
    Index("ix_budget_periods_due", "period_end", postgresql_where=text("closed_at IS NULL")),
)

# Money set aside for one attempt in one budget. Only `held` rows count; the others keep repetitions harmless.
budget_reservations = Table(
    "budget_reservations",
    metadata,
    tenant(primary_key=True),
    Column("call_key", UUID(as_uuid=True), primary_key=True),
    Column("attempt", Integer, primary_key=True, autoincrement=False),
    _budget_id(primary_key=True),
    label("subject"),
    moment("period_start"),
    label("state", default="held"),
    Column("estimate_usd", Numeric(20, 9), nullable=False),
    optional_money("settled_usd"),
    # Which process holds it, for the operator who looks at a stuck one.
    label("holder"),
    moment("lease_until"),
    optional_moment("ended_at"),
    moment_now("created_at"),
    _counter_reference(),
    CheckConstraint("state IN ('held', 'settled', 'released', 'expired', 'late')", name="state"),
    CheckConstraint("(state = 'held') = (ended_at IS NULL)", name="ended"),
    CheckConstraint("(state IN ('settled', 'late')) = (settled_usd IS NOT NULL)", name="settled"),
    CheckConstraint("estimate_usd >= 0", name="estimate"),
    # SELECT call_key, attempt FROM budget_reservations WHERE tenant = 't' AND state = 'held' AND subject = 's'
    # AND budget_id = '00000000-0000-0000-0000-000000000000' AND period_start = now() AND lease_until < now()
    Index(
        "ix_budget_reservations_held",
        "tenant",
        "budget_id",
        "subject",
        "period_start",
        "lease_until",
        postgresql_where=text("state = 'held'"),
    ),
    # DELETE FROM budget_reservations WHERE ended_at < now() - interval '7 days'
    Index("ix_budget_reservations_purge", "ended_at", postgresql_where=text("ended_at IS NOT NULL")),
)

# Why a counter's credit is what it is: resets, raises, transfers and reconciliations, never edited.
budget_adjustments = Table(
    "budget_adjustments",
    metadata,
    tenant(primary_key=True),
    _new_id("adjustment_id"),
    _budget_id(),
    label("subject"),
    moment("period_start"),
    label("kind"),
    # Positive gives room.
    Column("amount_usd", Numeric(20, 9), nullable=False),
    # The same for both rows of a transfer.
    Column("transfer_id", UUID(as_uuid=True), nullable=True),
    label("actor"),
    label("reason"),
    moment_now("created_at"),
    _counter_reference(),
    CheckConstraint("kind IN ('reset', 'raise', 'transfer', 'reconciliation')", name="kind"),
    CheckConstraint("(kind = 'transfer') = (transfer_id IS NOT NULL)", name="transfer"),
    # SELECT sum(amount_usd) FROM budget_adjustments WHERE tenant = 't' AND subject = 's'
    # AND budget_id = '00000000-0000-0000-0000-000000000000' AND period_start = now()
    Index("ix_budget_adjustments_counter", "tenant", "budget_id", "subject", "period_start"),
)

# A limit that was reached, and the outbox from which it is delivered as a Prefect event.
budget_alerts = Table(
    "budget_alerts",
    metadata,
    tenant(primary_key=True),
    _new_id("alert_id"),
    _budget_id(),
    label("subject"),
    moment("period_start"),
    # The share of the limit that was reached: the soft limit, or 1 for the hard one.
    Column("threshold", Numeric(5, 4), nullable=False),
    Column("limit_usd", Numeric(20, 9), nullable=False),
    money("used_usd"),
    money("reserved_usd"),
    label("state", default="open"),
    optional_label("acknowledged_by"),
    optional_moment("acknowledged_at"),
    optional_label("note"),
    optional_moment("resolved_at"),
    counter("deliveries"),
    moment_now("deliver_after"),
    optional_moment("delivered_at"),
    moment_now("created_at"),
    _counter_reference(),
    # One alert for each limit reached: raising the limit may alert again, a repetition may not.
    Unique("tenant", "budget_id", "subject", "period_start", "threshold", "limit_usd"),
    CheckConstraint("state IN ('open', 'acknowledged', 'resolved')", name="state"),
    CheckConstraint("(acknowledged_by IS NULL) = (acknowledged_at IS NULL)", name="acknowledged"),
    CheckConstraint("state <> 'acknowledged' OR acknowledged_at IS NOT NULL", name="acknowledged_state"),
    CheckConstraint("(state = 'resolved') = (resolved_at IS NOT NULL)", name="resolved"),
    CheckConstraint("threshold > 0 AND threshold <= 1", name="threshold"),
    # SELECT alert_id FROM budget_alerts WHERE tenant = 't' AND state <> 'resolved' ORDER BY created_at DESC
    Index("ix_budget_alerts_unresolved", "tenant", "created_at", postgresql_where=text("state <> 'resolved'")),
    # SELECT alert_id FROM budget_alerts WHERE delivered_at IS NULL AND deliver_after <= now()
    # ORDER BY deliver_after LIMIT 100 FOR UPDATE SKIP LOCKED
    Index("ix_budget_alerts_outbox", "deliver_after", postgresql_where=text("delivered_at IS NULL")),
)
