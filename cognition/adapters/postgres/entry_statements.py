"""What L2 says to PostgreSQL.

Locks are always taken in one order, namespaces before entries and each by key, so that no two statements wait for each
other in a circle.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, BYTEA, insert

from cognition.adapters.postgres.batch import rows_of, storable
from cognition.adapters.postgres.connection import compiled
from cognition.adapters.postgres.tables import cache_namespace, llm_cache
from cognition.domain.entry import FIRST_GENERATION, Address, Selection

# Of a namespace that has no row yet.
_FIRST_GENERATION: sa.ColumnElement[int] = sa.literal_column(str(FIRST_GENERATION), sa.BigInteger)
_WRITTEN = (
    "tenant",
    "key",
    "namespace",
    "scope_key",
    "model",
    "provider",
    "requested_model",
    "payload",
    "payload_bytes",
    "generation",
    "tags",
    "request_id",
    "created_at",
    "expires_at",
)


def _held(
    tenant: sa.ColumnElement[str], namespace: sa.ColumnElement[str], key: sa.ColumnElement[bytes]
) -> sa.Select[Any]:
    """Return the query for the payload, NULL where there is none, and the generation."""
    payload = sa.select(llm_cache.c.payload).where(llm_cache.c.tenant == tenant, llm_cache.c.key == key)
    generation = sa.select(cache_namespace.c.generation).where(
        cache_namespace.c.tenant == tenant, cache_namespace.c.namespace == namespace
    )
    return sa.select(payload.scalar_subquery(), sa.func.coalesce(generation.scalar_subquery(), _FIRST_GENERATION))


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


def _gate(item: sa.TableValuedAlias) -> sa.CTE:
    """Return the namespaces of a batch with their generations.

    The share lock makes an invalidation wait until the batch can be seen and deleted; and where an invalidation was
    first, it shows the generation as it is after that.
    """
    wanted = sa.select(item.c.tenant, item.c.namespace)
    return (
        sa.select(cache_namespace.c.tenant, cache_namespace.c.namespace, cache_namespace.c.generation)
        .where(sa.tuple_(cache_namespace.c.tenant, cache_namespace.c.namespace).in_(wanted))
        .order_by(cache_namespace.c.tenant, cache_namespace.c.namespace)
        .with_for_update(read=True)
        .cte("gate")
    )


def _put() -> sa.Select[Any]:
    """Return the statement that stores what was not invalidated and says how much, and how many namespaces exist."""
    columns = [llm_cache.c[name] for name in _WRITTEN]
    item = rows_of(columns)
    gate = _gate(item)
    admits = (
        (gate.c.tenant == item.c.tenant)
        & (gate.c.namespace == item.c.namespace)
        & (gate.c.generation <= item.c.generation)
    )
    values = [item.c[name] for name in _WRITTEN]
    admitted = sa.select(*values).join_from(item, gate, admits).order_by(item.c.tenant, item.c.key)
    statement = insert(llm_cache).from_select(_WRITTEN, admitted)
    stored = (
        statement.on_conflict_do_update(
            index_elements=[llm_cache.c.tenant, llm_cache.c.key],
            set_={name: statement.excluded[name] for name in _WRITTEN},
        )
        .returning(llm_cache.c.key)
        .cte("stored")
    )
    return sa.select(
        sa.select(sa.func.count()).select_from(stored).scalar_subquery(),
        sa.select(sa.func.count()).select_from(gate).scalar_subquery(),
        # For this transaction only: it does not wait for the disk. The entry is in effect at once, and a cache may lose
        # what it was given in the last fraction of a second before a crash.
        sa.literal_column("set_config('synchronous_commit', 'off', true)"),
    )


PUT = compiled(_put())

_new = rows_of([cache_namespace.c.tenant, cache_namespace.c.namespace, cache_namespace.c.generation])

# An entry may know a later generation than a database that was made anew.
CREATE_NAMESPACES = compiled(
    insert(cache_namespace)
    .from_select(
        ["tenant", "namespace", "generation"],
        sa.select(_new.c.tenant, _new.c.namespace, sa.func.max(_new.c.generation))
        .group_by(_new.c.tenant, _new.c.namespace)
        .order_by(_new.c.tenant, _new.c.namespace),
    )
    .on_conflict_do_nothing()
)


def raising(selection: Selection) -> sa.Executable:
    """Return the statement that raises generations and returns the new ones."""
    table = cache_namespace
    following = {"generation": table.c.generation + 1, "updated_at": sa.func.now()}
    if selection.namespace is not None:
        # A namespace that has no row yet may have entries in L1, or on their way.
        return (
            insert(table)
            .values(
                tenant=selection.tenant,
                namespace=selection.namespace,
                generation=_FIRST_GENERATION + 1,
            )
            .on_conflict_do_update(index_elements=[table.c.tenant, table.c.namespace], set_=following)
            .returning(table.c.namespace, table.c.generation)
        )
    locked = (
        sa.select(table.c.namespace)
        .where(table.c.tenant == selection.tenant)
        .order_by(table.c.namespace)
        .with_for_update()
        .cte("locked")
    )
    return (
        sa.update(table)
        .values(following)
        .where(table.c.tenant == selection.tenant, table.c.namespace == locked.c.namespace)
        .returning(table.c.namespace, table.c.generation)
    )


def deleting(selection: Selection) -> sa.Executable:
    """Return the statement that deletes the selected entries and returns their addresses."""
    table = llm_cache
    conditions = [table.c.tenant == selection.tenant]
    if selection.namespace is not None:
        conditions.append(table.c.namespace == selection.namespace)
    if selection.model is not None:
        conditions.append(table.c.model == selection.model)
    if selection.tag is not None:
        conditions.append(table.c.tags.contains([storable(selection.tag)]))
    if selection.key is not None:
        conditions.append(table.c.key == selection.key)
    if selection.created_before is not None:
        conditions.append(table.c.created_at < selection.created_before)
    return sa.delete(table).where(*conditions).returning(table.c.namespace, table.c.key, table.c.scope_key)


# Rows that somebody uses are left for the next time instead of waited for.
_past = (
    sa.select(llm_cache.c.tenant, llm_cache.c.key)
    .where(sa.func.coalesce(llm_cache.c.stale_until, llm_cache.c.expires_at) <= sa.bindparam("now"))
    .order_by(sa.func.coalesce(llm_cache.c.stale_until, llm_cache.c.expires_at))
    .limit(sa.bindparam("size"))
    .with_for_update(skip_locked=True)
)
PURGE = sa.delete(llm_cache).where(sa.tuple_(llm_cache.c.tenant, llm_cache.c.key).in_(_past))


def removing(address: Address, payload: bytes) -> sa.Executable:
    """Return the statement that deletes one value, unless it was replaced meanwhile."""
    return sa.delete(llm_cache).where(
        llm_cache.c.tenant == address.tenant, llm_cache.c.key == address.key, llm_cache.c.payload == payload
    )
