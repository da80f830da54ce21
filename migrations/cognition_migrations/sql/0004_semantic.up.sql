-- The exact key of the question whose answer this copy is; NULL for an answer to the question itself.
ALTER TABLE llm_cache ADD COLUMN origin_key bytea;
CREATE INDEX ix_llm_cache_origin ON llm_cache (tenant, origin_key) WHERE origin_key IS NOT NULL;

-- SHA-256 of the text in `prompt`; what may not answer a question is known by it.
ALTER TABLE llm_semantic_cache ADD COLUMN prompt_hash bytea NOT NULL;
-- An exact scan reads many vectors: they stay in the row as long as it fits a page, and the answer moves out first.
ALTER TABLE llm_semantic_cache ALTER COLUMN embedding SET STORAGE MAIN;
-- A scope is searched exactly by its own index if it is small. A table with one large scope would make the planner expect
-- that of every scope, and read the whole tenant instead.
ALTER TABLE llm_semantic_cache ALTER COLUMN scope_key SET (n_distinct = -0.05);

CREATE TABLE semantic_vector (
    tenant text NOT NULL,
    embedder_fingerprint text NOT NULL,
    text_hash bytea NOT NULL,
    embedding halfvec NOT NULL,
    used_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT pk_semantic_vector PRIMARY KEY (tenant, embedder_fingerprint, text_hash)
);

CREATE INDEX ix_semantic_vector_purge ON semantic_vector (used_at);

CREATE TABLE semantic_pair (
    tenant text NOT NULL,
    request_id text NOT NULL,
    cached_key bytea NOT NULL,
    namespace text NOT NULL,
    embedder_fingerprint text NOT NULL,
    asked_key bytea NOT NULL,
    asked_text bytea NOT NULL,
    cached_text bytea NOT NULL,
    similarity double precision NOT NULL,
    score double precision NOT NULL,
    served boolean NOT NULL,
    asked_at timestamptz NOT NULL,
    CONSTRAINT pk_semantic_pair PRIMARY KEY (tenant, request_id, cached_key)
);

CREATE INDEX ix_semantic_pair_served ON semantic_pair (tenant, asked_key, asked_at) WHERE served;
CREATE INDEX ix_semantic_pair_purge ON semantic_pair (asked_at);

CREATE TABLE semantic_label (
    tenant text NOT NULL,
    request_id text NOT NULL,
    cached_key bytea NOT NULL,
    source text NOT NULL,
    namespace text NOT NULL,
    embedder_fingerprint text NOT NULL,
    score double precision NOT NULL,
    is_right boolean NOT NULL,
    judged_at timestamptz NOT NULL,
    CONSTRAINT pk_semantic_label PRIMARY KEY (tenant, request_id, cached_key, source),
    CONSTRAINT ck_semantic_label_source CHECK (source IN ('feedback', 'shadow', 'judge'))
);

CREATE INDEX ix_semantic_label_latest ON semantic_label (tenant, namespace, embedder_fingerprint, judged_at);

CREATE TABLE semantic_block (
    tenant text NOT NULL,
    first_hash bytea NOT NULL,
    second_hash bytea NOT NULL,
    blocked_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT pk_semantic_block PRIMARY KEY (tenant, first_hash, second_hash),
    CONSTRAINT ck_semantic_block_order CHECK (first_hash <= second_hash)
);

CREATE INDEX ix_semantic_block_second ON semantic_block (tenant, second_hash);
