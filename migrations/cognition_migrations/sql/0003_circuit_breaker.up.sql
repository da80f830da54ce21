CREATE TABLE circuit_breaker_state (
    tenant text NOT NULL,
    breaker_key text NOT NULL,
    provider text NOT NULL,
    model text NOT NULL,
    credential_scope text NOT NULL,
    state text NOT NULL DEFAULT 'closed',
    generation bigint NOT NULL DEFAULT 1,
    consecutive_failures integer NOT NULL DEFAULT 0,
    failures_by_worker jsonb NOT NULL DEFAULT '{}',
    half_open_successes integer NOT NULL DEFAULT 0,
    consecutive_opens integer NOT NULL DEFAULT 0,
    opened_at timestamptz,
    open_until timestamptz,
    window_started_at timestamptz,
    window_calls integer NOT NULL DEFAULT 0,
    window_failures integer NOT NULL DEFAULT 0,
    window_slow_calls integer NOT NULL DEFAULT 0,
    cooldown_until timestamptz,
    cooldown_reason text,
    forced_by text,
    forced_reason text,
    forced_at timestamptz,
    total_successes bigint NOT NULL DEFAULT 0,
    total_failures bigint NOT NULL DEFAULT 0,
    total_rejections bigint NOT NULL DEFAULT 0,
    total_outdated bigint NOT NULL DEFAULT 0,
    last_failure text,
    last_failure_at timestamptz,
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT pk_circuit_breaker_state PRIMARY KEY (tenant, breaker_key),
    CONSTRAINT ck_circuit_breaker_state_state CHECK (
        state IN ('closed', 'open', 'half_open', 'forced_open', 'disabled', 'metrics_only')
    ),
    CONSTRAINT ck_circuit_breaker_state_open_until CHECK (state <> 'open' OR open_until IS NOT NULL),
    CONSTRAINT ck_circuit_breaker_state_forced CHECK (
        state NOT IN ('forced_open', 'disabled', 'metrics_only')
        OR (forced_by IS NOT NULL AND forced_reason IS NOT NULL AND forced_at IS NOT NULL)
    ),
    CONSTRAINT ck_circuit_breaker_state_generation CHECK (generation > 0)
)
-- Rewritten by each call that is not served from a local copy: room to do so in place.
WITH (fillfactor = 50);

CREATE INDEX ix_circuit_breaker_state_tripped ON circuit_breaker_state (tenant, state)
    WHERE state <> 'closed';

CREATE TABLE circuit_breaker_permits (
    tenant text NOT NULL,
    breaker_key text NOT NULL,
    slot smallint NOT NULL,
    permit uuid NOT NULL,
    generation bigint NOT NULL,
    holder text NOT NULL,
    granted_at timestamptz NOT NULL DEFAULT now(),
    lease_until timestamptz NOT NULL,
    CONSTRAINT pk_circuit_breaker_permits PRIMARY KEY (tenant, breaker_key, slot),
    CONSTRAINT fk_circuit_breaker_permits_circuit_breaker_state
        FOREIGN KEY (tenant, breaker_key)
        REFERENCES circuit_breaker_state (tenant, breaker_key)
        ON DELETE CASCADE,
    CONSTRAINT ck_circuit_breaker_permits_slot CHECK (slot > 0)
);

CREATE TABLE circuit_breaker_history (
    tenant text NOT NULL,
    breaker_key text NOT NULL,
    generation bigint NOT NULL,
    from_state text NOT NULL,
    to_state text NOT NULL,
    cause text NOT NULL,
    worker text,
    actor text,
    reason text,
    consecutive_failures integer NOT NULL DEFAULT 0,
    open_until timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT pk_circuit_breaker_history PRIMARY KEY (tenant, breaker_key, generation),
    CONSTRAINT ck_circuit_breaker_history_from_state CHECK (
        from_state IN ('closed', 'open', 'half_open', 'forced_open', 'disabled', 'metrics_only')
    ),
    CONSTRAINT ck_circuit_breaker_history_to_state CHECK (
        to_state IN ('closed', 'open', 'half_open', 'forced_open', 'disabled', 'metrics_only')
    )
);

CREATE INDEX ix_circuit_breaker_history_time ON circuit_breaker_history (tenant, created_at);
