"""PostgreSQL as the place of leases."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
import sqlalchemy as sa

from cognition.adapters.postgres.leases import PostgresLeases
from cognition.adapters.postgres.tables import single_flight_lease
from cognition.testing.contracts import LeaseStoreContract
from cognition.testing.contracts.samples import an_address


class TestPostgresLeases(LeaseStoreContract):
    """The contract of leases."""

    @pytest.fixture
    def leases(self, engine: sa.Engine) -> PostgresLeases:
        """Return a store without leases."""
        return PostgresLeases(engine)

    @pytest.fixture
    def wait(self) -> Callable[[float], None]:
        """Sleep: leases are timed by the database's clock."""
        return time.sleep

    def test_old_leases_are_purged(
        self, engine: sa.Engine, leases: PostgresLeases, wait: Callable[[float], None]
    ) -> None:
        """Whoever takes a lease removes some that ran out, so that nobody has to clean up."""
        for number in range(8):
            leases.acquire(an_address(f"question {number}"), "dead", 0.05)
        wait(0.1)
        leases.acquire(an_address("question 3"), "living", 60)
        with engine.connect() as connection:
            assert ["living"] == list(connection.execute(sa.select(single_flight_lease.c.token)).scalars())
