CREATE TABLE llm_cost_tracking (
    tenant text NOT NULL,
    call_key uuid NOT NULL,
    attempt integer NOT NULL,
    request_id uuid NOT NULL,
    request_key bytea NOT NULL,
    payload_hash bytea NOT NULL,
    status text NOT NULL,
    user_id text,
    team text,
    workflow_id text,
    deployment_id text,
    flow_run_id text,
    root_flow_run_id text,
    task_run_id text,
    task_name text,
    tags text[] NOT NULL DEFAULT '{}',
    namespace text NOT NULL,
    provider text NOT NULL,
    model text NOT NULL,
    requested_model text NOT NULL,
    prompt_tokens bigint NOT NULL DEFAULT 0,
    completion_tokens bigint NOT NULL DEFAULT 0,
    cached_tokens bigint NOT NULL DEFAULT 0,
    cache_write_tokens bigint NOT NULL DEFAULT 0,
    reasoning_tokens bigint NOT NULL DEFAULT 0,
    usage_estimated boolean NOT NULL DEFAULT false,
    cost_usd numeric(20, 9),
    saved_usd numeric(20, 9),
    cache_hit boolean GENERATED ALWAYS AS (status = 'cache_hit') STORED NOT NULL,
    cache_layer text NOT NULL DEFAULT 'provider',
    price_source text,
    price_version text,
    rates jsonb,
    priced_at timestamptz,
    latency_ms double precision,
    error text,
    adjusts_call_key uuid,
    adjusted_by text,
    adjustment_reason text,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT pk_llm_cost_tracking PRIMARY KEY (tenant, call_key, attempt),
    CONSTRAINT ck_llm_cost_tracking_status CHECK (
        status IN ('ok', 'failed_billed', 'failed_free', 'cancelled', 'cache_hit', 'late', 'adjustment')
    ),
    CONSTRAINT ck_llm_cost_tracking_cache_layer CHECK (cache_layer IN ('l1', 'l2', 'l3', 'provider')),
    CONSTRAINT ck_llm_cost_tracking_hit_has_layer CHECK (
        (cache_layer <> 'provider') = (status = 'cache_hit')
    ),
    CONSTRAINT ck_llm_cost_tracking_attempt CHECK (attempt >= 0),
    CONSTRAINT ck_llm_cost_tracking_cost CHECK (status = 'adjustment' OR cost_usd IS NULL OR cost_usd >= 0),
    CONSTRAINT ck_llm_cost_tracking_adjustment_is_explained CHECK (
        status <> 'adjustment' OR (adjusted_by IS NOT NULL AND adjustment_reason IS NOT NULL)
    )
);

CREATE INDEX ix_llm_cost_tracking_time ON llm_cost_tracking (tenant, created_at);
CREATE INDEX ix_llm_cost_tracking_user ON llm_cost_tracking (tenant, user_id, created_at)
    WHERE user_id IS NOT NULL;
CREATE INDEX ix_llm_cost_tracking_team ON llm_cost_tracking (tenant, team, created_at) WHERE team IS NOT NULL;
CREATE INDEX ix_llm_cost_tracking_workflow ON llm_cost_tracking (tenant, workflow_id, created_at)
    WHERE workflow_id IS NOT NULL;
CREATE INDEX ix_llm_cost_tracking_flow_run ON llm_cost_tracking (tenant, flow_run_id)
    WHERE flow_run_id IS NOT NULL;
CREATE INDEX ix_llm_cost_tracking_root_flow_run ON llm_cost_tracking (tenant, root_flow_run_id)
    WHERE root_flow_run_id IS NOT NULL;
CREATE INDEX ix_llm_cost_tracking_request ON llm_cost_tracking (tenant, request_id);
CREATE INDEX ix_llm_cost_tracking_unpriced ON llm_cost_tracking (tenant, provider, model)
    WHERE cost_usd IS NULL;

CREATE TABLE user_budgets (
    tenant text NOT NULL,
    budget_id uuid NOT NULL DEFAULT gen_random_uuid(),
    scope text NOT NULL,
    subject text NOT NULL,
    limit_usd numeric(20, 9) NOT NULL,
    period text NOT NULL,
    period_length interval NOT NULL DEFAULT '00:00:00',
    timezone text NOT NULL DEFAULT 'UTC',
    week_start smallint NOT NULL DEFAULT 1,
    soft_limit numeric(5, 4) NOT NULL DEFAULT 0.8,
    on_soft text NOT NULL DEFAULT 'warn',
    on_hard text NOT NULL DEFAULT 'block',
    downgrade_to text,
    on_unknown_price text NOT NULL DEFAULT 'refuse',
    price_ceiling_usd numeric(20, 9),
    on_store_down text NOT NULL DEFAULT 'closed',
    last_known_max_age interval,
    active boolean NOT NULL DEFAULT true,
    updated_by text,
    last_reset timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT pk_user_budgets PRIMARY KEY (tenant, budget_id),
    CONSTRAINT uq_user_budgets UNIQUE (tenant, scope, subject, period, period_length),
    CONSTRAINT ck_user_budgets_scope CHECK (
        scope IN ('tenant', 'user', 'team', 'workflow', 'task', 'model', 'flow_run')
    ),
    CONSTRAINT ck_user_budgets_period CHECK (
        period IN ('daily', 'weekly', 'monthly', 'quarterly', 'rolling', 'lifetime')
    ),
    CONSTRAINT ck_user_budgets_period_length CHECK ((period = 'rolling') = (period_length > interval '0')),
    CONSTRAINT ck_user_budgets_limit CHECK (limit_usd >= 0),
    CONSTRAINT ck_user_budgets_week_start CHECK (week_start BETWEEN 1 AND 7),
    CONSTRAINT ck_user_budgets_soft_limit CHECK (soft_limit > 0 AND soft_limit <= 1),
    CONSTRAINT ck_user_budgets_on_soft CHECK (on_soft IN ('warn', 'downgrade')),
    CONSTRAINT ck_user_budgets_on_hard CHECK (on_hard IN ('block', 'downgrade')),
    CONSTRAINT ck_user_budgets_downgrade_to CHECK (
        downgrade_to IS NOT NULL OR (on_soft <> 'downgrade' AND on_hard <> 'downgrade')
    ),
    CONSTRAINT ck_user_budgets_on_unknown_price CHECK (on_unknown_price IN ('refuse', 'ceiling', 'allow')),
    CONSTRAINT ck_user_budgets_price_ceiling CHECK (
        (on_unknown_price = 'ceiling') = (price_ceiling_usd IS NOT NULL)
    ),
    CONSTRAINT ck_user_budgets_on_store_down CHECK (on_store_down IN ('closed', 'open', 'last_known')),
    CONSTRAINT ck_user_budgets_last_known_max_age CHECK (
        (on_store_down = 'last_known') = (last_known_max_age IS NOT NULL)
    )
);

CREATE TABLE budget_periods (
    tenant text NOT NULL,
    budget_id uuid NOT NULL,
    subject text NOT NULL,
    period_start timestamptz NOT NULL,
    period_end timestamptz NOT NULL,
    used_usd numeric(20, 9) NOT NULL DEFAULT 0,
    reserved_usd numeric(20, 9) NOT NULL DEFAULT 0,
    credit_usd numeric(20, 9) NOT NULL DEFAULT 0,
    calls bigint NOT NULL DEFAULT 0,
    closed_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT pk_budget_periods PRIMARY KEY (tenant, budget_id, subject, period_start),
    CONSTRAINT fk_budget_periods_user_budgets
        FOREIGN KEY (tenant, budget_id)
        REFERENCES user_budgets (tenant, budget_id),
    CONSTRAINT ck_budget_periods_period CHECK (period_start < period_end),
    CONSTRAINT ck_budget_periods_reserved CHECK (reserved_usd >= 0)
)
-- Each reservation and each settlement rewrites the row: room to do so in place.
WITH (fillfactor = 50);

CREATE INDEX ix_budget_periods_due ON budget_periods (period_end) WHERE closed_at IS NULL;

CREATE TABLE budget_reservations (
    tenant text NOT NULL,
    call_key uuid NOT NULL,
    attempt integer NOT NULL,
    budget_id uuid NOT NULL,
    subject text NOT NULL,
    period_start timestamptz NOT NULL,
    state text NOT NULL DEFAULT 'held',
    estimate_usd numeric(20, 9) NOT NULL,
    settled_usd numeric(20, 9),
    holder text NOT NULL,
    lease_until timestamptz NOT NULL,
    ended_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT pk_budget_reservations PRIMARY KEY (tenant, call_key, attempt, budget_id),
    CONSTRAINT fk_budget_reservations_budget_periods
        FOREIGN KEY (tenant, budget_id, subject, period_start)
        REFERENCES budget_periods (tenant, budget_id, subject, period_start),
    CONSTRAINT ck_budget_reservations_state CHECK (
        state IN ('held', 'settled', 'released', 'expired', 'late')
    ),
    CONSTRAINT ck_budget_reservations_ended CHECK ((state = 'held') = (ended_at IS NULL)),
    CONSTRAINT ck_budget_reservations_settled CHECK (
        (state IN ('settled', 'late')) = (settled_usd IS NOT NULL)
    ),
    CONSTRAINT ck_budget_reservations_estimate CHECK (estimate_usd >= 0)
)
-- A reservation is updated once, when it ends.
WITH (fillfactor = 80);

CREATE INDEX ix_budget_reservations_held ON budget_reservations (tenant, budget_id, subject, period_start, lease_until)
    WHERE state = 'held';
CREATE INDEX ix_budget_reservations_purge ON budget_reservations (ended_at) WHERE ended_at IS NOT NULL;

CREATE TABLE budget_adjustments (
    tenant text NOT NULL,
    adjustment_id uuid NOT NULL DEFAULT gen_random_uuid(),
    budget_id uuid NOT NULL,
    subject text NOT NULL,
    period_start timestamptz NOT NULL,
    kind text NOT NULL,
    amount_usd numeric(20, 9) NOT NULL,
    transfer_id uuid,
    actor text NOT NULL,
    reason text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT pk_budget_adjustments PRIMARY KEY (tenant, adjustment_id),
    CONSTRAINT fk_budget_adjustments_budget_periods
        FOREIGN KEY (tenant, budget_id, subject, period_start)
        REFERENCES budget_periods (tenant, budget_id, subject, period_start),
    CONSTRAINT ck_budget_adjustments_kind CHECK (kind IN ('reset', 'raise', 'transfer', 'reconciliation')),
    CONSTRAINT ck_budget_adjustments_transfer CHECK ((kind = 'transfer') = (transfer_id IS NOT NULL))
);

CREATE INDEX ix_budget_adjustments_counter ON budget_adjustments (tenant, budget_id, subject, period_start);

CREATE TABLE budget_alerts (
    tenant text NOT NULL,
    alert_id uuid NOT NULL DEFAULT gen_random_uuid(),
    budget_id uuid NOT NULL,
    subject text NOT NULL,
    period_start timestamptz NOT NULL,
    threshold numeric(5, 4) NOT NULL,
    limit_usd numeric(20, 9) NOT NULL,
    used_usd numeric(20, 9) NOT NULL DEFAULT 0,
    reserved_usd numeric(20, 9) NOT NULL DEFAULT 0,
    state text NOT NULL DEFAULT 'open',
    acknowledged_by text,
    acknowledged_at timestamptz,
    note text,
    resolved_at timestamptz,
    deliveries bigint NOT NULL DEFAULT 0,
    deliver_after timestamptz NOT NULL DEFAULT now(),
    delivered_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT pk_budget_alerts PRIMARY KEY (tenant, alert_id),
    CONSTRAINT fk_budget_alerts_budget_periods
        FOREIGN KEY (tenant, budget_id, subject, period_start)
        REFERENCES budget_periods (tenant, budget_id, subject, period_start),
    CONSTRAINT uq_budget_alerts UNIQUE (tenant, budget_id, subject, period_start, threshold, limit_usd),
    CONSTRAINT ck_budget_alerts_state CHECK (state IN ('open', 'acknowledged', 'resolved')),
    CONSTRAINT ck_budget_alerts_acknowledged CHECK ((acknowledged_by IS NULL) = (acknowledged_at IS NULL)),
    CONSTRAINT ck_budget_alerts_acknowledged_state CHECK (
        state <> 'acknowledged' OR acknowledged_at IS NOT NULL
    ),
    CONSTRAINT ck_budget_alerts_resolved CHECK ((state = 'resolved') = (resolved_at IS NOT NULL)),
    CONSTRAINT ck_budget_alerts_threshold CHECK (threshold > 0 AND threshold <= 1)
);

CREATE INDEX ix_budget_alerts_unresolved ON budget_alerts (tenant, created_at) WHERE state <> 'resolved';
CREATE INDEX ix_budget_alerts_outbox ON budget_alerts (deliver_after) WHERE delivered_at IS NULL;
