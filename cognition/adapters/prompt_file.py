"""Reads what will be asked from a file of the user, to warm the cache with."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, cast

from cognition.adapters.row_files import Row, Unreadable, read_rows
from cognition.domain.warming import Wish

_TEXTS = ("model", "namespace", "instructions")
_KNOWN = ("prompt", "settings", *_TEXTS)


def read_wishes(path: Path, limit: int) -> list[Wish]:
    """Return what a file asks for.

    Args:
        path: JSON lines or CSV, also compressed, with `prompt` and, where they differ from the command's, `model`,
            `namespace`, `instructions` and `settings` (an object).
        limit: Lines beyond so many are left.

    Raises:
        ConfigurationError: The file cannot be read, or a line asks for nothing; the sentence names the line.
    """
    wishes: list[Wish] = []
    read_rows(path, limit, partial(_add, wishes))
    return wishes


def _add(wishes: list[Wish], row: Row) -> None:
    prompt = row.get("prompt")
    if not isinstance(prompt, str) or not prompt.strip():
        columns = ", ".join(sorted(row)) or "none"
        raise Unreadable(f"has no text in prompt; its columns are: {columns}")
    if unknown := sorted(set(row).difference(_KNOWN)):
        # Something that changes the request would be left out unseen, and what is warmed would never be asked for.
        raise Unreadable(f"has the columns {', '.join(unknown)}; known are {', '.join(_KNOWN)}")
    options: dict[str, Any] = {name: _text(row, name) for name in _TEXTS if name in row}
    if "settings" in row:
        options["settings"] = _settings(row["settings"])
    wishes.append(Wish(prompt, options))


def _text(row: Row, name: str) -> str:
    value = row[name]
    if not isinstance(value, str):
        raise Unreadable(f"has no text in {name}")
    return value


def _settings(value: object) -> Mapping[str, Any]:
    if isinstance(value, str):  # in a cell of a CSV file
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            raise Unreadable("has settings that are not JSON") from None
    if not isinstance(value, Mapping):
        raise Unreadable('has settings that are no object, such as {"temperature": 0}')
    # A number with a point was read as a decimal, which no provider takes.
    return cast("Mapping[str, Any]", json.loads(json.dumps(value, default=float)))
