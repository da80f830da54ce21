"""Looking after L3 when its embedder changes or its table was loaded in bulk; nothing here is in the path of a call."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from cognition.domain.semantic import ForeignRow, Vector
from cognition.domain.upkeep import VectorIndex
from cognition.ports import Embedder

_BATCH: Final = 64  # texts; a second of work for a local model, and one request for most of the others


class SemanticMaintenanceStore(Protocol):
    """L3, as far as maintenance needs it; see `cognition.adapters.postgres.semantic_maintenance`."""

    def foreign(self, fingerprint: str, limit: int, after: int = 0) -> list[ForeignRow]:
        """Return rows of other embedders, oldest first, whose question has no row of this one; of all tenants."""
        ...

    def replace(self, fingerprint: str, vectors: Mapping[int, Vector]) -> int:
        """Give rows the vectors of another embedder, in one transaction; return how many were still there."""
        ...

    def vector_index(self, dimensions: int) -> VectorIndex:
        """Return how the vectors of one length are searched."""
        ...

    def build_ivfflat(self, dimensions: int, lists: int | None = None) -> str:
        """Build an index for bulk tables; return its name."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ReEmbedded:
    """What a run of `SemanticUpkeep.reembed` did.

    Attributes:
        moved: How many answers can be found by the present embedder now.
        left: How many it cannot take, because their questions are longer than its window; they expire by themselves.
        done: Whether no more of them wait.
    """

    moved: int
    left: int
    done: bool


class SemanticUpkeep:
    """Moves answers to the present embedder, and builds the index of bulk tables; for all tenants of the database."""

    def __init__(self, store: SemanticMaintenanceStore, embedder: Embedder) -> None:
        """Prepare.

        Args:
            store: Where the vectors are.
            embedder: Makes those that shall be there.
        """
        self._store = store
        self._embedder = embedder

    def reembed(self, limit: int) -> ReEmbedded:
        """Give answers that were kept with another embedder a vector of the present one.

        It may be stopped at any time and run again, also by several processes: each batch is one transaction, and what
        was moved is not found again.

        Args:
            limit: Look at most at so many rows.

        Raises:
            CacheUnavailable: The embedder or the store did not answer; what was moved before stays moved.
        """
        fingerprint = self._embedder.identity.fingerprint
        moved = left = seen = last = 0
        while seen < limit:
            rows = self._store.foreign(fingerprint, min(_BATCH, limit - seen), last)
            if not rows:
                return ReEmbedded(moved=moved, left=left, done=True)
            last, seen = rows[-1].id, seen + len(rows)
            fitting = [row for row in rows if self._embedder.fits(row.text)]
            left += len(rows) - len(fitting)
            if fitting:
                vectors = self._embedder.embed([row.text for row in fitting])
                moved += self._store.replace(
                    fingerprint, {row.id: vector for row, vector in zip(fitting, vectors, strict=True)}
                )
        return ReEmbedded(moved=moved, left=left, done=not self._store.foreign(fingerprint, 1, last))

    def vector_index(self) -> VectorIndex:
        """Return how the embedder's vectors are searched; counts them all.

        Raises:
            CacheUnavailable: The server does not answer.
        """
        return self._store.vector_index(self._embedder.identity.dimensions)

    def build_index(self, lists: int | None = None) -> str:
        """Build an IVFFlat index for the embedder's vectors, while others read and write; return its name.

        Args:
            lists: How many groups the vectors are sorted into; None for a thousandth of the rows, above a million
                their square root.

        Raises:
            ConfigurationError: There are too few vectors, or the server may not use enough memory to sort them.
            CacheUnavailable: The server does not answer, or gave the build up.
        """
        return self._store.build_ivfflat(self._embedder.identity.dimensions, lists)
