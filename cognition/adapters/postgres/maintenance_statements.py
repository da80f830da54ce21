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
    max(c.relname) FILTER (WHERE c.relname <> ALL (%(names)s)),
    max(coalesce(o.option_value, '100')::integer) FILTER (WHERE c.relname = ANY (%(names)s))
FROM pg_index AS i
JOIN pg_class AS c ON c.oid = i.indexrelid
JOIN pg_am AS a ON a.oid = c.relam
LEFT JOIN LATERAL (
    SELECT option_value FROM pg_options_to_table(c.reloptions) WHERE option_name = 'lists'
) AS o ON true
WHERE i.indrelid = 'llm_semantic_cache'::regclass AND i.indisvalid AND a.amname IN ('hnsw', 'ivfflat')
    AND pg_get_expr(i.indpred, i.indrelid) = format('(dimensions = %%s)', %(dimensions)s)
"""


IS_BUILDING = """
SELECT EXISTS (
    SELECT FROM pg_stat_progress_create_index
    -- Other roles' work is shown without its table.
    WHERE datname = current_database() AND coalesce(relid, 0) IN (0, 'llm_semantic_cache'::regclass)
)
"""


def create_ivfflat(dimensions: int, lists: int) -> str:
    """Return the statement that builds an IVFFlat index under the name of a new one."""
    return (
        f"CREATE INDEX CONCURRENTLY {new_ivfflat(dimensions)} ON llm_semantic_cache"
        f" USING ivfflat ((embedding::halfvec({dimensions})) halfvec_cosine_ops) WITH (lists = {lists})"
        f" WHERE dimensions = {dimensions}"
    )


def drop(name: str) -> str:
    """Return the statement that drops an index while others read and write."""
    return f"DROP INDEX CONCURRENTLY IF EXISTS {name}"


def take_over(dimensions: int) -> str:
    """Return the statements that put a new IVFFlat index in the place of the old one."""
    name = ivfflat(dimensions)
    return f"DROP INDEX IF EXISTS {name}; ALTER INDEX {new_ivfflat(dimensions)} RENAME TO {name}"


def ivfflat(dimensions: int) -> str:
    """Return the name of our IVFFlat index."""
    return f"ix_llm_semantic_cache_ivfflat_{dimensions}"


def new_ivfflat(dimensions: int) -> str:
    """Return the name of our IVFFlat index until it is finished."""
    return f"{ivfflat(dimensions)}_new"


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
