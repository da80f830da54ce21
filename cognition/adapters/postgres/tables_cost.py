"""The ledger: what every attempt and every cache hit cost and saved, and to whom it is booked.

Rows are only ever added. A correction is a row of status `adjustment` that names the row it corrects. What is too old
to be kept is added up in the history and deleted, both at once.
"""

from sqlalchemy import Boolean, CheckConstraint, Column, Computed, Double, Index, Integer, Table, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, TIMESTAMP, UUID
from sqlalchemy.types import Text

from cognition.adapters.postgres.columns import (
    counter,
    digest,
    label,
    metadata,
    moment_now,
    money,
    optional_label,
    optional_moment,
    optional_money,
    tenant,
)

llm_cost_tracking = Table(
    "llm_cost_tracking",
    metadata,
    tenant(primary_key=True),
    # Our own UUIDv5 over run ids, call and request: writing the same attempt again conflicts here.
    Column("call_key", UUID(as_uuid=True), primary_key=True),
    # Counts the first call as 1; 0 is a cache hit, which attempted nothing.
    Column("attempt", Integer, primary_key=True, autoincrement=False),
    Column("request_id", UUID(as_uuid=False), nullable=False),
    digest("request_key"),
    # Digest of what this row says: another payload under the same key is an error, not a repetition.
    digest("payload_hash"),
    label("status"),
    optional_label("user_id"),
    optional_label("team"),
    optional_label("workflow_id"),
    optional_label("deployment_id"),
    optional_label("flow_run_id"),
    optional_label("root_flow_run_id"),
    optional_label("task_run_id"),
    optional_label("task_name"),
    Column("tags", ARRAY(Text), nullable=False, server_default=text("'{}'")),
    label("namespace"),
    label("provider"),
    label("model"),
    label("requested_model"),
    counter("prompt_tokens"),
    counter("completion_tokens"),
    counter("cached_tokens"),
    counter("cache_write_tokens"),
    counter("reasoning_tokens"),
    # The provider reported no usage, so tokens and cost are the estimate.
    Column("usage_estimated", Boolean, nullable=False, server_default=text("false")),
    # NULL says that no price is known, which is not the same as free.
    optional_money("cost_usd"),
    optional_money("saved_usd"),
    Column("cache_hit", Boolean, Computed("status = 'cache_hit'", persisted=True), nullable=False),
    # Which layer answered; `provider` for everything that is not a hit.
    label("cache_layer", default="provider"),
    optional_label("price_source"),
    optional_label("price_version"),
    Column("rates", JSONB, nullable=True),
    optional_moment("priced_at"),
    Column[float | None]("latency_ms", Double, nullable=True),
    # The class and code of the failure, never its text: providers quote prompts in their messages.
    optional_label("error"),
    Column("adjusts_call_key", UUID(as_uuid=True), nullable=True),
    optional_label("adjusted_by"),
    optional_label("adjustment_reason"),
    moment_now("created_at"),
    CheckConstraint(
        "status IN ('ok', 'failed_billed', 'failed_free', 'cancelled', 'cache_hit', 'late', 'adjustment')",
        name="status",
    ),
    CheckConstraint("cache_layer IN ('l1', 'l2', 'l3', 'provider')", name="cache_layer"),
    CheckConstraint("(cache_layer <> 'provider') = (status = 'cache_hit')", name="hit_has_layer"),
    CheckConstraint("attempt >= 0", name="attempt"),
    CheckConstraint("status = 'adjustment' OR cost_usd IS NULL OR cost_usd >= 0", name="cost"),
    CheckConstraint(
        "status <> 'adjustment' OR (adjusted_by IS NOT NULL AND adjustment_reason IS NOT NULL)",
        name="adjustment_is_explained",
    ),
    # SELECT model, sum(cost_usd) FROM llm_cost_tracking
    # WHERE tenant = 't' AND created_at >= now() - interval '1 day' GROUP BY model
    Index("ix_llm_cost_tracking_time", "tenant", "created_at"),
    # SELECT sum(cost_usd) FROM llm_cost_tracking
    # WHERE tenant = 't' AND user_id = 'u' AND created_at >= now() - interval '1 day'
    Index("ix_llm_cost_tracking_user", "tenant", "user_id", "created_at", postgresql_where=text("user_id IS NOT NULL")),
    # SELECT sum(cost_usd) FROM llm_cost_tracking
    # WHERE tenant = 't' AND team = 'm' AND created_at >= now() - interval '1 day'
    Index("ix_llm_cost_tracking_team", "tenant", "team", "created_at", postgresql_where=text("team IS NOT NULL")),
    # SELECT sum(cost_usd) FROM llm_cost_tracking
    # WHERE tenant = 't' AND workflow_id = 'w' AND created_at >= now() - interval '1 day'
    Index(
        "ix_llm_cost_tracking_workflow",
        "tenant",
        "workflow_id",
        "created_at",
        postgresql_where=text("workflow_id IS NOT NULL"),
    ),
    # SELECT task_name, sum(cost_usd) FROM llm_cost_tracking
    # WHERE tenant = 't' AND flow_run_id = 'f' GROUP BY task_name
    Index("ix_llm_cost_tracking_flow_run", "tenant", "flow_run_id", postgresql_where=text("flow_run_id IS NOT NULL")),
    # SELECT task_name, sum(cost_usd) FROM llm_cost_tracking
    # WHERE tenant = 't' AND root_flow_run_id = 'f' GROUP BY task_name
    Index(
        "ix_llm_cost_tracking_root_flow_run",
        "tenant",
        "root_flow_run_id",
        postgresql_where=text("root_flow_run_id IS NOT NULL"),
    ),
    # SELECT request_key FROM llm_cost_tracking
    # WHERE tenant = 't' AND request_id = '00000000-0000-0000-0000-000000000000'
    Index("ix_llm_cost_tracking_request", "tenant", "request_id"),
    # SELECT provider, model, count(*) FROM llm_cost_tracking
    # WHERE tenant = 't' AND cost_usd IS NULL GROUP BY provider, model
    Index(
        "ix_llm_cost_tracking_unpriced",
        "tenant",
        "provider",
        "model",
        postgresql_where=text("cost_usd IS NULL"),
    ),
)

# What rows that were deleted came to, in quarters of an hour: every time zone's midnight lies between two of them, so
# that a report of any calendar's days is the same before and after. Which run and request it was is not kept.
llm_cost_history = Table(
    "llm_cost_history",
    metadata,
    tenant(primary_key=True),
    Column("quarter", TIMESTAMP(timezone=True), primary_key=True, nullable=False),
    # SHA-256 of the labels below: they may be NULL and long, and a row is found by all of them.
    digest("key", primary_key=True),
    label("status"),
    optional_label("user_id"),
    optional_label("team"),
    optional_label("workflow_id"),
    optional_label("task_name"),
    label("namespace"),
    label("model"),
    label("cache_layer"),
    # Hits and first attempts.
    counter("calls"),
    counter("rows"),
    # Attempts of unknown price.
    counter("unpriced"),
    counter("prompt_tokens"),
    counter("completion_tokens"),
    counter("cached_tokens"),
    counter("cache_write_tokens"),
    counter("reasoning_tokens"),
    money("cost_usd"),
    money("saved_usd"),
    Column[float | None]("slowest_ms", Double, nullable=True),
    CheckConstraint("quarter = date_bin('15 minutes', quarter, 'epoch')", name="quarter"),
    CheckConstraint("rows >= calls AND rows >= unpriced", name="rows"),
)
