"""Moving L3 to another embedder: in batches, past what it cannot take, as often as it is started."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest

from cognition.domain.semantic import EmbedderIdentity, ForeignRow, Vector, Vectors
from cognition.domain.upkeep import VectorIndex
from cognition.errors import CacheUnavailable
from cognition.services.semantic_upkeep import ReEmbedded, SemanticUpkeep

NEW = EmbedderIdentity(name="local:new", revision="1", dimensions=1)
TOO_LONG = "long"


@dataclass
class NewEmbedder:
    """Takes short texts, so many of them; each vector is the text's number."""

    left: int = 1000
    batches: list[int] = field(default_factory=list[int])
    is_local: bool = True
    identity: EmbedderIdentity = NEW

    def fits(self, text: str) -> bool:
        """Whether a text is short."""
        return text != TOO_LONG

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Return the numbers, or fail when it has had enough."""
        self.batches.append(len(texts))
        self.left -= len(texts)
        if self.left < 0:
            raise CacheUnavailable.of("embedder", "no connection")
        return np.array([[float(text)] for text in texts], dtype=np.float32)

    def close(self) -> None:
        """Hold nothing."""


class Rows:
    """Rows of another embedder, by id; `new` holds the vectors of those that were moved."""

    def __init__(self, texts: Mapping[int, str]) -> None:
        self.old = dict(texts)
        self.new: dict[int, float] = {}

    def foreign(self, fingerprint: str, limit: int, after: int = 0) -> list[ForeignRow]:
        """Return what was not moved yet."""
        assert "local:new@1/1/unit" == fingerprint
        rows = [ForeignRow(number, "acme", text) for number, text in sorted(self.old.items()) if number > after]
        return rows[:limit]

    def replace(self, fingerprint: str, vectors: Mapping[int, Vector]) -> int:
        """Move rows that are still there."""
        assert "local:new@1/1/unit" == fingerprint
        there = [number for number in vectors if self.old.pop(number, None) is not None]
        self.new.update({number: float(vectors[number][0]) for number in there})
        return len(there)

    def vector_index(self, dimensions: int) -> VectorIndex:
        """Say how few there are."""
        return VectorIndex(dimensions=dimensions, rows=len(self.new), other=None, lists=None)

    def build_ivfflat(self, dimensions: int, lists: int | None = None) -> str:
        """Say what would be built."""
        return f"{dimensions}/{lists}"


def test_every_answer_gets_its_own_vector() -> None:
    """In batches, each one embedding call."""
    rows, embedder = Rows({number: str(number) for number in range(1, 151)}), NewEmbedder()
    assert ReEmbedded(moved=150, left=0, done=True) == SemanticUpkeep(rows, embedder).reembed(1000)
    assert {number: float(number) for number in range(1, 151)} == rows.new
    assert [64, 64, 22] == embedder.batches


def test_what_the_embedder_cannot_take_is_passed() -> None:
    """It stays with the old embedder, and does not keep the others from being found."""
    texts = {number: TOO_LONG if number <= 100 else str(number) for number in range(1, 121)}
    rows = Rows(texts)
    assert ReEmbedded(moved=20, left=100, done=True) == SemanticUpkeep(rows, NewEmbedder()).reembed(1000)
    assert set(range(1, 101)) == set(rows.old)


def test_a_limit_is_kept_and_the_rest_comes_next() -> None:
    """It says whether more wait."""
    upkeep = SemanticUpkeep(Rows({number: str(number) for number in range(1, 101)}), NewEmbedder())
    assert [(70, False), (30, True), (0, True)] == [(one.moved, one.done) for one in map(upkeep.reembed, [70] * 3)]


def test_what_was_moved_before_an_outage_stays_moved() -> None:
    """The next run goes on from there."""
    rows = Rows({number: str(number) for number in range(1, 101)})
    with pytest.raises(CacheUnavailable):
        SemanticUpkeep(rows, NewEmbedder(left=70)).reembed(1000)
    assert 64 == len(rows.new)
    assert ReEmbedded(moved=36, left=0, done=True) == SemanticUpkeep(rows, NewEmbedder()).reembed(1000)


def test_an_index_has_the_embedder_s_dimensions() -> None:
    """Nobody has to know them."""
    upkeep = SemanticUpkeep(Rows({}), NewEmbedder())
    assert ("1/50", "1/None", 1) == (upkeep.build_index(50), upkeep.build_index(), upkeep.vector_index().dimensions)
