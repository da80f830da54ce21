"""PostgreSQL as the ledger."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from cognition.adapters.postgres.connection import connect
from cognition.adapters.postgres.ledger import PostgresLedger
from cognition.testing.contracts import LedgerContract


class TestPostgresLedger(LedgerContract):
    """The contract of the ledger."""

    @pytest.fixture
    def ledger(self, database_url: str) -> Generator[PostgresLedger]:
        """Return an empty ledger."""
        engine = connect(database_url)
        yield PostgresLedger(engine)
        engine.dispose()
