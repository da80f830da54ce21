"""PostgreSQL as the place where budgets are administered."""

from __future__ import annotations

import time
from datetime import timedelta
from decimal import Decimal
from functools import partial

import pytest
import sqlalchemy as sa

from cognition.adapters.postgres.budget_admin import PostgresBudgetAdmin
from cognition.adapters.postgres.budgets import PostgresBudgets
from cognition.adapters.postgres.ledger import PostgresLedger
from cognition.domain.adjustment import CounterName
from cognition.domain.budget_alert import ALERT_STATES
from cognition.testing.contracts import BudgetAdminContract, BudgetUpkeepContract
from cognition.testing.contracts.budget_admin import DAY, MANDATE, Later
from cognition.testing.contracts.budget_spender import Spender, Wait
from cognition.testing.contracts.budget_upkeep import Miscount
from tests.older_budgets import grow_old


class TestPostgresBudgetAdmin(BudgetAdminContract, BudgetUpkeepContract):
    """The contracts of administering budgets."""

    @pytest.fixture
    def budgets(self, engine: sa.Engine) -> PostgresBudgets:
        """Return a store without budgets."""
        return PostgresBudgets(engine, "acme")

    @pytest.fixture
    def admin(self, engine: sa.Engine) -> PostgresBudgetAdmin:
        """Return what administers it."""
        return PostgresBudgetAdmin(engine, "acme")

    @pytest.fixture
    def ledger(self, engine: sa.Engine) -> PostgresLedger:
        """Return an empty ledger in the same database."""
        return PostgresLedger(engine)

    @pytest.fixture
    def wait(self) -> Wait:
        """Sleep: leases are timed by the database's clock."""
        return time.sleep

    @pytest.fixture
    def later(self, engine: sa.Engine) -> Later:
        """Make everything older: the database's clock cannot be set."""
        return partial(grow_old, engine)

    @pytest.fixture
    def miscount(self, engine: sa.Engine) -> Miscount:
        """Add to a figure of every counter."""

        def add(figure: str, usd: Decimal) -> None:
            with engine.connect() as connection:
                column = f"{figure}_usd"
                statement = f"UPDATE budget_periods SET {column} = {column} + :usd"  # noqa: S608  a word of ours
                connection.execute(sa.text(statement), {"usd": usd})

        return add

    def test_tenants_are_apart(self, engine: sa.Engine, spender: Spender, later: Later) -> None:
        """Nobody adjusts, sees, closes or purges what is another tenant's."""
        alice = CounterName(spender.put(period="daily"), "alice")
        spender.spend("0.90")
        later(DAY)
        own, other = PostgresBudgetAdmin(engine, "acme"), PostgresBudgetAdmin(engine, "umbrella")
        (alert,) = own.alerts(ALERT_STATES, 10)
        assert ([], []) == (other.reset(alice, MANDATE), other.raise_limit(alice, Decimal(1), MANDATE))
        assert ([], [], []) == (other.alerts(ALERT_STATES, 10), other.claim_alerts(10), other.standings(10))
        assert (None, None) == (other.acknowledge(alert.alert_id, "eve", ""), other.resolve(alert.alert_id, "eve", ""))
        assert ([], [], 0) == (other.close_periods(10), other.reconcile(MANDATE), other.purge(timedelta(0), 10))
        assert 1 == len(own.close_periods(10))
        assert 1 == own.purge(timedelta(0), 10)

    def test_the_last_reset_of_a_budget_is_known(self, engine: sa.Engine, spender: Spender, later: Later) -> None:
        """The end of the last period that was closed, whenever that was done; or when somebody reset it."""
        alice = CounterName(spender.put(period="daily"), "alice")
        spender.spend("0.90")
        last_reset = sa.text("SELECT last_reset FROM user_budgets")
        admin = PostgresBudgetAdmin(engine, "acme")
        later(3 * DAY)
        (closed,) = admin.close_periods(10)
        with engine.connect() as connection:
            assert closed.period_end == connection.scalar(last_reset)
            admin.reset(alice, MANDATE)
            assert connection.scalar(sa.text("SELECT last_reset > now() - interval '1 minute' FROM user_budgets"))
