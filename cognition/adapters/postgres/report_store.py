"""What reports read from PostgreSQL: sums of the ledger and of the rollups, never their rows."""

from __future__ import annotations

import sqlalchemy as sa

from cognition.adapters.postgres.charges import charges
from cognition.domain.charges import ChargeQuery, Charges


class PostgresReports:
    """Sums of the ledger, on PostgreSQL."""

    def __init__(self, engine: sa.Engine) -> None:
        """Use an engine.

        Args:
            engine: From `connect`.
        """
        self._engine = engine

    def charges(self, query: ChargeQuery) -> Charges:
        """Return the sums of the whole and of its parts, for each cut, of one moment."""
        return charges(self._engine, query)
