"""What `cognition doctor` says about budgets, and when it says nothing."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from cognition.domain.adjustment import Lapsed
from cognition.domain.budget import Budget
from cognition.domain.budget_alert import Alert
from cognition.domain.budget_trouble import held_by_the_dead, undelivered, unpriced

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
ALERT = Alert(
    alert_id=UUID(int=1),
    budget_id=UUID(int=2),
    scope="user",
    subject="alice",
    period="daily",
    period_start=NOW - 12 * HOUR,
    threshold=Decimal(1),
    limit_usd=Decimal(5),
    used_usd=Decimal(5),
    reserved_usd=Decimal(0),
    state="open",
    acknowledged_by=None,
    acknowledged_at=None,
    note=None,
    resolved_at=None,
    deliveries=0,
    delivered_at=None,
    created_at=NOW - 2 * HOUR,
)


def budget(**changes: Any) -> Budget:
    """Return a budget that refuses what it cannot price."""
    named: dict[str, Any] = {"scope": "workflow", "subject": "nightly", "limit_usd": "5", "period": "daily"}
    return Budget(**named | changes)


def is_priced(model: str) -> bool:
    """Return whether somebody knows the price."""
    return model == "openai:known"


@pytest.mark.parametrize(
    ("budgets", "models", "said"),
    [
        ([budget()], ["openai:own"], "the price of openai:own, so that workflow:nightly:daily refuses its calls: set"),
        ([budget(), budget(subject="*")], ["openai:own"], "workflow:nightly:daily and 1 more budgets refuse its calls"),
        ([budget(scope="model", subject="openai:own")], [], "the price of openai:own, so that model:openai:own:daily"),
        (
            [budget(on_soft="downgrade", downgrade_to="openai:own")],
            ["openai:known"],
            "nobody knows the price of openai:own",
        ),
    ],
)
def test_a_budget_that_refuses_is_named(budgets: list[Budget], models: list[str], said: str) -> None:
    """With the model, whether calls ask it by default, a budget is made for it, or one leads to it."""
    assert said in str(unpriced(budgets, models, is_priced))


@pytest.mark.parametrize(
    ("budgets", "models"),
    [
        ([], ["openai:own"]),
        ([budget()], ["openai:known"]),
        ([budget(active=False)], ["openai:own"]),
        ([budget(on_unknown_price="allow")], ["openai:own"]),
        ([budget(scope="model", subject="openai:known")], ["openai:own"]),
        ([budget(scope="model", subject="*")], []),
    ],
)
def test_a_budget_that_refuses_nothing_is_not_named(budgets: list[Budget], models: list[str]) -> None:
    """One that is off, that lets such calls pass, or that has nothing to do with them."""
    assert unpriced(budgets, models, is_priced) is None


def test_alerts_that_nobody_was_told_of_are_counted() -> None:
    """The oldest is named; new ones are given the time that delivering takes."""
    older = replace(ALERT, created_at=NOW - 3 * HOUR, subject="bob")

    said = undelivered([ALERT, older, replace(ALERT, created_at=NOW)], NOW)

    assert str(said).startswith("2 alerts are over an hour old, the oldest of the daily budget of user bob, and nobody")
    assert undelivered([replace(ALERT, delivered_at=NOW), replace(ALERT, created_at=NOW)], NOW) is None


def test_money_of_the_dead_is_told() -> None:
    """With the command that gives it back."""
    assert "'cognition budget close'" in str(held_by_the_dead(Lapsed(3, Decimal("0.30"))))
    assert held_by_the_dead(Lapsed(0, Decimal(0))) is None
