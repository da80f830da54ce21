"""PostgreSQL as the place of budgets."""

from __future__ import annotations

import time
from decimal import Decimal

import pytest
import sqlalchemy as sa

from cognition.adapters.postgres.budgets import PostgresBudgets
from cognition.adapters.postgres.ledger import PostgresLedger
from cognition.testing.contracts import BudgetLedgerContract, BudgetRulesContract, BudgetStoreContract
from cognition.testing.contracts.budget_spender import ALICE, Spender, Wait, amounts


class TestPostgresBudgets(BudgetStoreContract, BudgetRulesContract, BudgetLedgerContract):
    """The contract of budgets."""

    @pytest.fixture
    def budgets(self, engine: sa.Engine) -> PostgresBudgets:
        """Return a store without budgets."""
        return PostgresBudgets(engine, "acme")

    @pytest.fixture
    def ledger(self, engine: sa.Engine) -> PostgresLedger:
        """Return an empty ledger in the same database."""
        return PostgresLedger(engine)

    @pytest.fixture
    def wait(self) -> Wait:
        """Sleep: leases are timed by the database's clock."""
        return time.sleep

    def test_tenants_are_apart(self, engine: sa.Engine, spender: Spender) -> None:
        """What one tenant may spend limits no other."""
        spender.put()
        attempt = spender.hold("0.90")
        other = Spender(PostgresBudgets(engine, "umbrella"))
        assert ([], [], ()) == (other.store.budgets(), other.store.look(ALICE), other.reserve("5").shares)
        assert ((), False) == (other.settle(attempt, "0.90").shares, other.store.release(attempt))
        assert set() == other.store.renew([attempt], attempt_lease := spender.claim("0").lease)
        assert {attempt} == spender.store.renew([attempt], attempt_lease)
        assert amounts("0", "0.9") == spender.figures()

    def test_counters_rows_and_alerts_agree(self, engine: sa.Engine, spender: Spender) -> None:
        """Used is the sum of what was settled, reserved that of what is held, and an alert waits to be delivered."""
        spender.put()
        spender.put(scope="team", subject="support", limit_usd="10")
        spender.hold("0.05")
        for usd in ("0.111111111", "0.222222222", "0.5"):
            spender.spend(usd)
        spender.store.release(spender.hold("0.1"))
        with engine.connect() as connection:
            differences = connection.execute(sa.text(_DIFFERENCES)).all()
            alerts = connection.execute(sa.text(_ALERTS)).all()
        assert [] == differences
        assert [("user", "alice", Decimal("0.8"), "open", None)] == [tuple(row) for row in alerts]


_DIFFERENCES = """
    SELECT c.* FROM budget_periods AS c
    LEFT JOIN LATERAL (
        SELECT
            coalesce(sum(r.settled_usd), 0) AS used,
            coalesce(sum(r.estimate_usd) FILTER (WHERE r.state = 'held'), 0) AS reserved,
            count(r.settled_usd) AS calls
        FROM budget_reservations AS r
        WHERE r.tenant = c.tenant AND r.budget_id = c.budget_id AND r.subject = c.subject
            AND r.period_start = c.period_start
    ) AS s ON true
    WHERE (c.used_usd, c.reserved_usd, c.calls) <> (s.used, s.reserved, s.calls)
"""
_ALERTS = """
    SELECT b.scope, a.subject, a.threshold, a.state, a.delivered_at
    FROM budget_alerts AS a JOIN user_budgets AS b USING (tenant, budget_id)
"""
