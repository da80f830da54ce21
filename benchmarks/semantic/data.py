"""The data for development of the semantic layer: pairs of questions with judgements, read from a folder."""

from __future__ import annotations

import gzip
import json
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DATA = Path("../shared/data")
ADJUDICATED = "adjudicated_pairs.jsonl"
QUORA = "qqp_pairs.jsonl.gz"
CHECKLIST = "checklist_pairs.jsonl.gz"


@dataclass(frozen=True, slots=True)
class JudgedPair:
    """A question and its nearest cached one, judged: would the stored answer do?

    Attributes:
        cached: The question whose answer is stored.
        asked: The question that is asked.
        answers: Whether the answer would do, None where the annotators differ.
        cosine: Similarity of the two.
        weight: How many look-ups of the stream the pair stands for.
        stream_size: How many look-ups the stream has.
    """

    cached: str
    asked: str
    answers: bool | None
    cosine: float
    weight: float
    stream_size: int


@dataclass(frozen=True, slots=True)
class LabelledPair:
    """Two questions that Quora calls duplicates or not, and the class of each."""

    a: str
    b: str
    duplicates: bool
    class_a: str
    class_b: str


@dataclass(frozen=True, slots=True)
class MinimalPair:
    """Two questions of a CheckList test, which mean the same or not."""

    test: str
    capability: str
    cached: str
    asked: str
    same: bool


def judged_pairs(path: Path) -> list[JudgedPair]:
    """Read the adjudicated pairs."""
    return [
        JudgedPair(row["cached"], row["asked"], row["answers"], row["cosine"], row["weight"], row["stream_size"])
        for row in _rows(path)
    ]


def labelled_pairs(path: Path) -> list[LabelledPair]:
    """Read Quora's pairs."""
    return [LabelledPair(row["a"], row["b"], bool(row["label"]), row["class_a"], row["class_b"]) for row in _rows(path)]


def minimal_pairs(path: Path) -> list[MinimalPair]:
    """Read the pairs of CheckList."""
    return [
        MinimalPair(row["test"], row["capability"], row["q1"], row["q2"], bool(row["label"])) for row in _rows(path)
    ]


def own_pairs(path: Path) -> list[MinimalPair]:
    """Read our own minimal pairs; the rule they test stands for the capability."""
    table: dict[str, dict[str, list[list[str]]]] = tomllib.loads(path.read_text(encoding="utf-8"))
    return [
        MinimalPair(rule, rule, cached, asked, kind == "same")
        for rule, kinds in table.items()
        for kind, found in kinds.items()
        for cached, asked in found
    ]


def hit_rate_of(hits: Sequence[JudgedPair]) -> float:
    """Return the share of the stream that some hits stand for."""
    return sum(pair.weight for pair in hits) / hits[0].stream_size if hits else 0.0


def precision_of(hits: Sequence[JudgedPair], *, doubtful_is_wrong: bool) -> float:
    """Return the share of hits that are right; doubtful ones are wrong or left out. 1.0 where there is none."""
    judged = [pair for pair in hits if doubtful_is_wrong or pair.answers is not None]
    total = sum(pair.weight for pair in judged)
    return sum(pair.weight for pair in judged if pair.answers) / total if total else 1.0


def connected(pairs: Sequence[JudgedPair]) -> list[int]:
    """Number the groups of pairs that share questions, directly or through others; nothing leaks between groups."""
    group: dict[str, str] = {}

    def root(text: str) -> str:
        while (above := group.setdefault(text, text)) != text:
            text = above
        return text

    for pair in pairs:
        group[root(pair.cached)] = root(pair.asked)
    numbers: dict[str, int] = {}
    return [numbers.setdefault(root(pair.cached), len(numbers)) for pair in pairs]


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    """Read JSON lines, compressed or not."""
    content = path.read_bytes()
    for line in (gzip.decompress(content) if path.suffix == ".gz" else content).splitlines():
        yield json.loads(line)
