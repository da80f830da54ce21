"""Tables of the semantic layer: entries of L3, vectors of texts, pairs of similar questions and verdicts on them.

Above each index stands the query it serves; a test extracts that query and asks the planner. Prompts are never indexed.
"""

from pgvector.sqlalchemy import HALFVEC
from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Computed,
    Double,
    Identity,
    Index,
    Integer,
    Table,
    literal_column,
    text,
)
from sqlalchemy import UniqueConstraint as Unique
from sqlalchemy.dialects.postgresql import BYTEA, JSONB

from cognition.adapters.postgres.columns import digest, label, metadata, moment, moment_now, tenant
from cognition.adapters.postgres.tables_cache import answer_columns

# One table serves every embedder: the column has no fixed dimension, and each dimension in use has its own partial
# HNSW index over the cast. 384 is the local embedder, 1536 text-embedding-3-small; any other dimension is searched
# exactly within its scope until a revision adds an index, and no column or row has to change.
llm_semantic_cache = Table(
    "llm_semantic_cache",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    tenant(),
    label("namespace"),
    digest("scope_key"),
    # The exact key of the request that was answered.
    digest("key"),
    label("embedder_fingerprint"),
    # Kept in the row for exact scans, like the stated number of distinct scopes by revision 0004.
    Column("embedding", HALFVEC(), nullable=False),
    Column("dimensions", Integer, Computed("vector_dims(embedding)", persisted=True), nullable=False),
    # The last user message as `texts` packs it, for the guard and for re-embedding, and its hash, for blocked pairs.
    Column("prompt", BYTEA, nullable=False),
    digest("prompt_hash"),
    *answer_columns(),
    Column("metadata", JSONB, nullable=False, server_default=text("'{}'")),
    Unique("tenant", "key", "embedder_fingerprint"),
    # SELECT id FROM llm_semantic_cache WHERE tenant = 't' AND dimensions = 384
    # ORDER BY embedding::halfvec(384) <=> array_fill(1, ARRAY[384])::halfvec(384) LIMIT 3
    Index(
        "ix_llm_semantic_cache_embedding_384",
        literal_column("(embedding::halfvec(384))", HALFVEC(384)).label("vector"),
        postgresql_using="hnsw",
        postgresql_ops={"vector": "halfvec_cosine_ops"},
        postgresql_with={"m": 16, "ef_construction": 64},
        postgresql_where=text("dimensions = 384"),
    ),
    # SELECT id FROM llm_semantic_cache WHERE tenant = 't' AND dimensions = 1536
    # ORDER BY embedding::halfvec(1536) <=> array_fill(1, ARRAY[1536])::halfvec(1536) LIMIT 3
    Index(
        "ix_llm_semantic_cache_embedding_1536",
        literal_column("(embedding::halfvec(1536))", HALFVEC(1536)).label("vector"),
        postgresql_using="hnsw",
        postgresql_ops={"vector": "halfvec_cosine_ops"},
        postgresql_with={"m": 16, "ef_construction": 64},
        postgresql_where=text("dimensions = 1536"),
    ),
    # SELECT id FROM llm_semantic_cache WHERE tenant = 't' AND scope_key = '\x00' AND embedder_fingerprint = 'e'
    Index("ix_llm_semantic_cache_scope", "tenant", "scope_key", "embedder_fingerprint"),
    # DELETE FROM llm_semantic_cache WHERE tenant = 't' AND namespace = 'n' AND created_at < now()
    Index("ix_llm_semantic_cache_namespace", "tenant", "namespace", "created_at"),
    # DELETE FROM llm_semantic_cache WHERE tenant = 't' AND model = 'm' AND created_at < now()
    Index("ix_llm_semantic_cache_model", "tenant", "model", "created_at"),
    # SELECT id FROM llm_semantic_cache WHERE tenant = 't' AND metadata @> '{"category": "c"}'
    Index(
        "ix_llm_semantic_cache_metadata",
        "metadata",
        postgresql_using="gin",
        postgresql_ops={"metadata": "jsonb_path_ops"},
    ),
    # DELETE FROM llm_semantic_cache WHERE tenant = 't' AND tags @> ARRAY['x']
    Index("ix_llm_semantic_cache_tags", "tags", postgresql_using="gin"),
    # DELETE FROM llm_semantic_cache WHERE tenant = 't' AND request_id = '00000000-0000-0000-0000-000000000000'
    Index("ix_llm_semantic_cache_request", "tenant", "request_id"),
    # DELETE FROM llm_semantic_cache WHERE coalesce(stale_until, expires_at) < now()
    Index("ix_llm_semantic_cache_purge", text("coalesce(stale_until, expires_at)")),
)

# Embedding a text takes longer than all of a look-up, so no text is embedded twice.
semantic_vector = Table(
    "semantic_vector",
    metadata,
    tenant(primary_key=True),
    label("embedder_fingerprint", primary_key=True),
    digest("text_hash", primary_key=True),
    Column("embedding", HALFVEC(), nullable=False),
    # Brought up to date once a day at most.
    moment_now("used_at"),
    # DELETE FROM semantic_vector WHERE used_at < now()
    Index("ix_semantic_vector_purge", "used_at"),
)

# Neighbours that answered a call or would have. A pair is known by the call that asked and the question it met.
semantic_pair = Table(
    "semantic_pair",
    metadata,
    tenant(primary_key=True),
    label("request_id", primary_key=True),
    digest("cached_key", primary_key=True),
    label("namespace"),
    label("embedder_fingerprint"),
    digest("asked_key"),
    # Both as `texts` packs them.
    Column("asked_text", BYTEA, nullable=False),
    Column("cached_text", BYTEA, nullable=False),
    Column[float]("similarity", Double, nullable=False),
    Column[float]("score", Double, nullable=False),
    Column("served", Boolean, nullable=False),
    moment("asked_at"),
    # SELECT request_id FROM semantic_pair WHERE tenant = 't' AND asked_key = '\x00' AND served
    # ORDER BY asked_at DESC LIMIT 1
    Index("ix_semantic_pair_served", "tenant", "asked_key", "asked_at", postgresql_where=text("served")),
    # DELETE FROM semantic_pair WHERE asked_at < now()
    Index("ix_semantic_pair_purge", "asked_at"),
)

# Outlives its pair: the error of a namespace is estimated from these rows alone.
semantic_label = Table(
    "semantic_label",
    metadata,
    tenant(primary_key=True),
    label("request_id", primary_key=True),
    digest("cached_key", primary_key=True),
    label("source", primary_key=True),
    label("namespace"),
    label("embedder_fingerprint"),
    Column[float]("score", Double, nullable=False),
    Column("is_right", Boolean, nullable=False),
    moment("judged_at"),
    CheckConstraint("source IN ('feedback', 'shadow', 'judge')", name="source"),
    # SELECT score FROM semantic_label WHERE tenant = 't' AND namespace = 'n' AND embedder_fingerprint = 'e'
    # ORDER BY judged_at DESC LIMIT 100
    Index("ix_semantic_label_latest", "tenant", "namespace", "embedder_fingerprint", "judged_at"),
)

# Two texts, known by their hashes in ascending order, of which neither may ever be answered for the other.
semantic_block = Table(
    "semantic_block",
    metadata,
    tenant(primary_key=True),
    digest("first_hash", primary_key=True),
    digest("second_hash", primary_key=True),
    moment_now("blocked_at"),
    CheckConstraint("first_hash <= second_hash", name="order"),
    # SELECT first_hash FROM semantic_block WHERE tenant = 't' AND second_hash = '\x00'
    Index("ix_semantic_block_second", "tenant", "second_hash"),
)
