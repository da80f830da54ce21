"""A budget that could not be enforced is refused when it is written, with one sentence that says what to write."""

from __future__ import annotations

import pickle
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from cognition.domain.budget import Budget
from cognition.errors import ConfigurationError

NIGHTLY = Budget(scope="workflow", subject="nightly", limit_usd="5.00", period="daily")


def test_money_is_kept_exactly_as_written() -> None:
    """A tenth is a tenth, with nine places as the database keeps it."""
    budget = replace(NIGHTLY, limit_usd="0.1")

    assert Decimal("0.100000000") == budget.limit_usd
    assert Decimal("0.3") == budget.limit_usd * 3
    assert isinstance(replace(NIGHTLY, limit_usd=5).limit_usd, Decimal)
    assert Decimal("0.8") == NIGHTLY.soft_limit


def test_a_budget_survives_pickle_and_compares_by_value() -> None:
    """Blocks and tasks send it between processes."""
    assert pickle.loads(pickle.dumps(NIGHTLY)) == NIGHTLY  # noqa: S301  our own
    assert replace(NIGHTLY, limit_usd="5") == NIGHTLY
    assert replace(NIGHTLY, limit_usd="5.01") != NIGHTLY


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"limit_usd": 0.1}, "write money as text or Decimal"),
        ({"limit_usd": True}, "write money as text or Decimal"),
        ({"limit_usd": "-1"}, "zero or more"),
        ({"limit_usd": "NaN"}, "zero or more"),
        ({"limit_usd": "Infinity"}, "zero or more"),
        ({"limit_usd": "1e12"}, "zero or more"),
        ({"limit_usd": "1e30"}, "zero or more"),
        ({"limit_usd": "five"}, "such as '5.00'"),
        ({"limit_usd": None}, "such as '5.00'"),
        ({"limit_usd": "0.0000000001"}, "at most nine places"),
        ({"soft_limit": 0}, "above 0 and at most 1"),
        ({"soft_limit": 1.01}, "above 0 and at most 1"),
        ({"soft_limit": "most"}, "above 0 and at most 1"),
        ({"scope": "planet"}, "write one of tenant, user"),
        ({"subject": " "}, "name the workflow"),
        ({"period": "fortnight"}, "write one of daily, weekly"),
        ({"period": "2mo"}, "write one of daily, weekly"),
        ({"period": "rolling"}, "write whole hours"),
        ({"period": "rolling", "length": timedelta(hours=-1)}, "write whole hours"),
        ({"period": "rolling", "length": timedelta(seconds=60)}, "write whole hours"),
        ({"period": "rolling", "length": timedelta(minutes=90)}, "write whole hours"),
        ({"period": "rolling", "length": timedelta(days=32)}, "write whole hours"),
        ({"length": timedelta(hours=1)}, "has no length"),
        ({"timezone": "Nowhere/Bad"}, "There is no time zone 'Nowhere/Bad'"),
        ({"timezone": ""}, "There is no time zone"),
        ({"timezone": "../etc/passwd"}, "There is no time zone"),
        ({"timezone": "Europe"}, "There is no time zone 'Europe'"),
        ({"timezone": "Europe/"}, "There is no time zone 'Europe/'"),
        ({"timezone": "CET"}, "There is no time zone 'CET'"),
        ({"week_start": 0}, "1 for Monday to 7 for Sunday"),
        ({"week_start": 8}, "1 for Monday to 7 for Sunday"),
        ({"on_soft": "downgrade"}, "needs downgrade_to"),
        ({"downgrade_to": "gpt-5-nano"}, "'gpt-5-nano', which names no provider; write 'provider:model'"),
        ({"on_hard": "downgrade", "downgrade_to": "openai:"}, "names no provider"),
        ({"downgrade_to": ""}, "names no provider"),
        ({"on_hard": "warn"}, "write one of block, downgrade"),
        ({"on_unknown_price": "ceiling"}, "give both or none"),
        ({"price_ceiling_usd": "1"}, "give both or none"),
        ({"on_store_down": "last_known"}, "give both or none"),
        ({"on_store_down": "last_known", "last_known_max_age": timedelta(0)}, "longer than zero"),
    ],
)
def test_what_cannot_be_enforced_is_refused(fields: dict[str, Any], sentence: str) -> None:
    """One sentence names the value and what to write."""
    with pytest.raises(ConfigurationError, match=sentence):
        replace(NIGHTLY, **fields)


@pytest.mark.parametrize(
    ("budget", "subjects", "counter"),
    [
        (NIGHTLY, {"workflow": "nightly"}, "nightly"),
        (NIGHTLY, {"workflow": "hourly"}, None),
        (NIGHTLY, {"user": "nightly"}, None),
        (replace(NIGHTLY, active=False), {"workflow": "nightly"}, None),
        (Budget.per_run("0.50"), {"flow_run": "r1"}, "r1"),
        (Budget.per_run("0.50"), {"workflow": "nightly"}, None),
    ],
)
def test_a_budget_says_whose_counter_a_call_uses(budget: Budget, subjects: Any, counter: str | None) -> None:
    """Each subject of `*` has a counter of its own; a call without the subject is not concerned."""
    assert counter == budget.counts_for(subjects)
