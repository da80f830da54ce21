"""Storing entries in L2 and L3 unless they were invalidated on their way.

Locks are always taken in one order, namespaces before entries and each by key, so that no two statements wait for each
other in a circle.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.sql.base import ReadOnlyColumnCollection

from cognition.adapters.postgres.batch import Row, bind, rows_of
from cognition.adapters.postgres.connection import compiled, fetch
from cognition.adapters.postgres.tables import cache_namespace
from cognition.domain.entry import FIRST_GENERATION

FIRST: sa.ColumnElement[int] = sa.literal_column(str(FIRST_GENERATION), sa.BigInteger)
"""The generation of a namespace that has no row yet."""

WRITTEN = (
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
"""What an entry has in either durable layer."""


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


Replaces = Callable[[ReadOnlyColumnCollection[str, Any]], sa.ColumnElement[bool]]
"""The condition under which a row, given as `excluded`, replaces the one that stands there."""


def storing(columns: Sequence[sa.Column[Any]], key: Sequence[str], replaces: Replaces | None = None) -> str:
    """Return the statement that stores what was not invalidated and says how much, and how many namespaces exist.

    Args:
        columns: What is written, all of one table, with `tenant`, `namespace` and `generation` among them.
        key: Names of those that identify a row; the one that stands there is replaced.
        replaces: Whether it is, by default always.
    """
    item = rows_of(columns)
    gate = _gate(item)
    admits = (
        (gate.c.tenant == item.c.tenant)
        & (gate.c.namespace == item.c.namespace)
        & (gate.c.generation <= item.c.generation)
    )
    admitted = (
        sa.select(*(item.c[column.name] for column in columns))
        .join_from(item, gate, admits)
        .order_by(*(item.c[name] for name in key))
    )
    names = [column.name for column in columns]
    statement = insert(columns[0].table).from_select(names, admitted)
    stored = (
        statement.on_conflict_do_update(
            index_elements=key,
            set_={name: statement.excluded[name] for name in names if name not in key},
            where=replaces(statement.excluded) if replaces else None,
        )
        .returning(columns[0].table.c.key)
        .cte("stored")
    )
    # For this transaction only: it does not wait for the disk. The entry is in effect at once, and a cache may lose
    # what it was given in the last fraction of a second before a crash.
    hasty = sa.literal_column("set_config('synchronous_commit', 'off', true)", sa.Text)
    how_many = (sa.select(sa.func.count()).select_from(rows).scalar_subquery() for rows in (stored, gate))
    return compiled(sa.select(*how_many, hasty))


_new = rows_of([cache_namespace.c.tenant, cache_namespace.c.namespace, cache_namespace.c.generation])

# An entry may know a later generation than a database that was made anew.
_CREATE_NAMESPACES = compiled(
    insert(cache_namespace)
    .from_select(
        ["tenant", "namespace", "generation"],
        sa.select(_new.c.tenant, _new.c.namespace, sa.func.max(_new.c.generation))
        .group_by(_new.c.tenant, _new.c.namespace)
        .order_by(_new.c.tenant, _new.c.namespace),
    )
    .on_conflict_do_nothing()
)


def store(engine: sa.Engine, put: str, rows: Sequence[Row], now: datetime | None = None) -> int:
    """Store rows; return how many, none that was invalidated on its way here.

    Args:
        engine: From `connect`.
        put: From `storing`.
        rows: At least one, each with a key of its own: one statement cannot change a row twice.
        now: The present time, for a statement that asks for it.
    """
    namespaces = {(row["tenant"], row["namespace"]) for row in rows}
    parameters = {"rows": bind(rows), "now": now}
    ((kept, known, _),) = fetch(engine, put, parameters)
    if known < len(namespaces):
        fetch(engine, _CREATE_NAMESPACES, parameters)
        ((kept, _, _),) = fetch(engine, put, parameters)
    return kept
