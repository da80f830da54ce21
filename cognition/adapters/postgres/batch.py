"""Many rows in one statement of fixed text: they travel as one JSON text, which is read faster than arrays."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, TypeVar

import sqlalchemy as sa

T = TypeVar("T")
Row = Mapping[str, Any]


def rows_of(columns: Iterable[sa.Column[Any]], name: str = "rows") -> sa.TableValuedAlias:
    """Return a relation with these columns and one row for each row given to `bind`.

    Args:
        columns: Of the tables that the rows are meant for.
        name: Name of the relation and of the parameter.
    """
    typed = [sa.column(column.name, column.type) for column in columns]
    sent = sa.cast(sa.bindparam(name, type_=sa.Text()), sa.JSON())
    return sa.func.json_to_recordset(sent).table_valued(*typed).render_derived(name=name, with_types=True)


def bind(rows: Iterable[Row]) -> str:
    """Return the parameter of a statement over `rows_of`."""
    texts: list[str] = []
    for row in rows:
        if texts:
            # Thousands of rows are made by a thread beside those that answer calls: it lets them go first.
            time.sleep(0)
        texts.append(_json(row))
    return f"[{','.join(texts)}]"


def parts(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """Return items in parts of at most `size`, for statements that take long for each row."""
    return (items[start : start + size] for start in range(0, len(items), size))


def storable(text: str) -> str:
    """Return a text as PostgreSQL can keep it: NUL and halves of surrogate pairs become U+FFFD."""
    if text.isascii() and "\0" not in text:
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").replace("\0", "\ufffd")


def _plain(value: object) -> str:
    """Return how a value of a type that JSON does not know is written for PostgreSQL."""
    match value:
        case bytes():
            return f"\\x{value.hex()}"
        case datetime():
            return value.isoformat()
        case Decimal():
            return str(value)
        case _:
            raise TypeError(f"A {type(value).__name__} cannot be sent to PostgreSQL in a batch.")


_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=_plain).encode
