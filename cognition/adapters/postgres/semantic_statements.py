"""What L3 says to PostgreSQL."""

from __future__ import annotations

from functools import cache

import sqlalchemy as sa

from cognition.adapters.postgres.scope_sizes import Search
from cognition.adapters.postgres.storing import WRITTEN, storing
from cognition.adapters.postgres.tables import llm_semantic_cache
from cognition.domain.entry import FIRST_GENERATION

# How many candidates the HNSW index keeps, pgvector's `ef_search`; more find more and take longer. Of the three nearest
# among 100,000 rows pgvector's own default of 40 finds 89 %, 200 find 99.2 % and 300 find 99.6 %, in the worst of some
# builds; of the ten nearest in a tenth of the rows 200 find 98 % and 500 find 99.1 %. See `benchmarks/l3_recall.py`.
_CANDIDATES_MIN, _CANDIDATES_EACH = 300, 50
_CANDIDATES_MAX = 1000  # pgvector's own limit

# For this transaction only. Each branch is one way to search, so the planner has nothing to choose, and must not be led
# astray by what it believes about sizes: the branch of the index may not sort, and compiling would take longer than any
# search. One statement for all of them, because each takes a while of its own.
_SEARCH = """
SELECT set_config('enable_sort', 'off', true),
    set_config('jit', 'off', true),
    set_config('hnsw.iterative_scan', 'strict_order', true),
    set_config('hnsw.ef_search', '{candidates}', true),
    set_config('hnsw.scan_mem_multiplier', '4', true),
    set_config('ivfflat.iterative_scan', 'relaxed_order', true),
    set_config('ivfflat.probes', '32', true);
"""

_SIZES = """,
scope AS MATERIALIZED (
    SELECT tenant, scope_key, (
        SELECT count(*) FROM (
            SELECT FROM llm_semantic_cache AS held
            WHERE held.tenant = asked.tenant
                AND held.scope_key = asked.scope_key
                AND held.embedder_fingerprint = %(fingerprint)s
            LIMIT %(exact_rows)s + 1
        ) AS bounded
    ) AS size
    FROM (SELECT DISTINCT tenant, scope_key FROM item) AS asked
)"""

_NEAREST = """
WITH item AS (
    SELECT * FROM unnest(
        %(tenant)s::text[], %(namespace)s::text[], %(scope_key)s::bytea[], %(text_hash)s::bytea[], %(vector)s::halfvec[]
    ) WITH ORDINALITY AS asked (tenant, namespace, scope_key, text_hash, embedding, position)
){sizes}
SELECT
    item.position,
    {size},
    coalesce(
        (SELECT generation FROM cache_namespace AS n WHERE n.tenant = item.tenant AND n.namespace = item.namespace),
        {first_generation}
    ),
    near.distance,
    held.tenant, held.scope_key, held.embedder_fingerprint, held.key, held.expires_at, held.payload,
    held.prompt, held.prompt_hash
FROM item
{scope}
CROSS JOIN LATERAL (
    SELECT array(
        SELECT second_hash FROM semantic_block WHERE tenant = item.tenant AND first_hash = item.text_hash
        UNION ALL
        SELECT first_hash FROM semantic_block WHERE tenant = item.tenant AND second_hash = item.text_hash
    ) AS hashes
) AS blocked
LEFT JOIN LATERAL ({branches}) AS near ON true
-- Only now, because sorting whole rows takes longer than comparing their vectors.
LEFT JOIN llm_semantic_cache AS held ON held.id = near.id
ORDER BY item.position, near.distance
"""
_BRANCH = """
    (
        SELECT held.id, held.embedding{cast} <=> item.embedding{cast} AS distance
        FROM llm_semantic_cache AS held
        WHERE {size}
            AND held.tenant = item.tenant
            AND held.scope_key = item.scope_key
            AND held.embedder_fingerprint = %(fingerprint)s
            AND held.dimensions = {dimensions}
            AND held.expires_at > %(now)s
            AND held.prompt_hash <> ALL (blocked.hashes)
        ORDER BY held.embedding{cast} <=> item.embedding{cast}
        LIMIT %(neighbours)s
    )
"""


@cache
def nearest(dimensions: int, limit: int, search: Search | None) -> str:
    """Return the statement that finds the neighbours of questions; of each question it returns at least one row.

    Args:
        dimensions: Length of the vectors; written into the statement, because only so its own index is found.
        limit: How many neighbours of each; the index looks at more candidates for more of them.
        search: How all scopes are searched; None to count their rows first and search each as its size demands, with a
            branch for either way, of which one finds nothing. That takes a millisecond longer.
    """
    small, large = ("true", "true") if search else ("scope.size <= %(exact_rows)s", "scope.size > %(exact_rows)s")
    branches = {
        "exact": _BRANCH.format(cast="", size=small, dimensions=dimensions),
        "index": _BRANCH.format(cast=f"::halfvec({dimensions})", size=large, dimensions=dimensions),
    }
    statement = _NEAREST.format(
        sizes="" if search else _SIZES,
        size="NULL::bigint" if search else "scope.size",
        scope="" if search else "JOIN scope USING (tenant, scope_key)",
        first_generation=FIRST_GENERATION,
        branches=branches[search] if search else " UNION ALL ".join(branches.values()),
    )
    candidates = min(max(_CANDIDATES_MIN, _CANDIDATES_EACH * limit), _CANDIDATES_MAX)
    return _SEARCH.format(candidates=candidates) + statement


PUT = storing(
    [llm_semantic_cache.c[name] for name in (*WRITTEN, "embedder_fingerprint", "embedding", "prompt", "prompt_hash")],
    key=("tenant", "key", "embedder_fingerprint"),
)


# A server that answers may still lack the extension or the table.
PING = "SELECT embedding <=> embedding FROM llm_semantic_cache LIMIT 0"


def removing(tenant: str, key: bytes, fingerprint: str, payload: bytes) -> sa.Executable:
    """Return the statement that deletes one value, unless it was replaced meanwhile."""
    row = llm_semantic_cache.c
    return sa.delete(llm_semantic_cache).where(
        row.tenant == tenant, row.key == key, row.embedder_fingerprint == fingerprint, row.payload == payload
    )


# -- vectors of texts -------------------------------------------------------------------------------------------------

# Use is noted once a day, so that reading a vector is no writing; rows that others note are left to them.
VECTORS = """
WITH noted AS (
    UPDATE semantic_vector SET used_at = %(now)s
    WHERE (tenant, embedder_fingerprint, text_hash) IN (
        SELECT tenant, embedder_fingerprint, text_hash FROM semantic_vector
        WHERE tenant = %(tenant)s
            AND embedder_fingerprint = %(fingerprint)s
            AND text_hash = ANY (%(texts)s::bytea[])
            AND used_at < %(now)s::timestamptz - interval '1 day'
        FOR UPDATE SKIP LOCKED
    )
)
SELECT text_hash, halfvec_send(embedding) FROM semantic_vector
WHERE tenant = %(tenant)s AND embedder_fingerprint = %(fingerprint)s AND text_hash = ANY (%(texts)s::bytea[])
"""
KEEP_VECTORS = """
WITH kept AS (
    INSERT INTO semantic_vector (tenant, embedder_fingerprint, text_hash, embedding, used_at)
    SELECT %(tenant)s, %(fingerprint)s, text_hash, embedding, %(now)s
    FROM unnest(%(texts)s::bytea[], %(vectors)s::halfvec[]) AS new (text_hash, embedding)
    ORDER BY text_hash
    ON CONFLICT DO NOTHING
)
SELECT set_config('synchronous_commit', 'off', true)
"""
