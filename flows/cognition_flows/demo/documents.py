"""Where the demo's texts come from: the packages of this environment, or a file."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib.metadata import distributions
from itertools import islice
from pathlib import Path
from typing import Any, cast

from cognition.errors import ConfigurationError

# The local model reads about 50 tokens a second and a core; more of a description would not change its class.
_LONGEST = 600


def read_documents(source: Path | None, count: int) -> list[str]:
    """Return up to `count` texts.

    Args:
        source: A text file (paragraphs), a CSV file or a JSONL file; None reads the descriptions of installed packages.
        count: How many texts at most.

    Raises:
        ConfigurationError: The file cannot be read or holds no text.
    """
    if source is None:
        return list(islice(_package_descriptions(), count))
    read = _READERS.get(source.suffix.lower(), _paragraphs)
    try:
        texts = [text.strip()[:_LONGEST] for text in read(source.read_text(encoding="utf-8-sig")) if text.strip()]
    except OSError as error:
        raise ConfigurationError(
            f"{source} cannot be read ({error.strerror}); name a text, CSV or JSONL file."
        ) from error
    except (UnicodeDecodeError, json.JSONDecodeError, csv.Error) as error:
        raise ConfigurationError(
            f"{source} is not a {source.suffix or 'text'} file in UTF-8; save it as such."
        ) from error
    if not texts:
        raise ConfigurationError(f"{source} holds no text; give each text a paragraph, a CSV row or a JSON line.")
    return texts[:count]


def _package_descriptions() -> Iterator[str]:
    described = [metadata for found in distributions() if "summary" in (metadata := found.metadata.json)]
    for metadata in sorted(described, key=lambda metadata: str(metadata["name"]).lower()):
        yield f"{metadata['name']}: {_opening(metadata)}"


def _opening(metadata: Mapping[str, str | list[str]]) -> str:
    """Return the summary and the beginning of the description, without badges, tables and headings."""
    lines = str(metadata.get("description", "")).splitlines()
    prose = [line.strip() for line in lines if line.strip()[:1].isalpha()]
    return " ".join([str(metadata["summary"]), *prose])[:_LONGEST]


def _paragraphs(text: str) -> Iterable[str]:
    return text.split("\n\n")


def _csv_rows(text: str) -> Iterator[str]:
    for row in csv.DictReader(io.StringIO(text)):
        yield _text_of(row)


def _json_lines(text: str) -> Iterator[str]:
    for line in text.splitlines():
        if line.strip():
            yield _text_of(json.loads(line))


def _text_of(row: Any) -> str:
    """Return a row's text: the field `text`, else the longest one."""
    if not isinstance(row, dict):
        return str(row)
    fields = cast("dict[str, Any]", row)
    return str(fields.get("text") or max((str(value) for value in fields.values()), key=len, default=""))


_READERS: dict[str, Callable[[str], Iterable[str]]] = {".csv": _csv_rows, ".jsonl": _json_lines}
