"""PostgreSQL as the place of shared circuit breakers."""

from __future__ import annotations

import time

import pytest
import sqlalchemy as sa

from cognition.adapters.postgres.breakers import PostgresBreakers
from cognition.domain.breaker import BreakerState
from cognition.domain.breaker_standing import Order
from cognition.testing.contracts import BreakerOrdersContract, BreakerStoreContract
from cognition.testing.contracts.breaker_teller import KEY, Wait


class TestPostgresBreakers(BreakerStoreContract, BreakerOrdersContract):
    """The contract of shared breakers."""

    @pytest.fixture
    def breakers(self, engine: sa.Engine) -> PostgresBreakers:
        """Return a store without breakers."""
        return PostgresBreakers(engine, "acme")

    @pytest.fixture
    def wait(self) -> Wait:
        """Sleep: breakers are timed by the database's clock."""
        return time.sleep

    def test_tenants_are_apart(self, engine: sa.Engine, breakers: PostgresBreakers) -> None:
        """What one tenant orders, another one neither sees nor feels."""
        other = PostgresBreakers(engine, "umbrella")
        breakers.obey(KEY, Order(BreakerState.FORCED_OPEN, "alice", "maintenance"))
        assert [BreakerState.CLOSED] == [one.state for one in other.look([KEY])]
        assert ([], []) == (other.standings(), other.history(None, 10))
