"""Reads files of users, line by line: JSON lines or CSV, compressed or not."""

from __future__ import annotations

import csv
import gzip
import io
import json
import zlib
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any, TextIO, cast

from cognition.errors import ConfigurationError

Row = Mapping[str, Any]
"""What one line says, without what it leaves empty."""


class Unreadable(Exception):
    """What is wrong with one line."""


def read_rows(path: Path, limit: int, take: Callable[[Row], None]) -> bool:
    """Read a file; return whether it goes on after `limit` lines.

    Args:
        path: A name that ends in `.csv` or `.csv.gz` means CSV, every other one JSON lines; `.gz` means compressed.
        limit: Lines beyond so many are left.
        take: Told what each line says; raises `Unreadable` when that cannot be used.

    Raises:
        ConfigurationError: The file cannot be read; the sentence names the line.
    """
    try:
        with _rows(path) as rows:
            for line, read in islice(rows, limit):
                try:
                    take(read())
                except Unreadable as error:
                    raise ConfigurationError(f"Line {line} of {path} {error}.") from None
            return next(rows, None) is not None
    except (OSError, EOFError, UnicodeDecodeError, csv.Error, zlib.error) as error:
        reason = getattr(error, "strerror", None) or str(error).rstrip(".")
        raise ConfigurationError(f"{path} cannot be read ({reason}).") from error


@contextmanager
def _rows(path: Path) -> Generator[Iterator[tuple[int, Callable[[], Row]]]]:
    """Give the number of each line with content, and what reads it."""
    compressed = path.suffix == ".gz"
    with (
        path.open("rb") as stored,
        gzip.GzipFile(fileobj=stored) if compressed else stored as plain,
        io.TextIOWrapper(cast("Any", plain), encoding="utf-8-sig", newline="") as text,
    ):
        name = path.with_suffix("") if compressed else path
        yield _csv_rows(text) if name.suffix == ".csv" else _json_rows(text)


def _json_rows(text: TextIO) -> Iterator[tuple[int, Callable[[], Row]]]:
    for number, line in enumerate(text, 1):
        if line.strip():
            yield number, lambda line=line: _object(line)


def _csv_rows(text: TextIO) -> Iterator[tuple[int, Callable[[], Row]]]:
    reader = csv.DictReader(text)
    for row in reader:
        # An empty cell is an absent field; cells beyond the header have no name.
        given = {name: cell for name, cell in row.items() if name and cell}
        yield reader.line_num, lambda given=given: given


def _object(line: str) -> Row:
    try:
        value = json.loads(line, parse_float=Decimal)
    except (ValueError, RecursionError):
        raise Unreadable("is not JSON") from None
    if not isinstance(value, dict):
        raise Unreadable("is not a JSON object")
    return {name: content for name, content in cast("dict[str, Any]", value).items() if content is not None}
