"""What the maintenance of L3 says to PostgreSQL."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from cognition.adapters.postgres.purging import deleting_oldest
from cognition.adapters.postgres.tables import llm_semantic_cache, semantic_pair, semantic_vector

# -- another embedder -------------------------------------------------------------------------------------------------

FOREIGN = """
SELECT id, tenant, prompt FROM llm_semantic_cache AS old
WHERE id > %(after)s
    AND embedder_fingerprint <> %(fingerprint)s
    AND expires_at > %(now)s
    AND NOT EXISTS (
        SELECT FROM llm_semantic_cache AS new
        WHERE new.tenant = old.tenant AND new.key = old.key AND new.embedder_fingerprint = %(fingerprint)s
    )
ORDER BY id
LIMIT %(size)s
"""
REMOVE = "DELETE FROM llm_semantic_cache WHERE id = ANY (%(ids)s)"
LOCK_NAMESPACES = """
SELECT FROM cache_namespace
WHERE (tenant, namespace) IN (SELECT tenant, namespace FROM llm_semantic_cache WHERE id = ANY (%(id)s))
ORDER BY tenant, namespace
FOR SHARE
"""

_KEPT = ", ".join(
    column.name
    for column in llm_semantic_cache.c
    if column.name not in {"id", "embedder_fingerprint", "embedding", "dimensions"}
)
MOVE = f"""
WITH item AS (
    SELECT * FROM unnest(%(id)s::bigint[], %(vector)s::halfvec[]) AS new (id, embedding)
),
old AS (
    DELETE FROM llm_semantic_cache USING item WHERE llm_semantic_cache.id = item.id RETURNING llm_semantic_cache.*
),
moved AS (
    INSERT INTO llm_semantic_cache (embedder_fingerprint, embedding, {_KEPT})
    SELECT %(fingerprint)s, item.embedding, {_KEPT} FROM old JOIN item USING (id)
    ON CONFLICT DO NOTHING
)
SELECT count(*) FROM old
"""  # noqa: S608  names of our own columns

# -- an index for bulk tables -----------------------------------------------------------------------------------------

# Unfinished ones are written to and never read; a person may have built one under a name of their own.
VECTOR_INDEX = """
SELECT
    (SELECT count(*) FROM llm_semantic_cache WHERE dimensions = %(dimensions)s),
    max(c.relname) FILTER (WHERE c.relname <> %(name)s),
    max(coalesce(o.option_value, '100')::integer) FILTER (WHERE c.relname = %(name)s)
FROM pg_index AS i
JOIN pg_class AS c ON c.oid = i.indexrelid
JOIN pg_am AS a ON a.oid = c.relam
LEFT JOIN LATERAL (
    SELECT option_value FROM pg_options_to_table(c.reloptions) WHERE option_name = 'lists'
) AS o ON true
WHERE i.indrelid = 'llm_semantic_cache'::regclass AND i.indisvalid AND a.amname IN ('hnsw', 'ivfflat')
    AND pg_get_expr(i.indpred, i.indrelid) = format('(dimensions = %%s)', %(dimensions)s)
"""


def create_ivfflat(dimensions: int, lists: int) -> tuple[str, str]:
    """Return the name of an IVFFlat index and the statement that builds it."""
    name = ivfflat(dimensions)
    return name, (
        f"CREATE INDEX CONCURRENTLY {name} ON llm_semantic_cache"
        f" USING ivfflat ((embedding::halfvec({dimensions})) halfvec_cosine_ops) WITH (lists = {lists})"
        f" WHERE dimensions = {dimensions}"
    )


def drop_ivfflat(dimensions: int) -> str:
    """Return the statement that drops an IVFFlat index."""
    return f"DROP INDEX CONCURRENTLY IF EXISTS {ivfflat(dimensions)}"


def ivfflat(dimensions: int) -> str:
    """Return the name of our IVFFlat index."""
    return f"ix_llm_semantic_cache_ivfflat_{dimensions}"


# -- purging and sizes ------------------------------------------------------------------------------------------------


def _purge(age: sa.Column[Any]) -> sa.Delete:
    return deleting_oldest(age.table, age, age < sa.bindparam("before"))


PURGE_VECTORS = _purge(semantic_vector.c.used_at)
PURGE_PAIRS = _purge(semantic_pair.c.asked_at)

ROWS = "SELECT embedder_fingerprint, count(*) FROM llm_semantic_cache GROUP BY embedder_fingerprint"
SIZES = """
SELECT pg_table_size('llm_semantic_cache'), json_object_agg(indexrelid::regclass, pg_relation_size(indexrelid))
FROM pg_index WHERE indrelid = 'llm_semantic_cache'::regclass
"""
