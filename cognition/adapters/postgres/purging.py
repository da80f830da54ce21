"""Deleting many rows without holding many locks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from cognition.adapters.postgres.connection import connected
from cognition.domain.batches import in_batches

_ROWS = 1000  # locked at once: milliseconds for a writer that wants one of them


def deleting_oldest(table: sa.Table, age: sa.ColumnElement[Any], until: sa.ColumnElement[bool]) -> sa.Delete:
    """Return the statement that deletes the `size` oldest rows of a table; those that somebody uses are left.

    Args:
        table: Where.
        age: What the oldest rows have the least of.
        until: Which rows are old enough.
    """
    key = tuple(table.primary_key)
    old = sa.select(*key).where(until).order_by(age).limit(sa.bindparam("size")).with_for_update(skip_locked=True)
    return sa.delete(table).where(sa.tuple_(*key).in_(old))


def in_parts(engine: sa.Engine, statement: sa.Delete, parameters: Mapping[str, Any], limit: int) -> int:
    """Run a statement of `deleting_oldest`, each time in a transaction of its own, until `limit` rows are deleted.

    Args:
        engine: From `connect`.
        statement: What deletes.
        parameters: Its parameters but `size`.
        limit: Delete at most so many.

    Returns:
        How many rows were deleted.
    """

    def delete(size: int) -> int:
        with connected(engine) as connection:
            return connection.execute(statement, {**parameters, "size": size}).rowcount

    return in_batches(delete, limit, _ROWS)
