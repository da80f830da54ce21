"""Reads logs of calls and lists of pairs from files of users: JSON lines or CSV, compressed or not."""

from __future__ import annotations

import csv
import gzip
import io
import json
import math
import zlib
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from itertools import islice
from pathlib import Path
from typing import Any, TextIO, cast

from cognition.domain.replay import LoggedCall, LoggedPair
from cognition.errors import ConfigurationError

_SCOPE = ("tenant", "namespace", "model", "instructions")
_CALL = ("prompt", "messages", "label", "answer", "cost_usd", *_SCOPE)
_PAIR = ("cached", "asked", "answers", "weight", "stream_size")
_TRUTHS = {"true": True, "1": True, "false": False, "0": False, "": None, "null": None}

Row = Mapping[str, Any]


@dataclass(slots=True)
class Log:
    """What a file holds: calls, or pairs.

    Attributes:
        calls: In the order of the file.
        pairs: In the order of the file.
        stream_size: How many calls the pairs stand for; None when the file does not say.
        ignored: Columns that nothing reads.
        cut: Whether the file goes on.
    """

    calls: list[LoggedCall] = field(default_factory=list[LoggedCall])
    pairs: list[LoggedPair] = field(default_factory=list[LoggedPair])
    stream_size: float | None = None
    ignored: set[str] = field(default_factory=set[str])
    cut: bool = False


class _Unreadable(Exception):
    """What is wrong with one line."""


def read_log(path: Path, limit: int) -> Log:
    """Read a file.

    Args:
        path: A name that ends in `.csv` or `.csv.gz` means CSV, every other one JSON lines; `.gz` means compressed.
        limit: Lines beyond so many are left.

    Raises:
        ConfigurationError: The file cannot be read; the sentence names the line.
    """
    log = Log()
    try:
        with _rows(path) as rows:
            for line, read in islice(rows, limit):
                try:
                    _add(log, read())
                except _Unreadable as error:
                    raise ConfigurationError(f"Line {line} of {path} {error}.") from None
            log.cut = next(rows, None) is not None
    except (OSError, EOFError, UnicodeDecodeError, csv.Error, zlib.error) as error:
        reason = getattr(error, "strerror", None) or str(error).rstrip(".")
        raise ConfigurationError(f"{path} cannot be read ({reason}).") from error
    if not (log.calls or log.pairs):
        raise ConfigurationError(f'{path} is empty; each line should be a call, such as {{"prompt": "Why?"}}.')
    return log


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
        raise _Unreadable("is not JSON") from None
    if not isinstance(value, dict):
        raise _Unreadable("is not a JSON object")
    return {name: content for name, content in cast("dict[str, Any]", value).items() if content is not None}


def _add(log: Log, row: Row) -> None:
    if "cached" in row and "asked" in row:
        known = _PAIR
        log.pairs.append(_pair(row))
        if "stream_size" in row:
            log.stream_size = _number(row, "stream_size")
    elif "prompt" in row or "messages" in row:
        known = _CALL
        log.calls.append(_call(row))
    else:
        columns = ", ".join(sorted(row)) or "none"
        raise _Unreadable(f"has no prompt and no messages, nor cached and asked; its columns are: {columns}")
    if log.calls and log.pairs:
        raise _Unreadable("is a pair among calls, or a call among pairs; put them into two files")
    log.ignored.update(set(row).difference(known))


def _pair(row: Row) -> LoggedPair:
    answers = str(row.get("answers", "")).strip().lower()
    if answers not in _TRUTHS:
        raise _Unreadable(f"says {answers!r} in answers; write true, false or null")
    weight = _number(row, "weight") if "weight" in row else 1.0
    return LoggedPair(cached=_text(row, "cached"), asked=_text(row, "asked"), right=_TRUTHS[answers], weight=weight)


def _call(row: Row) -> LoggedCall:
    text, rest, answer = (
        _asked_of(_messages(row["messages"])) if "prompt" not in row else (_text(row, "prompt"), "", None)
    )
    answer = row.get("answer", answer)
    truth = None
    if "label" in row:
        truth = ("label", str(row["label"]).strip())
    elif answer is not None:
        words = answer if isinstance(answer, str) else json.dumps(answer, sort_keys=True, default=str)
        truth = ("answer", " ".join(words.split()).casefold())
    scope = (*(json.dumps(row.get(name), sort_keys=True, default=str) for name in _SCOPE), rest)
    return LoggedCall(text=text, scope=scope, truth=truth, cost_usd=_money(row))


def _messages(value: object) -> list[dict[str, Any]]:
    if isinstance(value, str):  # in a cell of a CSV file
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            raise _Unreadable("has messages that are not JSON") from None
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in cast("list[object]", value)):
        raise _Unreadable("has messages that are not a list of objects with role and content")
    return cast("list[dict[str, Any]]", value)


def _asked_of(messages: list[dict[str, Any]]) -> tuple[str, str, str | None]:
    """Return the last user's text, everything else of the messages as one text, and the answer at their end, if any."""
    answer = None
    if messages and messages[-1].get("role") == "assistant" and isinstance(messages[-1].get("content"), str):
        answer = cast("str", messages[-1]["content"])
        messages = messages[:-1]
    last = next((place for place in range(len(messages) - 1, -1, -1) if messages[place].get("role") == "user"), None)
    content: Any = messages[last].get("content") if last is not None else None
    parts = cast("list[Any]", content) if isinstance(content, list) else [content]
    texts = [found for part in parts if (found := _text_of(part)) is not None]
    text = "\n".join(texts).strip()
    if last is None or not text:
        raise _Unreadable("has no text of a user in its messages")
    # Images and tools' answers are part of the question as well.
    rest = [messages[:last], [part for part in parts if _text_of(part) is None], messages[last + 1 :]]
    return _printable(text), json.dumps(rest, sort_keys=True, default=str), answer


def _text_of(part: Any) -> str | None:
    text: Any = cast("Mapping[str, Any]", part).get("text") if isinstance(part, Mapping) else part
    return text if isinstance(text, str) else None


def _text(row: Row, name: str) -> str:
    value = row[name]
    if not isinstance(value, str) or not value.strip():
        raise _Unreadable(f"has no text in {name}")
    return _printable(value)


def _printable(text: str) -> str:
    """Return a text without half characters (lone surrogates), which JSON can hold and no terminal takes."""
    return text.encode("utf-8", "replace").decode()


def _number(row: Row, name: str) -> float:
    try:
        value = float(row[name])
    except (TypeError, ValueError):
        value = math.nan
    if not 0 < value < math.inf:
        raise _Unreadable(f"says {row[name]!r} in {name}; write a number above 0")
    return value


def _money(row: Row) -> Decimal | None:
    if "cost_usd" not in row:
        return None
    try:
        value = Decimal(str(row["cost_usd"]))
    except InvalidOperation:
        value = Decimal("nan")
    if not value.is_finite() or value < 0:
        raise _Unreadable(f"says {row['cost_usd']!r} in cost_usd; write US dollars, such as 0.0012")
    return value
