"""The block of a budget says what the engine is told, and refuses what could not be enforced."""

from __future__ import annotations

import pickle
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from pydantic import ValidationError

from cognition import Budget
from cognition.errors import ConfigurationError
from cognition_blocks import CognitionStore, LLMBudget

GIVEN: dict[str, Any] = {
    "scope": "workflow",
    "subject": "nightly",
    "limit_usd": "5.000000001",
    "timezone": "Europe/Berlin",
    "on_soft": "downgrade",
    "on_hard": "downgrade",
    "downgrade_to": "openai:gpt-5-nano",
    "on_unknown_price": "ceiling",
    "price_ceiling_usd": "0.05",
    "on_store_down": "last_known",
    "last_known_minutes": 5,
    "soft_limit": 0.75,
    "week_start": 7,
}
EXPECTED = Budget(
    scope="workflow",
    subject="nightly",
    limit_usd="5.000000001",
    period="daily",
    timezone="Europe/Berlin",
    on_soft="downgrade",
    on_hard="downgrade",
    downgrade_to="openai:gpt-5-nano",
    on_unknown_price="ceiling",
    price_ceiling_usd="0.05",
    on_store_down="last_known",
    last_known_max_age=timedelta(minutes=5),
    soft_limit="0.75",
    week_start=7,
)


def test_fields_become_what_the_engine_is_told() -> None:
    """Each field of the form has its effect, also after it travelled to another process or to Prefect's server."""
    block = LLMBudget(**GIVEN)

    assert EXPECTED == block.to_budget()
    assert EXPECTED == pickle.loads(pickle.dumps(block)).to_budget()  # noqa: S301  our own
    assert EXPECTED == LLMBudget.model_validate_json(block.model_dump_json()).to_budget()


def test_a_rolling_budget_has_a_length() -> None:
    """In hours."""
    block = LLMBudget(**GIVEN, period="rolling", length_hours=36)

    assert replace(EXPECTED, period="rolling", length=timedelta(hours=36)) == block.to_budget()


def test_what_is_left_out_is_what_a_budget_is_by_default() -> None:
    """The cap of each run takes three words."""
    block = LLMBudget(scope="flow_run", limit_usd="0.50", period="lifetime")

    assert Budget.per_run("0.50") == block.to_budget()


@pytest.mark.parametrize("amount", [5, Decimal("5.00"), "5.0"])
def test_an_amount_may_be_given_as_an_exact_number(amount: Any) -> None:
    """Five dollars are five dollars."""
    assert Decimal(5) == LLMBudget(limit_usd=amount).to_budget().limit_usd


def test_an_amount_is_never_a_float() -> None:
    """A tenth is none."""
    with pytest.raises(ValidationError, match="limit_usd"):
        LLMBudget.model_validate({"limit_usd": 0.1})


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"limit_usd": "1,50"}, "limit_usd is '1,50'"),
        ({"timezone": "Berlin"}, "There is no time zone 'Berlin'"),
        ({"period": "rolling"}, "A rolling period of 0:00:00 is not supported"),
        ({"downgrade_to": None}, "needs downgrade_to"),
        ({"price_ceiling_usd": None}, "go together"),
        ({"last_known_minutes": None}, "go together"),
    ],
)
def test_what_could_not_be_enforced_is_refused(wrong: dict[str, Any], said: str) -> None:
    """Before it is saved."""
    with pytest.raises(ConfigurationError, match=said):
        LLMBudget(**GIVEN | wrong)


def test_a_budget_without_a_limit_is_not_finished() -> None:
    """It can be filled in, but does not count."""
    with pytest.raises(ConfigurationError, match="limit_usd is ''; write US dollars"):
        LLMBudget(scope="user", store=CognitionStore(tenant="nobody")).to_budget()


def test_the_form_asks_for_the_limit() -> None:
    """As the one field that must be filled in; a document without it loads all the same."""
    schema = LLMBudget.model_json_schema()

    assert ["limit_usd"] == schema["required"]
    assert "default" not in schema["properties"]["limit_usd"]
    assert "" == LLMBudget.model_validate({"scope": "user"}).limit_usd


def test_the_order_of_fields_is_a_promise() -> None:
    """The form of the UI shows them in this order; new ones come last."""
    assert ["scope", "subject", "limit_usd", "soft_limit", "period"] == list(LLMBudget.model_fields)[:5]
    assert "store" == list(LLMBudget.model_fields)[-1]
