"""L3 in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from cognition.adapters.codec import encode
from cognition.adapters.memory.durable import MemoryDurableEntries
from cognition.adapters.memory.pairs import MemoryPairs
from cognition.adapters.memory.shelf import is_selected, namespace_of, readable
from cognition.domain.entry import Address, CacheEntry, Near, Selection
from cognition.domain.semantic import Neighbour, Question, Vector
from cognition.ports import Clock, Nearby

_ROUNDING = 1e-6  # of a similarity


@dataclass(frozen=True, slots=True)
class _Row:
    question: Question
    value: bytes

    @property
    def entry(self) -> CacheEntry | None:
        return readable(self.value, self.question.address)


class MemorySemanticEntries:
    """L3 in memory: what pgvector does, for one process, comparing a question with every row of its scope."""

    name = "memory"

    def __init__(self, clock: Clock, durable: MemoryDurableEntries, pairs: MemoryPairs) -> None:
        """Start empty.

        Args:
            clock: Decides what has expired.
            durable: Decides what is valid; its invalidations and purges reach this layer from now on.
            pairs: Knows which texts may never answer each other.
        """
        self._clock = clock
        self._durable = durable
        self._pairs = pairs
        self._lock = durable.lock
        self._rows: dict[tuple[str, Address], _Row] = {}
        self._vectors: dict[tuple[str, str, bytes], Vector] = {}
        durable.attach(self)

    def nearest(self, fingerprint: str, questions: Sequence[Question], limit: int) -> list[Nearby]:
        """Return up to `limit` neighbours of each question, in order.

        Args:
            fingerprint: Of the embedder; rows of others are not looked at.
            questions: What to look up.
            limit: How many neighbours of each.
        """
        with self._lock:
            return [self._near(fingerprint, question, limit) for question in questions]

    def put(self, fingerprint: str, items: Sequence[tuple[Question, CacheEntry]]) -> int:
        """Keep answers that are not past; return how many were kept, none that was invalidated on its way here."""
        with self._lock:
            return sum(self._keep(fingerprint, question, entry) for question, entry in items)

    def vectors(self, tenant: str, fingerprint: str, texts: Sequence[bytes]) -> dict[bytes, Vector]:
        """Return the vectors that are known, by the hash of their text."""
        with self._lock:
            known = {text: self._vectors.get((tenant, fingerprint, text)) for text in texts}
        return {text: vector.copy() for text, vector in known.items() if vector is not None}

    def keep_vectors(self, tenant: str, fingerprint: str, vectors: Mapping[bytes, Vector]) -> None:
        """Keep vectors by the hash of their text."""
        with self._lock:
            self._vectors |= {(tenant, fingerprint, text): vector.copy() for text, vector in vectors.items()}

    def ping(self) -> None:
        """Return; memory always answers."""

    def plant(self, fingerprint: str, question: Question, value: bytes) -> None:
        """Replace what is held for a question by any bytes, as a fault or a foreign writer would."""
        with self._lock:
            self._rows[fingerprint, question.address] = _Row(question, value)

    def __len__(self) -> int:
        """Return how many entries are held, expired or not."""
        return len(self._rows)

    def drop(self, selection: Selection) -> list[bytes]:
        """Remove the selected entries and return the exact keys of their questions."""
        with self._lock:
            gone = [
                (fingerprint, address)
                for (fingerprint, address), row in self._rows.items()
                if is_selected(address, row.value, selection)
                and (selection.similar is None or _is_near(selection.similar, fingerprint, row))
            ]
            return [self._rows.pop(place).question.address.key for place in gone]

    def purge(self, now: datetime, limit: int) -> int:
        """Delete up to `limit` expired entries; return how many."""
        with self._lock:
            past = [place for place, row in self._rows.items() if row.entry is None or not row.entry.is_fresh(now)]
            for place in past[:limit]:
                del self._rows[place]
            return len(past[:limit])

    def _near(self, fingerprint: str, question: Question, limit: int) -> Nearby:
        generation = self._durable.generation_of(namespace_of(question.address))
        ranked = sorted(
            ((_cosine(question.vector, row), place) for place, row in self._scope(fingerprint, question)),
            key=lambda one: -one[0],
        )
        found: list[Neighbour] = []
        for similarity, place in ranked[:limit]:
            row = self._rows[place]
            if (entry := row.entry) is None:
                del self._rows[place]
                continue
            present = entry.of_generation(generation)
            found.append(Neighbour(text=row.question.text, similarity=similarity, entry=present))
        return Nearby(found, generation)

    def _scope(self, fingerprint: str, question: Question) -> list[tuple[tuple[str, Address], _Row]]:
        """Return the rows that may answer a question."""
        now, address = self._clock(), question.address
        return [
            (place, row)
            for place, row in self._rows.items()
            if place[0] == fingerprint
            and (place[1].tenant, place[1].scope_key) == (address.tenant, address.scope_key)
            and (row.entry is None or row.entry.is_fresh(now))
            and not self._pairs.is_blocked(address.tenant, question.text_hash, row.question.text_hash)
        ]

    def _keep(self, fingerprint: str, question: Question, entry: CacheEntry) -> bool:
        if not entry.is_fresh(self._clock()):
            return False
        if not self._durable.admits(namespace_of(question.address), entry.generation):
            return False
        self._rows[fingerprint, question.address] = _Row(question, encode(entry))
        return True


def _is_near(near: Near, fingerprint: str, row: _Row) -> bool:
    return fingerprint == near.fingerprint and _cosine(near.vector, row) >= near.above - _ROUNDING


def _cosine(vector: Sequence[float] | Vector, row: _Row) -> float:
    one, other = np.asarray(vector, np.float32), row.question.vector
    return float(one @ other / (np.linalg.norm(one) * np.linalg.norm(other)))
