"""Calls that cost whole dollars, for tests of budgets."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

from pydantic_ai.messages import ModelResponse
from pydantic_ai.usage import RequestUsage

from cognition import Attribution, ResiliencePolicy, Settings
from cognition.domain.budget import Budget
from cognition.domain.completion import Completion
from cognition.domain.pricing import Rate
from tests.unit.memory_engine import MODEL, Rig, an_answer

CHEAPER = "openai-chat:gpt-5-nano"
UNPRICED = "openai-chat:nobody-knows"
ALICE, BOB = Attribution(user="alice"), Attribution(user="bob")


def settings(**resilience: Any) -> Settings:
    """Return prices with which a token of an answer costs one dollar, or ten cents by the cheaper model."""
    resilience.setdefault("attempts", 1)
    free, million = Decimal(0), Decimal(1_000_000)
    return Settings(
        model=MODEL,
        resilience=ResiliencePolicy(initial_backoff=timedelta(microseconds=1), **resilience),
        prices={
            MODEL: Rate(input_per_million=free, output_per_million=million),
            CHEAPER: Rate(input_per_million=free, output_per_million=million / 10),
        },
    )


def budget(limit: str = "10", **fields: Any) -> Budget:
    """Return a budget of every user for all time."""
    chosen: dict[str, Any] = {"scope": "user", "limit_usd": limit, "period": "lifetime", **fields}
    return Budget(**chosen)


def costing(tokens: int, text: str = "Yes.") -> ModelResponse:
    """Return an answer that costs so many dollars."""
    return an_answer(text, usage=RequestUsage(input_tokens=10, output_tokens=tokens))


def ask(rig: Rig, prompt: str = "Really?", max_tokens: int = 4, **options: Any) -> Completion[str]:
    """Ask as Alice, who may be answered with four tokens."""
    options.setdefault("attribution", ALICE)
    return rig.engine.complete(prompt, settings={"max_tokens": max_tokens}, **options)


def standing(rig: Rig, who: Attribution = ALICE) -> tuple[Decimal, Decimal]:
    """Return what is spent and set aside of the budget of a user."""
    rig.settle()
    (one,) = rig.budgets.look({"user": who.user or ""})
    return one.used_usd, one.reserved_usd
