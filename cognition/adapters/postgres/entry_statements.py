"""What L2 says to PostgreSQL."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, BYTEA
from sqlalchemy.sql.base import ReadOnlyColumnCollection

from cognition.adapters.postgres.connection import compiled
from cognition.adapters.postgres.purging import deleting_oldest
from cognition.adapters.postgres.storing import FIRST, WRITTEN, storing
from cognition.adapters.postgres.tables import cache_namespace, llm_cache, llm_semantic_cache
from cognition.domain.entry import Address


def _held(
    tenant: sa.ColumnElement[str], namespace: sa.ColumnElement[str], key: sa.ColumnElement[bytes]
) -> sa.Select[Any]:
    """Return the query for the payload, NULL where there is none, and the generation."""
    payload = sa.select(llm_cache.c.payload).where(llm_cache.c.tenant == tenant, llm_cache.c.key == key)
    generation = sa.select(cache_namespace.c.generation).where(
        cache_namespace.c.tenant == tenant, cache_namespace.c.namespace == namespace
    )
    return sa.select(payload.scalar_subquery(), sa.func.coalesce(generation.scalar_subquery(), FIRST))


# As arrays, because those come with the position of each.
_asked = (
    sa.func.unnest(
        sa.bindparam("tenants", type_=ARRAY(sa.Text())),
        sa.bindparam("namespaces", type_=ARRAY(sa.Text())),
        sa.bindparam("keys", type_=ARRAY(BYTEA())),
    )
    .table_valued(
        sa.column("tenant", sa.Text()),
        sa.column("namespace", sa.Text()),
        sa.column("key", BYTEA()),
        with_ordinality="position",
    )
    .render_derived(name="asked")
)

GET = compiled(_held(sa.bindparam("tenant"), sa.bindparam("namespace"), sa.bindparam("key")))
GET_MANY = compiled(
    _held(_asked.c.tenant, _asked.c.namespace, _asked.c.key).select_from(_asked).order_by(_asked.c.position)
)


def _replaces(new: ReadOnlyColumnCollection[str, Any]) -> sa.ColumnElement[bool]:
    """Whether a row replaces the one that stands there: no copy for a similar question takes a younger answer's place.

    Copies are written when their caller has gone on, and the question may have been answered by itself meanwhile.
    """
    past = llm_cache.c.expires_at <= sa.bindparam("now", type_=sa.TIMESTAMP(timezone=True))
    return new.origin_key.is_(None) | (llm_cache.c.created_at <= new.created_at) | past


PUT = storing([llm_cache.c[name] for name in (*WRITTEN, "origin_key")], ("tenant", "key"), _replaces)


def _purge(table: sa.Table) -> sa.Delete:
    end = sa.func.coalesce(table.c.stale_until, table.c.expires_at)
    return deleting_oldest(table, end, end <= sa.bindparam("now"))


PURGE = _purge(llm_cache)
PURGE_SEMANTIC = _purge(llm_semantic_cache)


def removing(address: Address, payload: bytes) -> sa.Executable:
    """Return the statement that deletes one value, unless it was replaced meanwhile."""
    return sa.delete(llm_cache).where(
        llm_cache.c.tenant == address.tenant, llm_cache.c.key == address.key, llm_cache.c.payload == payload
    )
