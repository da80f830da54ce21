"""Looking after the whole store: what nobody needs any more, and what the tables take."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa

from cognition.adapters.postgres.connection import fetch
from cognition.adapters.postgres.retention import roll_up
from cognition.adapters.postgres.semantic_maintenance import SemanticMaintenance
from cognition.adapters.postgres.tables import metadata
from cognition.domain.upkeep import TableHealth
from cognition.ports import Clock

TABLES = """
SELECT relname, n_live_tup, n_dead_tup, pg_total_relation_size(relid), pg_indexes_size(relid),
    greatest(last_vacuum, last_autovacuum), greatest(last_analyze, last_autoanalyze)
FROM pg_stat_user_tables
WHERE schemaname = ANY (current_schemas(false)) AND relname = ANY (%(names)s)
ORDER BY 4 DESC, relname
"""


class PostgresUpkeep:
    """Upkeep of the tables, on PostgreSQL."""

    def __init__(self, engine: sa.Engine, tenant: str, clock: Clock) -> None:
        """Use an engine.

        Args:
            engine: From `connect`.
            tenant: Whose ledger is looked after; the cache is everybody's.
            clock: Returns the present time.
        """
        self._engine = engine
        self._tenant = tenant
        self._semantic = SemanticMaintenance(engine, clock)

    def purge_semantic(self, before: datetime, limit: int) -> int:
        """Delete up to `limit` vectors and pairs that were last used and met before a time; return how many."""
        return self._semantic.purge(before, limit)

    def roll_up(self, before: datetime, limit: int) -> int:
        """Add up to `limit` ledger rows from before a time to the history, and delete them; return how many."""
        return roll_up(self._engine, self._tenant, before, limit)

    def tables(self) -> list[TableHealth]:
        """Return what the tables take, largest first."""
        return [
            TableHealth(
                name=name,
                rows=rows,
                dead_rows=dead,
                total_bytes=total,
                index_bytes=indexes,
                vacuumed_at=vacuumed,
                analysed_at=analysed,
            )
            for name, rows, dead, total, indexes, vacuumed, analysed in fetch(
                self._engine, TABLES, {"names": list(metadata.tables)}
            )
        ]
