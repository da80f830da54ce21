"""What the tables of the store take, and when a person should look after one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from math import isqrt
from typing import Final

LEDGER_DAYS_LEAST: Final = 93
"""How long rows of the ledger are kept at least: a quarter, which is as far as forecasts of budgets look back."""

BULK_ROWS: Final = 100_000
"""From how many vectors on an IVFFlat index is worth its while; below, HNSW or an exact scan finds more as quickly."""

_MILLION: Final = 1_000_000
_DEAD_SHARE: Final = 0.3  # autovacuum's own default begins at a fifth
_DEAD_ROWS: Final = 10_000
_UNSEEN: Final = timedelta(days=7)
_MANY_ROWS: Final = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class TableHealth:
    """One table, as PostgreSQL's statistics tell.

    Attributes:
        name: Which.
        rows: How many live rows, estimated.
        dead_rows: How many rows wait for VACUUM, estimated.
        total_bytes: What it takes on disk, indexes included.
        index_bytes: What its indexes take.
        vacuumed_at: When it was last vacuumed, by itself or by a person; None when never.
        analysed_at: When its statistics were last taken; None when never.
    """

    name: str
    rows: int
    dead_rows: int
    total_bytes: int
    index_bytes: int
    vacuumed_at: datetime | None
    analysed_at: datetime | None

    def advice(self, now: datetime) -> str | None:
        """Return what to do about it, None when nothing."""
        if self.dead_rows >= _DEAD_ROWS and self.dead_rows > _DEAD_SHARE * (self.rows + self.dead_rows):
            return (
                f"VACUUM (ANALYZE) {self.name}; {self.dead_rows:,} of {self.rows + self.dead_rows:,} rows are dead, and"
                " autovacuum does not keep up: lower its autovacuum_vacuum_scale_factor."
            )
        if self.rows >= _MANY_ROWS and (self.analysed_at is None or now - self.analysed_at > _UNSEEN):
            since = f"since {self.analysed_at:%Y-%m-%d}" if self.analysed_at else "ever"
            return f"ANALYZE {self.name}; PostgreSQL has not looked at its {self.rows:,} rows {since}."
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class VectorIndex:
    """How the vectors of one length are searched in L3.

    Attributes:
        dimensions: Their length.
        rows: How many there are.
        other: Name of an index that finds them and is no IVFFlat index of ours, such as the HNSW index of common
            lengths; None when there is none.
        lists: Of our IVFFlat index; None when there is none, or an unfinished one.
    """

    dimensions: int
    rows: int
    other: str | None
    lists: int | None

    @property
    def is_bulk(self) -> bool:
        """Whether there are enough vectors for an IVFFlat index."""
        return self.rows >= BULK_ROWS

    @property
    def wanted_lists(self) -> int:
        """Into how many groups the vectors should be sorted.

        pgvector's rule (README, IVFFlat): a thousandth of the rows, and above a million rows their square root.
        """
        return max(1, self.rows // 1000 if self.rows <= _MILLION else isqrt(self.rows))

    @property
    def is_due(self) -> bool:
        """Whether an IVFFlat index should be built, or built again because its groups were made of far fewer rows."""
        if self.other is not None or not self.is_bulk:
            return False
        return self.lists is None or self.wanted_lists >= 2 * self.lists

    @property
    def standing(self) -> str:
        """How they are searched, in a sentence."""
        if self.other is not None:
            how = f"found by the index {self.other}"
        elif self.lists is not None:
            how = f"found by an IVFFlat index of {self.lists:,} lists"
        else:
            how = "searched one by one"
        return f"{self.rows:,} vectors of {self.dimensions} dimensions are {how}."

    def advice(self) -> str | None:
        """Return what to do about it, None when nothing."""
        if not self.is_due:
            return None
        return f"cognition cache build-index, or maintain_store with build_index; {self.standing}"
