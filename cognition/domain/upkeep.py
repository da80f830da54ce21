"""What the tables of the store take, and when a person should look after one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

LEDGER_DAYS_LEAST: Final = 93
"""How long rows of the ledger are kept at least: a quarter, which is as far as forecasts of budgets look back."""

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
