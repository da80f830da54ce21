"""PostgreSQL as the durable layer."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import sqlalchemy as sa

from cognition.adapters.postgres.entries import PostgresEntries
from cognition.adapters.postgres.tables import llm_cache
from cognition.domain.entry import Address
from cognition.testing.clock import FakeClock
from cognition.testing.contracts import DurableStoreContract


class TestPostgresEntries(DurableStoreContract):
    """The contract of the durable layer."""

    @pytest.fixture
    def store(self, engine: sa.Engine, clock: FakeClock) -> PostgresEntries:
        """Return an empty store."""
        return PostgresEntries(engine, clock)

    @pytest.fixture
    def plant(self, engine: sa.Engine) -> Callable[[Address, bytes], None]:
        """Return a function that replaces a stored value by any bytes."""

        def plant(address: Address, value: bytes) -> None:
            with engine.begin() as connection:
                here = (llm_cache.c.tenant == address.tenant, llm_cache.c.key == address.key)
                connection.execute(sa.update(llm_cache).where(*here).values(payload=value))

        return plant
