"""The retry budget: what a retry costs, and what comes back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cognition.errors import (
    CognitionError,
    OutputInvalid,
    ProviderTimeout,
    ProviderUnavailable,
    RateLimited,
    RetryBudgetExhausted,
)
from cognition.resilience.retry_budget import CAPACITY, RetryBudget, RetryBudgets

VECTORS = Path(__file__).parents[3] / "shared" / "data" / "retry-vectors" / "vectors.json"


@pytest.mark.parametrize(
    ("kind", "left"), [(ProviderUnavailable, 486), (ProviderTimeout, 486), (RateLimited, 495), (OutputInvalid, 500)]
)
def test_a_retry_costs_as_much_as_it_harms(kind: type[CognitionError], left: int) -> None:
    """A provider that fails is spared most; an answer of a wrong shape is no sign of weakness."""
    budget = RetryBudget("openai")
    taken = budget.take(kind("No."))
    assert (left, CAPACITY - left) == (budget.tokens, taken)


def test_a_successful_retry_gives_back_its_price_and_a_first_attempt_one() -> None:
    """Never more than fits."""
    budget = RetryBudget("openai", tokens=100)
    budget.succeeded(budget.take(ProviderUnavailable("No.")))
    budget.succeeded(None)
    assert 101 == budget.tokens
    budget.tokens = CAPACITY
    budget.succeeded(None)
    assert CAPACITY == budget.tokens


def test_an_outage_cannot_multiply_traffic() -> None:
    """35 failed retries spend it, then first attempts are all that is made; throttled ones fit a little longer."""
    budget = RetryBudget("openai")
    for _ in range(35):
        budget.take(ProviderUnavailable("No."))
    with pytest.raises(RetryBudgetExhausted, match="openai"):
        budget.take(ProviderUnavailable("No."))
    assert 5 == budget.take(RateLimited("No."))


def test_each_provider_has_its_own() -> None:
    """One that is down takes nothing from the others."""
    budgets = RetryBudgets()
    budgets.of("openai").take(ProviderUnavailable("No."))
    assert (486, 500) == (budgets.of("openai").tokens, budgets.of("anthropic").tokens)


def test_the_numbers_are_those_of_the_aws_sdks() -> None:
    """The trace of botocore's own test, where the data is at hand."""
    if not VECTORS.exists():
        pytest.skip(f"{VECTORS} is absent")
    aws: dict[str, Any] = json.loads(VECTORS.read_text(encoding="utf-8"))["aws_standard_retry"]["v2_1"]
    trace = {step["event"]: step for step in aws["quota_trace"]}
    budget = RetryBudget("aws")
    assert aws["quota_capacity"] == budget.tokens

    taken = budget.take(ProviderUnavailable("No."))
    assert (aws["retry_cost"], trace["acquire non-throttling"]["available"]) == (taken, budget.tokens)
    budget.succeeded(taken)
    assert trace["success after retry"]["available"] == budget.tokens
    taken = budget.take(RateLimited("No."))
    assert (aws["throttling_retry_cost"], trace["acquire throttling"]["available"]) == (taken, budget.tokens)
    budget.succeeded(None)
    assert trace["acquire throttling"]["available"] + trace["success never retried"]["delta"] == budget.tokens
