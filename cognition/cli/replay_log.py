"""Reads logs of calls and lists of pairs from files of users: JSON lines or CSV, compressed or not."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from functools import partial
from pathlib import Path
from typing import Any, cast

from cognition.adapters.row_files import Row, Unreadable, read_rows
from cognition.domain.replay import LoggedCall, LoggedPair
from cognition.errors import ConfigurationError

_SCOPE = ("tenant", "namespace", "model", "instructions")
_CALL = ("prompt", "messages", "label", "answer", "cost_usd", *_SCOPE)
_PAIR = ("cached", "asked", "answers", "weight", "stream_size")
_TRUTHS = {"true": True, "1": True, "false": False, "0": False, "": None, "null": None}


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


def read_log(path: Path, limit: int) -> Log:
    """Read a file.

    Args:
        path: A name that ends in `.csv` or `.csv.gz` means CSV, every other one JSON lines; `.gz` means compressed.
        limit: Lines beyond so many are left.

    Raises:
        ConfigurationError: The file cannot be read; the sentence names the line.
    """
    log = Log()
    log.cut = read_rows(path, limit, partial(_add, log))
    if not (log.calls or log.pairs):
        raise ConfigurationError(f'{path} is empty; each line should be a call, such as {{"prompt": "Why?"}}.')
    return log


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
        raise Unreadable(f"has no prompt and no messages, nor cached and asked; its columns are: {columns}")
    if log.calls and log.pairs:
        raise Unreadable("is a pair among calls, or a call among pairs; put them into two files")
    log.ignored.update(set(row).difference(known))


def _pair(row: Row) -> LoggedPair:
    answers = str(row.get("answers", "")).strip().lower()
    if answers not in _TRUTHS:
        raise Unreadable(f"says {answers!r} in answers; write true, false or null")
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
            raise Unreadable("has messages that are not JSON") from None
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in cast("list[object]", value)):
        raise Unreadable("has messages that are not a list of objects with role and content")
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
        raise Unreadable("has no text of a user in its messages")
    # Images and tools' answers are part of the question as well.
    rest = [messages[:last], [part for part in parts if _text_of(part) is None], messages[last + 1 :]]
    return _printable(text), json.dumps(rest, sort_keys=True, default=str), answer


def _text_of(part: Any) -> str | None:
    text: Any = cast("Mapping[str, Any]", part).get("text") if isinstance(part, Mapping) else part
    return text if isinstance(text, str) else None


def _text(row: Row, name: str) -> str:
    value = row[name]
    if not isinstance(value, str) or not value.strip():
        raise Unreadable(f"has no text in {name}")
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
        raise Unreadable(f"says {row[name]!r} in {name}; write a number above 0")
    return value


def _money(row: Row) -> Decimal | None:
    if "cost_usd" not in row:
        return None
    try:
        value = Decimal(str(row["cost_usd"]))
    except InvalidOperation:
        value = Decimal("nan")
    if not value.is_finite() or value < 0:
        raise Unreadable(f"says {row['cost_usd']!r} in cost_usd; write US dollars, such as 0.0012")
    return value
