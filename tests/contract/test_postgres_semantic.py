"""PostgreSQL with pgvector as the semantic layer."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from cognition.adapters.postgres.entries import PostgresEntries
from cognition.adapters.postgres.pairs import PostgresPairs
from cognition.adapters.postgres.semantic_entries import PostgresSemanticEntries
from cognition.adapters.postgres.tables import llm_semantic_cache
from cognition.domain.semantic import Question
from cognition.testing.clock import FakeClock
from cognition.testing.contracts import PairStoreContract, SemanticInvalidationContract, SemanticStoreContract
from cognition.testing.contracts.semantic import Plant


@pytest.fixture
def pairs(engine: sa.Engine) -> PostgresPairs:
    """Return a store without pairs."""
    return PostgresPairs(engine)


@pytest.fixture
def store(engine: sa.Engine, clock: FakeClock) -> PostgresSemanticEntries:
    """Return an empty store."""
    return PostgresSemanticEntries(engine, clock)


@pytest.fixture
def durable(engine: sa.Engine, clock: FakeClock) -> PostgresEntries:
    """Return the durable layer of the same database."""
    return PostgresEntries(engine, clock)


@pytest.fixture
def plant(engine: sa.Engine) -> Plant:
    """Return a function that replaces a stored value by any bytes."""

    def plant(fingerprint: str, question: Question, value: bytes) -> None:
        row, address = llm_semantic_cache.c, question.address
        here = (row.tenant == address.tenant, row.key == address.key, row.embedder_fingerprint == fingerprint)
        with engine.begin() as connection:
            connection.execute(sa.update(llm_semantic_cache).where(*here).values(payload=value))

    return plant


class TestSemanticEntries(SemanticStoreContract, SemanticInvalidationContract):
    """The contract of the semantic layer, in scopes that are scanned."""


class TestThroughTheIndex(SemanticStoreContract):
    """The same where every scope counts as large and is left to the index."""

    @pytest.fixture
    def store(self, engine: sa.Engine, clock: FakeClock) -> PostgresSemanticEntries:
        """Return an empty store that scans no scope."""
        return PostgresSemanticEntries(engine, clock, exact_rows=0)


class TestPairs(PairStoreContract):
    """The contract of pairs."""
