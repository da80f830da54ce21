"""What people do to budgets holds for calls, and what calls leave behind can be proven."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest

from cognition import Attribution, Budget, Cognition
from cognition.domain.budget_alert import Alert
from cognition.errors import BudgetExceeded
from cognition.testing import Fault
from tests.integration.engine.stage import Stage

# 1000 tokens in and 100 out, at the public price of $0.25 and $2.00 a million.
COST = Decimal("0.00045")
ALICE = Attribution(user="alice", team="support")
TWO_CALLS = "0.001"
BY = {"by": "bob", "reason": "a demo"}


def ask(stage: Stage, engine: Cognition, times: int = 1, **options: Any) -> None:
    """Ask something new each time, as Alice."""
    for _ in range(times):
        stage.ask(engine, uuid4().hex, settings={"max_tokens": 100}, attribution=ALICE, **options)


def test_a_refused_call_is_admitted_after_a_raise_a_reset_or_a_transfer(stage: Stage) -> None:
    """In another process too, at once; each lets as many calls pass as it pays for."""
    here = stage.open()
    here.budgets.set(Budget(scope="user", limit_usd=TWO_CALLS, period="lifetime"))
    here.budgets.set(Budget(scope="team", limit_usd="1", period="lifetime"))
    there = stage.open()  # a process that runs already learns of a new budget within a second
    for adjust in (
        lambda: here.budgets.raise_limit("user:alice", TWO_CALLS, **BY),
        lambda: here.budgets.reset("user:alice", **BY),
        lambda: here.budgets.transfer("team:support", "user:alice", TWO_CALLS, **BY),
    ):
        with pytest.raises(BudgetExceeded, match="lifetime budget of user alice"):
            ask(stage, there, times=20)
        adjust()
        ask(stage, there)
    assert [] == here.budgets.reconcile()


def test_calls_leave_counters_that_their_rows_explain(stage: Stage) -> None:
    """Answers, errors that were retried, errors to the end, refusals and cache hits: not a billionth is missing."""
    engine = stage.open()
    engine.budgets.set(Budget(scope="user", limit_usd="0.004", period="daily", timezone="Europe/Berlin"))
    engine.budgets.set(Budget(scope="tenant", limit_usd="1", period="rolling", length=timedelta(hours=3)))
    stage.provider.script(Fault(status=500), Fault(status=500))
    ask(stage, engine, times=3)
    for _ in range(2):
        stage.ask(engine, "Why?", settings={"max_tokens": 100}, attribution=ALICE)
    with pytest.raises(BudgetExceeded):
        ask(stage, engine, times=20)

    engine.ledger.flush()
    assert [] == engine.budgets.reconcile()
    (line,) = engine.ledger.report(("user",))
    assert {line.cost_usd} == {one.used_usd for one in engine.budgets.status(user="alice")}
    assert {Decimal(0)} == {one.reserved_usd for one in engine.budgets.status(user="alice")}
    assert 0 == line.cost_usd % COST
    assert line.hits == 1


def test_alerts_of_calls_are_delivered_by_any_process(stage: Stage) -> None:
    """Once, whoever caused them."""
    here, there = stage.open(), stage.open()
    here.budgets.set(Budget(scope="user", limit_usd=TWO_CALLS, period="lifetime"))
    ask(stage, here, times=2)
    delivered: list[Alert] = []
    counts = [engine.budgets.deliver(delivered.append).delivered for engine in (there, here)]
    assert [1, 0] == counts
    assert [("alice", Decimal("0.8"), 2 * COST)] == [(one.subject, one.threshold, one.used_usd) for one in delivered]
