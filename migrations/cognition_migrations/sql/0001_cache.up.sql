CREATE TABLE cache_namespace (
    tenant text NOT NULL,
    namespace text NOT NULL,
    generation bigint NOT NULL DEFAULT 1,
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT pk_cache_namespace PRIMARY KEY (tenant, namespace),
    CONSTRAINT ck_cache_namespace_generation CHECK (generation > 0)
);

CREATE TABLE llm_cache (
    tenant text NOT NULL,
    key bytea NOT NULL,
    namespace text NOT NULL,
    scope_key bytea NOT NULL,
    model text NOT NULL,
    provider text NOT NULL,
    requested_model text NOT NULL,
    payload bytea NOT NULL,
    payload_bytes integer NOT NULL,
    generation bigint NOT NULL,
    tags text[] NOT NULL DEFAULT '{}',
    request_id uuid NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    stale_until timestamptz,
    access_count bigint NOT NULL DEFAULT 0,
    last_accessed_at timestamptz,
    CONSTRAINT pk_llm_cache PRIMARY KEY (tenant, key)
)
-- Room to update the batched access counts in place.
WITH (fillfactor = 90);

CREATE INDEX ix_llm_cache_namespace ON llm_cache (tenant, namespace, created_at);
CREATE INDEX ix_llm_cache_model ON llm_cache (tenant, model, created_at);
CREATE INDEX ix_llm_cache_age ON llm_cache (tenant, created_at);
CREATE INDEX ix_llm_cache_tags ON llm_cache USING gin (tags);
CREATE INDEX ix_llm_cache_request ON llm_cache (tenant, request_id);
CREATE INDEX ix_llm_cache_purge ON llm_cache (coalesce(stale_until, expires_at));

CREATE TABLE llm_semantic_cache (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant text NOT NULL,
    namespace text NOT NULL,
    scope_key bytea NOT NULL,
    key bytea NOT NULL,
    embedder_fingerprint text NOT NULL,
    embedding halfvec NOT NULL,
    dimensions integer GENERATED ALWAYS AS (vector_dims(embedding)) STORED NOT NULL,
    prompt bytea NOT NULL,
    model text NOT NULL,
    provider text NOT NULL,
    requested_model text NOT NULL,
    payload bytea NOT NULL,
    payload_bytes integer NOT NULL,
    generation bigint NOT NULL,
    tags text[] NOT NULL DEFAULT '{}',
    request_id uuid NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    stale_until timestamptz,
    access_count bigint NOT NULL DEFAULT 0,
    last_accessed_at timestamptz,
    metadata jsonb NOT NULL DEFAULT '{}',
    CONSTRAINT pk_llm_semantic_cache PRIMARY KEY (id),
    CONSTRAINT uq_llm_semantic_cache UNIQUE (tenant, key, embedder_fingerprint)
);

-- One partial index for each dimension in use; see tables_cache.py.
CREATE INDEX ix_llm_semantic_cache_embedding_384 ON llm_semantic_cache
    USING hnsw ((embedding::halfvec(384)) halfvec_cosine_ops)
    WITH (m = 16, ef_construction = 64)
    WHERE dimensions = 384;
CREATE INDEX ix_llm_semantic_cache_embedding_1536 ON llm_semantic_cache
    USING hnsw ((embedding::halfvec(1536)) halfvec_cosine_ops)
    WITH (m = 16, ef_construction = 64)
    WHERE dimensions = 1536;
CREATE INDEX ix_llm_semantic_cache_scope ON llm_semantic_cache (tenant, scope_key, embedder_fingerprint);
CREATE INDEX ix_llm_semantic_cache_namespace ON llm_semantic_cache (tenant, namespace, created_at);
CREATE INDEX ix_llm_semantic_cache_model ON llm_semantic_cache (tenant, model, created_at);
CREATE INDEX ix_llm_semantic_cache_metadata ON llm_semantic_cache USING gin (metadata jsonb_path_ops);
CREATE INDEX ix_llm_semantic_cache_tags ON llm_semantic_cache USING gin (tags);
CREATE INDEX ix_llm_semantic_cache_request ON llm_semantic_cache (tenant, request_id);
CREATE INDEX ix_llm_semantic_cache_purge ON llm_semantic_cache (coalesce(stale_until, expires_at));

CREATE TABLE llm_cache_stats (
    tenant text NOT NULL,
    hour timestamptz NOT NULL,
    layer text NOT NULL,
    namespace text NOT NULL,
    model text NOT NULL,
    lookups bigint GENERATED ALWAYS AS (hits + misses) STORED NOT NULL,
    hits bigint NOT NULL DEFAULT 0,
    misses bigint NOT NULL DEFAULT 0,
    stale_hits bigint NOT NULL DEFAULT 0,
    refusals bigint NOT NULL DEFAULT 0,
    stores bigint NOT NULL DEFAULT 0,
    errors bigint NOT NULL DEFAULT 0,
    corrupt bigint NOT NULL DEFAULT 0,
    prompt_tokens bigint NOT NULL DEFAULT 0,
    completion_tokens bigint NOT NULL DEFAULT 0,
    cost_usd numeric(20, 9) NOT NULL DEFAULT 0,
    saved_usd numeric(20, 9) NOT NULL DEFAULT 0,
    latency_count bigint NOT NULL DEFAULT 0,
    latency_ms_sum double precision NOT NULL DEFAULT 0,
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT pk_llm_cache_stats PRIMARY KEY (tenant, hour, layer, namespace, model),
    CONSTRAINT ck_llm_cache_stats_layer CHECK (layer IN ('l1', 'l2', 'l3', 'provider')),
    CONSTRAINT ck_llm_cache_stats_hour CHECK (hour = date_trunc('hour', hour, 'UTC'))
)
-- Each flush updates the row of the hour: room to do so in place.
WITH (fillfactor = 70);

-- Not written to the WAL: after a crash nobody holds a lease anyway.
CREATE UNLOGGED TABLE single_flight_lease (
    tenant text NOT NULL,
    key bytea NOT NULL,
    token text,
    lease_until timestamptz NOT NULL,
    outcome_of text,
    outcome bytea,
    outcome_until timestamptz,
    CONSTRAINT pk_single_flight_lease PRIMARY KEY (tenant, key),
    CONSTRAINT ck_single_flight_lease_outcome CHECK ((outcome_of IS NULL) = (outcome_until IS NULL))
);

CREATE INDEX ix_single_flight_lease_purge ON single_flight_lease (greatest(outcome_until, lease_until));
