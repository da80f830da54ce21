"""Rows for the benchmarks of L3, written as fast as PostgreSQL takes them.

The vectors are random but lie in groups within groups, as sentences do: vectors without any structure would be harder
than any text, because all distances are then nearly the same. The shares below are set after all-MiniLM-L6-v2 among
68,000 questions of a forum, where the median similarity of the nearest is 0.80, of the third 0.64, of the tenth 0.55,
of the hundredth 0.41 and of any two 0.03; here they are 0.77, 0.59, 0.52, 0.35 and 0.00.
"""

from __future__ import annotations

import hashlib
import io
import struct
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import psycopg2
import sqlalchemy as sa
from numpy.typing import NDArray

from cognition.adapters.codec import encode
from cognition.adapters.postgres import migrate
from cognition.adapters.postgres.rows import pack_text
from cognition.domain.entry import Address
from cognition.domain.semantic import Question, Vector, Vectors, hash_of
from cognition.testing import temporary_servers
from cognition.testing.contracts.samples import an_entry

DIMENSIONS = 384
EMBEDDER = "benchmark@1/384/unit"
TENANT, NAMESPACE = "acme", "support"

# How many rows a group of each level has, and which share of a vector its members have in common.
_LEVELS = ((1000, 0.15), (100, 0.25), (10, 0.15), (2, 0.22))
_OWN_SHARE = 1 - sum(share for _, share in _LEVELS)
_SIMILARITY_ASKED = 0.9  # of a question and the row it was made from
_ANSWER = "It stops calls to a service that fails, and tries again after a while. " * 4

INDEX = "ix_llm_semantic_cache_embedding_384"
_COPY = """
    COPY llm_semantic_cache (
        tenant, namespace, scope_key, key, embedder_fingerprint, embedding, prompt, prompt_hash, model, provider,
        requested_model, payload, payload_bytes, generation, request_id, created_at, expires_at
    ) FROM STDIN (FORMAT binary)
"""
_COPY_HEADER, _COPY_END = b"PGCOPY\n\xff\r\n\0" + bytes(8), struct.pack(">h", -1)
_COPY_ROWS = 50_000
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)  # of PostgreSQL's binary times


@contextmanager
def database() -> Generator[tuple[str, Any]]:
    """Give the URL of a database of our own, and a raw connection to it."""
    with temporary_servers() as servers:
        migrate.upgrade(servers.database_url)
        url = sa.make_url(servers.database_url).set(drivername="postgresql")
        raw: Any = psycopg2.connect(url.render_as_string(hide_password=False))
        raw.autocommit = True
        yield servers.database_url, raw
        raw.close()


class Population:
    """Where vectors come from."""

    def __init__(self, rows: int, seed: int = 0) -> None:
        """Lay out the groups.

        Args:
            rows: How many vectors will be drawn altogether; it decides how many groups there are.
            seed: Of the random numbers.
        """
        self._draw = np.random.default_rng(seed)
        self._groups = np.zeros((1, DIMENSIONS), np.float32)
        for size, share in _LEVELS:
            self._groups = self._members(max(1, rows // size), share)

    def vectors(self, rows: int) -> Vectors:
        """Draw unit vectors."""
        return _unit(self._members(rows, _OWN_SHARE))

    def asked(self, vectors: Vectors) -> Vectors:
        """Draw the vectors of questions that mean nearly what others mean."""
        away = _unit(self._noise(len(vectors)))
        return _unit(_SIMILARITY_ASKED * vectors + np.sqrt(1 - _SIMILARITY_ASKED**2) * away)

    def _members(self, count: int, share: float) -> Vectors:
        """Draw members of random groups that differ by a share."""
        of_group = self._draw.integers(0, len(self._groups), count)
        return (self._groups[of_group] + np.sqrt(share) * _unit(self._noise(count))).astype(np.float32)

    def _noise(self, rows: int) -> Vectors:
        return self._draw.standard_normal((rows, DIMENSIONS), np.float32)


def key_of(number: int) -> bytes:
    """Return the exact key of a row."""
    return hashlib.sha256(b"row %d" % number).digest()


def scope_of(number: int) -> bytes:
    """Return the key of a scope."""
    return hashlib.sha256(b"scope %d" % number).digest()


def question(scope: int, vector: Vector) -> Question:
    """Return a question of a scope."""
    text = "What does a circuit breaker do?"
    return Question(address=Address(TENANT, NAMESPACE, key_of(-1), scope_of(scope)), text=text, vector=vector)


def fill(raw: Any, vectors: Vectors, first: int, scope: Callable[[int], int]) -> None:
    """Add rows without their HNSW index, which must be built by `build_index` afterwards.

    Args:
        raw: The raw connection.
        vectors: One a row.
        first: Number of the first row.
        scope: Returns the number of the scope of a row.
    """
    with raw.cursor() as cursor:
        cursor.execute(f"DROP INDEX IF EXISTS {INDEX}")
        for start in range(0, len(vectors), _COPY_ROWS):
            part = vectors[start : start + _COPY_ROWS]
            numbers = range(first + start, first + start + len(part))
            rows = [_row(number, scope(number), vector) for number, vector in zip(numbers, part, strict=True)]
            cursor.copy_expert(_COPY, io.BytesIO(b"".join([_COPY_HEADER, *rows, _COPY_END])))


def build_index(raw: Any) -> None:
    """Build the HNSW index as the revisions define it, and bring the planner's figures up to date."""
    with raw.cursor() as cursor:
        cursor.execute("SET maintenance_work_mem = '2GB'")
        cursor.execute(
            f"CREATE INDEX {INDEX} ON llm_semantic_cache USING hnsw ((embedding::halfvec(384)) halfvec_cosine_ops)"
            " WITH (m = 16, ef_construction = 64) WHERE dimensions = 384"
        )
        cursor.execute("VACUUM ANALYZE llm_semantic_cache")


def _row(number: int, scope: int, vector: Vector) -> bytes:
    """Return a row in PostgreSQL's binary form: a length and the value, for each column."""
    text = f"What is question {number}?"
    address = Address(TENANT, NAMESPACE, key_of(number), scope_of(scope))
    now = datetime.now(UTC)
    entry = an_entry(address, _ANSWER, created_at=now, expires_at=now + timedelta(days=1))
    payload = encode(entry)
    fields = (
        TENANT.encode(),
        NAMESPACE.encode(),
        address.scope_key,
        address.key,
        EMBEDDER.encode(),
        struct.pack(">hh", DIMENSIONS, 0) + vector.astype(">f2").tobytes(),
        pack_text(text),
        hash_of(text),
        entry.model.encode(),
        b"openai-chat",
        entry.model.encode(),
        payload,
        struct.pack(">i", len(payload)),
        struct.pack(">q", entry.generation),
        bytes.fromhex(entry.request_id),
        _moment(entry.created_at),
        _moment(entry.expires_at),
    )
    return struct.pack(">h", len(fields)) + b"".join(struct.pack(">i", len(field)) + field for field in fields)


def _moment(when: datetime) -> bytes:
    return struct.pack(">q", (when - _EPOCH) // timedelta(microseconds=1))


def _unit(vectors: NDArray[Any]) -> Vectors:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
