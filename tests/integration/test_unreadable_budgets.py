"""A budget that this process cannot read limits those whom it limits, and nobody else."""

from __future__ import annotations

from collections.abc import Generator
from decimal import Decimal

import pytest
import sqlalchemy as sa

from cognition.adapters.postgres.budgets import PostgresBudgets
from cognition.domain.budget import Budget
from cognition.resilience.store_breaker import Guarded, StoreBreaker
from cognition.services.known_budgets import KnownBudgets
from cognition.testing.contracts.budget_spender import ALICE, Spender, outcomes

BOB = Budget(scope="user", subject="bob", limit_usd="1", period="lifetime")


@pytest.fixture
def budgets(engine: sa.Engine) -> PostgresBudgets:
    """Return a store with a budget of Bob, and one of Alice in a time zone that PostgreSQL alone knows."""
    store = PostgresBudgets(engine, "acme")
    store.put(BOB, "bob")
    Spender(store).put()
    with engine.connect() as connection:
        connection.execute(sa.text("UPDATE user_budgets SET timezone = 'CET' WHERE subject = 'alice'"))
    return store


@pytest.fixture
def known(budgets: PostgresBudgets) -> Generator[KnownBudgets]:
    """Return what a new worker knows of them."""
    breaker = StoreBreaker("budgets", budgets.ping, lambda _: None)
    known = KnownBudgets(Guarded(budgets, breaker))
    known.refresh()
    yield known
    breaker.close()


def test_the_others_spend_as_before(budgets: PostgresBudgets, known: KnownBudgets) -> None:
    """A worker that starts now is told about their budgets, or that they have none."""
    assert known.is_fresh
    assert [BOB.limit_usd] == [budget.limit_usd for budget, _ in known.applicable({"user": "bob"}) or ()]
    assert [] == known.applicable({"user": "carol", "team": "support"})
    assert ["bob"] == [budget.subject for budget in budgets.budgets()]


def test_the_database_decides_by_it(budgets: PostgresBudgets, known: KnownBudgets) -> None:
    """Whom it limits is not said to be free, and is refused beyond the limit."""
    assert known.applicable(ALICE) is None
    spender = Spender(budgets)
    spender.spend("0.90")
    assert {"user": "refused"} == outcomes(spender.reserve("0.11"))
    assert Decimal("0.1") == spender.standing().remaining_usd


def test_one_that_is_off_limits_nobody(engine: sa.Engine, budgets: PostgresBudgets) -> None:
    """Nobody needs to read it."""
    with engine.connect() as connection:
        connection.execute(sa.text("UPDATE user_budgets SET active = false WHERE subject = 'alice'"))
    assert frozenset() == budgets.kept().unreadable


def test_it_is_logged_once(budgets: PostgresBudgets, caplog: pytest.LogCaptureFixture) -> None:
    """With its id, and what is wrong with it."""
    for _ in range(3):
        budgets.budgets()
    (record,) = caplog.records
    assert record.message.startswith("Budget ")
    assert "There is no time zone 'CET'" in record.message
