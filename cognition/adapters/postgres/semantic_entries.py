"""L3: entries in PostgreSQL, found by the meaning of their questions with pgvector."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from cognition.adapters.codec import decode
from cognition.adapters.postgres.batch import Row, parts
from cognition.adapters.postgres.connection import STORE, connected, fetch
from cognition.adapters.postgres.rows import pack_text, read_vector, row_of, unpack_text, vector_text
from cognition.adapters.postgres.scope_sizes import ScopeSizes
from cognition.adapters.postgres.semantic_statements import (
    KEEP_VECTORS,
    PING,
    PUT,
    VECTORS,
    nearest,
    removing,
)
from cognition.adapters.postgres.storing import store
from cognition.domain.entry import CacheEntry
from cognition.domain.semantic import Neighbour, Question, Vector, hash_of
from cognition.errors import EntryCorrupted
from cognition.ports import Clock, Nearby

EXACT_ROWS = 3000
"""Comparing each of so many rows takes a few milliseconds and loses none; the index finds neighbours in all scopes and
drops those of others. The two meet at about 2,000 rows of 100,000 and beyond 8,000 of a million, as
`benchmarks/l3_scaling.py` measures."""

# What takes milliseconds a row on a busy server is given to it in parts, so that each stays within its time limit.
_LOOK_UPS = 250
_INSERTS = 100  # into the HNSW index


@dataclass(frozen=True, slots=True)
class _Held:
    """A row as it was found."""

    distance: float
    tenant: str
    scope_key: memoryview
    fingerprint: str
    key: memoryview
    expires_at: datetime
    payload: memoryview
    prompt: memoryview
    prompt_hash: memoryview

    def neighbour(self, generation: int) -> Neighbour:
        """Return the row as a neighbour.

        Raises:
            EntryCorrupted: The payload is not an entry of its key, or the prompt is not the text of its hash.
        """
        text = unpack_text(bytes(self.prompt))
        if hash_of(text) != bytes(self.prompt_hash):
            raise EntryCorrupted("A stored prompt is not the one that was compared; it counts as a miss.")
        entry = decode(bytes(self.payload), bytes(self.key).hex())
        # It outlived an invalidation of others in its namespace; copies must be accepted by faster layers all the same.
        present = entry.of_generation(max(entry.generation, generation))
        return Neighbour(text=text, similarity=1 - self.distance, entry=present.expiring_at(self.expires_at))


class PostgresSemanticEntries:
    """The semantic layer, on PostgreSQL with pgvector."""

    name = STORE

    def __init__(self, engine: sa.Engine, clock: Clock, exact_rows: int = EXACT_ROWS) -> None:
        """Use an engine.

        Args:
            engine: From `connect`.
            clock: Tells which entries have expired.
            exact_rows: Scopes of at most so many rows are scanned, larger ones searched with an index.
        """
        self._engine = engine
        self._clock = clock
        self._exact_rows = exact_rows
        self._sizes = ScopeSizes(exact_rows)

    def nearest(self, fingerprint: str, questions: Sequence[Question], limit: int) -> list[Nearby]:
        """Return up to `limit` neighbours of each question, in order, in one round trip for hundreds of questions.

        Small scopes are compared row by row; in large ones the index may miss a neighbour in a hundred. Rows that
        cannot be read are removed and left out.

        Args:
            fingerprint: Of the embedder; rows of others are not looked at.
            questions: What to look up, with vectors of one length.
            limit: How many neighbours of each.
        """
        found: list[Nearby] = []
        for part in parts(questions, _LOOK_UPS):
            found += self._nearest(fingerprint, part, limit)
        return found

    def put(self, fingerprint: str, items: Sequence[tuple[Question, CacheEntry]]) -> int:
        """Keep answers that are not past; return how many were kept, none that was invalidated on its way here."""
        now = self._clock()
        # One statement cannot change a row twice: the last answer to a question counts.
        rows = {
            (question.address.tenant, question.address.key): _row(fingerprint, question, entry)
            for question, entry in items
            if entry.is_fresh(now)
        }
        return sum(store(self._engine, PUT, part) for part in parts(list(rows.values()), _INSERTS))

    def vectors(self, tenant: str, fingerprint: str, texts: Sequence[bytes]) -> dict[bytes, Vector]:
        """Return the vectors that are known, by the hash of their text."""
        if not texts:
            return {}
        wanted = {"tenant": tenant, "fingerprint": fingerprint, "texts": list(texts), "now": self._clock()}
        return {bytes(text): read_vector(sent) for text, sent in fetch(self._engine, VECTORS, wanted)}

    def keep_vectors(self, tenant: str, fingerprint: str, vectors: Mapping[bytes, Vector]) -> None:
        """Keep vectors by the hash of their text."""
        if vectors:
            sent = [vector_text(vector) for vector in vectors.values()]
            new = {"tenant": tenant, "fingerprint": fingerprint, "texts": list(vectors), "vectors": sent}
            fetch(self._engine, KEEP_VECTORS, {**new, "now": self._clock()})

    def ping(self) -> None:
        """Return when the server answers and knows vectors."""
        fetch(self._engine, PING, {})

    def _nearest(self, fingerprint: str, questions: Sequence[Question], limit: int) -> list[Nearby]:
        now = self._clock()
        parameters = {
            **_asked(questions),
            "fingerprint": fingerprint,
            "neighbours": limit,
            "exact_rows": self._exact_rows,
            "now": now,
        }
        neighbours: list[list[Neighbour]] = [[] for _ in questions]
        generations: list[int] = [0] * len(questions)
        search = self._sizes.search(fingerprint, (question.address for question in questions))
        rows = fetch(self._engine, nearest(len(questions[0].vector), limit, search), parameters)
        for position, size, generation, distance, *columns in rows:
            question = questions[int(position) - 1]
            generations[position - 1] = generation
            if size is not None:
                self._sizes.note(fingerprint, question.address, size)
            if distance is not None:
                held = _Held(distance, *columns)
                if _belongs(held, question, fingerprint, now):
                    neighbours[position - 1] += self._readable(held, generation)
        return [Nearby(found, generation) for found, generation in zip(neighbours, generations, strict=True)]

    def _readable(self, held: _Held, generation: int) -> list[Neighbour]:
        """Return the row as a neighbour, or nothing after removing it because it cannot be read."""
        try:
            return [held.neighbour(generation)]
        except EntryCorrupted:
            with connected(self._engine) as connection:
                connection.execute(removing(held.tenant, bytes(held.key), held.fingerprint, bytes(held.payload)))
            return []


def _belongs(held: _Held, question: Question, fingerprint: str, now: datetime) -> bool:
    """Whether a row is what was asked for; checked again, because an answer given to another tenant can't be undone."""
    found = (held.tenant, bytes(held.scope_key), held.fingerprint)
    return found == (question.address.tenant, question.address.scope_key, fingerprint) and held.expires_at > now


def _asked(questions: Sequence[Question]) -> dict[str, list[Any]]:
    """Return the columns of what is asked, each as one array."""
    return {
        "tenant": [question.address.tenant for question in questions],
        "namespace": [question.address.namespace for question in questions],
        "scope_key": [question.address.scope_key for question in questions],
        "text_hash": [question.text_hash for question in questions],
        "vector": [vector_text(question.vector) for question in questions],
    }


def _row(fingerprint: str, question: Question, entry: CacheEntry) -> Row:
    return {
        **row_of(question.address, entry),
        "embedder_fingerprint": fingerprint,
        "embedding": vector_text(question.vector),
        "prompt": pack_text(question.text),
        "prompt_hash": question.text_hash,
    }
