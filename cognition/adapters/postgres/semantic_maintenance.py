"""Looking after L3: moving rows to another embedder, an index for bulk tables, purging, sizes.

Nothing here is in the path of a call.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from psycopg2.errors import ProgramLimitExceeded

from cognition.adapters.postgres.connection import connected, fetch, transaction
from cognition.adapters.postgres.maintenance_statements import (
    FOREIGN,
    IS_BUILDING,
    LOCK_NAMESPACES,
    MOVE,
    PURGE_PAIRS,
    PURGE_VECTORS,
    REMOVE,
    ROWS,
    SIZES,
    VECTOR_INDEX,
    create_ivfflat,
    drop,
    ivfflat,
    new_ivfflat,
    take_over,
)
from cognition.adapters.postgres.purging import in_parts
from cognition.adapters.postgres.rows import unpack_text, vector_text
from cognition.domain.semantic import ForeignRow, Vector
from cognition.domain.upkeep import BULK_ROWS, VectorIndex
from cognition.errors import CacheUnavailable, ConfigurationError, EntryCorrupted
from cognition.ports import Clock

_DIMENSIONS_MAX = 4000  # of a `halfvec` that pgvector can index
_LISTS_MAX = 32768  # pgvector's own limit


@dataclass(frozen=True, slots=True)
class SemanticSizes:
    """What L3 takes.

    Attributes:
        rows: How many rows there are, by the fingerprint of their embedder.
        table_bytes: Size on disk without indexes.
        index_bytes: Size on disk by the name of the index.
    """

    rows: Mapping[str, int]
    table_bytes: int
    index_bytes: Mapping[str, int]


class SemanticMaintenance:
    """Maintenance of the semantic layer, on PostgreSQL with pgvector."""

    def __init__(self, engine: sa.Engine, clock: Clock) -> None:
        """Use an engine.

        Args:
            engine: From `connect`.
            clock: Tells which entries have expired.
        """
        self._engine = engine
        self._clock = clock

    def foreign(self, fingerprint: str, limit: int, after: int = 0) -> list[ForeignRow]:
        """Return rows of other embedders, oldest first, whose question has no row of this one; of all tenants.

        Rows whose text cannot be read are removed and left out.

        Args:
            fingerprint: Of the embedder that is used now.
            limit: How many rows at most.
            after: Only rows with a greater id: how to get past those that the new embedder cannot take.
        """
        while True:
            wanted = {"fingerprint": fingerprint, "after": after, "size": limit, "now": self._clock()}
            found = fetch(self._engine, FOREIGN, wanted)
            readable: list[ForeignRow] = []
            broken: list[int] = []
            for number, tenant, prompt in found:
                try:
                    readable.append(ForeignRow(number, tenant, unpack_text(bytes(prompt))))
                except EntryCorrupted:
                    broken.append(number)
            if broken:
                fetch(self._engine, REMOVE, {"ids": broken})
            if readable or not found:
                return readable

    def replace(self, fingerprint: str, vectors: Mapping[int, Vector]) -> int:
        """Give rows the vectors of another embedder, in one transaction; return how many were still there.

        A row that was invalidated meanwhile stays gone, and one that was stored anew stays as it is.

        Args:
            fingerprint: Of the embedder that made the vectors.
            vectors: By the id of the row.
        """
        if not vectors:
            return 0
        rows = {"id": list(vectors), "vector": [vector_text(vector) for vector in vectors.values()]}
        with transaction(self._engine, limited=True) as connection:
            # As for every other writer: an invalidation comes before or after, never between.
            connection.exec_driver_sql(LOCK_NAMESPACES, rows)
            return connection.exec_driver_sql(MOVE, {**rows, "fingerprint": fingerprint}).scalar_one()

    def vector_index(self, dimensions: int) -> VectorIndex:
        """Return how the vectors of one length are searched; reads the whole table."""
        asked = {"dimensions": dimensions, "names": [ivfflat(dimensions), new_ivfflat(dimensions)]}
        with connected(self._engine) as connection:
            rows, other, lists = connection.exec_driver_sql(VECTOR_INDEX, asked).one()
        return VectorIndex(dimensions=dimensions, rows=rows, other=other, lists=lists)

    def build_ivfflat(self, dimensions: int, lists: int | None = None) -> str:
        """Build an IVFFlat index for vectors of one length, while others read and write; return its name.

        For bulk-loaded tables whose vectors have no HNSW index, or where building one takes too long. Its lists are
        made of the vectors that are there, so it is built after loading, and again when their number has doubled.
        Look-ups use the old one until the new one is there; whatever ends a build leaves the old one as it was.

        Args:
            dimensions: Length of the vectors.
            lists: How many groups the vectors are sorted into; None for `VectorIndex.wanted_lists`.

        Raises:
            ConfigurationError: There are too few vectors, somebody builds already, or the server may not use enough
                memory to sort them.
            CacheUnavailable: The server does not answer, or gave the build up.
        """
        if not 1 <= dimensions <= _DIMENSIONS_MAX or not 1 <= (1 if lists is None else lists) <= _LISTS_MAX:
            raise ConfigurationError(
                f"An IVFFlat index has 1 to {_LISTS_MAX} lists of vectors of 1 to {_DIMENSIONS_MAX} dimensions."
            )
        present = self.vector_index(dimensions)
        if not present.is_bulk:
            raise ConfigurationError(
                f"There are fewer than {BULK_ROWS:,} vectors of {dimensions} dimensions, too few for an IVFFlat index;"
                " load the table first, or leave it to HNSW and exact scans."
            )
        if not self._drop_unfinished(dimensions):
            raise ConfigurationError("An index is being built already; try again when it is done.")
        try:
            with connected(self._engine) as connection:
                connection.exec_driver_sql(create_ivfflat(dimensions, lists or present.wanted_lists))
        except CacheUnavailable as error:
            self._drop_unfinished(dimensions)  # it would be written to, but never read
            if isinstance(error.__cause__, ProgramLimitExceeded):
                reason = str(error.__cause__).strip()
                raise ConfigurationError(
                    f"PostgreSQL may not use enough memory to sort the vectors ({reason}): raise it with ALTER ROLE"
                    " CURRENT_USER SET maintenance_work_mem, or build fewer lists."
                ) from error
            raise
        with transaction(self._engine, limited=True) as connection:
            connection.exec_driver_sql(take_over(dimensions))
        return ivfflat(dimensions)

    def drop_ivfflat(self, dimensions: int) -> None:
        """Drop the IVFFlat index of vectors of one length, if there is one, while others read and write."""
        with connected(self._engine) as connection:
            for name in (ivfflat(dimensions), new_ivfflat(dimensions)):
                connection.exec_driver_sql(drop(name))

    def _drop_unfinished(self, dimensions: int) -> bool:
        """Drop what a build left that was killed; return False when somebody builds an index now, which it may be."""
        with connected(self._engine) as connection:
            if connection.exec_driver_sql(IS_BUILDING).scalar_one():
                return False
            connection.exec_driver_sql(drop(new_ivfflat(dimensions)))
        return True

    def purge(self, before: datetime, limit: int) -> int:
        """Delete up to `limit` vectors and pairs that were last used and met before a time; return how many.

        Verdicts and blocked pairs stay.
        """
        purged = 0
        for statement in (PURGE_VECTORS, PURGE_PAIRS):
            purged += in_parts(self._engine, statement, {"before": before}, limit - purged)
        return purged

    def sizes(self) -> SemanticSizes:
        """Return what L3 takes; reads the whole table."""
        ((table_bytes, index_bytes),) = fetch(self._engine, SIZES, {})
        return SemanticSizes(dict(fetch(self._engine, ROWS, {})), table_bytes, index_bytes)
