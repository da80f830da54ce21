"""Many rows in one statement of fixed text: each column travels as one array."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

T = TypeVar("T")
Row = Mapping[str, Any]


def rows_of(columns: Iterable[sa.Column[Any]]) -> sa.CTE:
    """Return a relation `item` with these columns and one row for each row given to `bind`.

    Its column `position` counts them from 1. A column of arrays arrives as JSON, because `unnest` would tear arrays of
    arrays apart; `as_array` turns it back.
    """
    types = {column.name: JSONB() if isinstance(column.type, ARRAY) else column.type for column in columns}
    arrays = [sa.bindparam(name, type_=ARRAY(kind, dimensions=1)) for name, kind in types.items()]
    derived = [sa.column(name, kind) for name, kind in types.items()]
    item = sa.func.unnest(*arrays).table_valued(*derived, with_ordinality="position").render_derived(name="bound")
    # As a common table expression it is sent once, however often a statement refers to it.
    return sa.select(item).cte("item")


def bind(rows: Sequence[Row]) -> dict[str, list[Any]]:
    """Return the parameters of a statement over `rows_of`."""
    return {name: [_sendable(row[name]) for row in rows] for name in rows[0]}


def parts(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """Return items in parts of at most `size`, for statements that take long for each row."""
    return (items[start : start + size] for start in range(0, len(items), size))


def as_array(column: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    """Return an array of texts that arrived as JSON."""
    element = sa.func.jsonb_array_elements_text(column).table_valued("value")
    return sa.func.array(sa.select(element.c.value).scalar_subquery())


def storable(text: str) -> str:
    """Return a text as PostgreSQL can keep it: NUL and halves of surrogate pairs become U+FFFD."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").replace("\0", "\ufffd")


def _sendable(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, list | dict) else value
