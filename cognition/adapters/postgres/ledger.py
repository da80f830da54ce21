"""The ledger in PostgreSQL: rows are added once, rollups grow in the same transaction."""

from __future__ import annotations

from datetime import datetime, timedelta

import sqlalchemy as sa
from psycopg2 import errors

from cognition.adapters.postgres import reports
from cognition.adapters.postgres.connection import STORE, fetch, ping, transaction
from cognition.adapters.postgres.ledger_writing import Writing
from cognition.domain.ledger import BookedCall, LayerStats, LedgerBatch, ReportLine, ReportQuery, hour_of


class PostgresLedger:
    """The ledger, on PostgreSQL."""

    name = STORE

    def __init__(self, engine: sa.Engine) -> None:
        """Use an engine.

        Args:
            engine: From `connect`.
        """
        self._engine = engine

    def record(self, batch: LedgerBatch) -> None:
        """Write a batch in one transaction; rows that already stand there are skipped.

        When it returns, the batch has reached the disk. All processes lock in one order (rows, counts, entries, each by
        its key), so that none waits for another in a circle.

        Raises:
            CacheUnavailable: The store did not answer; the same batch may be written again.
            LedgerConflict: A row with other contents already stands under the same call key and attempt.
        """
        writing = Writing.of(batch)
        if not writing.statement:
            return
        try:
            fetch(self._engine, writing.statement, writing.parameters, isolated=True)
        except errors.UniqueViolation:
            # Rare: the answer to an earlier commit was lost, or two calls have one id. Nothing was written.
            with transaction(self._engine, limited=True) as connection:
                writing.add_the_rest(connection)

    def find(self, tenant: str, request_id: str) -> BookedCall | None:
        """Return where one call's answer lives in the cache, or None when it was never booked."""
        return reports.find(self._engine, tenant, request_id)

    def report(self, query: ReportQuery) -> list[ReportLine]:
        """Return sums over the ledger, dearest group first."""
        return reports.report(self._engine, query)

    def stats(self, tenant: str, window: timedelta, now: datetime) -> list[LayerStats]:
        """Return how each layer served during a window that ends now; its oldest hour is counted whole."""
        return reports.stats(self._engine, tenant, hour_of(now - window), now)

    def ping(self) -> None:
        """Return when the server answers."""
        ping(self._engine)
