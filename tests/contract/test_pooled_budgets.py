"""Budgets behind pgBouncer in transaction mode, where no two transactions need have the same session."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import pytest
import sqlalchemy as sa

from cognition.adapters.postgres.connection import connect
from tests.contract import test_postgres_budget_admin as administered
from tests.contract import test_postgres_budgets as direct
from tests.pgbouncer import pgbouncer, through


@pytest.fixture(scope="module")
def pool(template_url: str) -> Generator[Path]:
    """Return the folder of a running pgBouncer."""
    with pgbouncer(template_url) as folder:
        yield folder


@pytest.fixture
def engine(pool: Path, database_url: str) -> Generator[sa.Engine]:
    """Return the connections of a store on an empty database, through the pool."""
    engine = connect(through(pool, database_url))
    yield engine
    engine.dispose()


class TestPooledBudgets(direct.TestPostgresBudgets):
    """The contract of budgets."""


class TestPooledBudgetAdmin(administered.TestPostgresBudgetAdmin):
    """The contracts of administering budgets."""
