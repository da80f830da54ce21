"""Budgets of several callers and models: nobody pays, waits or is answered for another."""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from pydantic_ai.messages import ModelResponse
from pydantic_ai.usage import RequestUsage

from cognition.domain.budget import Scope
from cognition.domain.completion import CompletionRequest
from cognition.domain.reservation import CallAttempt, Claim
from cognition.errors import BudgetUnavailable, ProviderTimeout, ProviderUnavailable, RequestRejected
from cognition.events import WaitingForBudget
from tests.unit.dollar_calls import ALICE, BOB, CHEAPER, UNPRICED, ask, budget, costing, settings, standing
from tests.unit.memory_engine import MODEL, GatedProvider, OpenProvider, Rig, an_answer, eventually

SOFT: dict[str, Any] = {"subject": "alice", "soft_limit": "0.1", "on_soft": "downgrade", "downgrade_to": CHEAPER}


class ByModel(OpenProvider):
    """Answers by the model that is asked: with an error, or for one dollar."""

    def __init__(self, **errors: Exception) -> None:
        super().__init__()
        self.errors = errors

    @property
    def models(self) -> list[str]:
        """Which models were asked, in order."""
        return [request.model for request in self.requests]

    async def ask(self, request: CompletionRequest) -> ModelResponse:
        """Answer, or fail."""
        self.requests.append(request)
        await asyncio.sleep(0)
        if error := self.errors.get(request.model.partition(":")[2].replace("-", "_")):
            raise error
        return costing(1, f"Answer of {request.model}")


@pytest.fixture
def gated() -> Rig:
    """Return an engine whose provider answers when it is let."""
    return Rig(provider=GatedProvider(), settings=settings())


def provider_of(rig: Rig) -> GatedProvider:
    """Return the provider of an engine."""
    assert isinstance(rig.provider, GatedProvider)
    return rig.provider


def hold(rig: Rig, usd: str, scope: Scope = "user", subject: str = "alice") -> CallAttempt:
    """Set money aside for somebody else's call."""
    attempt = CallAttempt(uuid4())
    rig.budgets.reserve(Claim(attempt=attempt, subjects={scope: subject}, estimate_usd=Decimal(usd), holder="other"))
    return attempt


def test_what_was_asked_before_a_wait_is_not_asked_again() -> None:
    """The first model gave no answer in time and is paid for; the fallback waits for its budget, alone."""
    silence = ProviderTimeout("silence", provider="openai-chat", model=MODEL, status=None)
    provider = ByModel(gpt_5_mini=silence)
    rig = Rig(provider=provider, settings=settings())
    rig.budgets.put(budget("10"), "test")
    rig.budgets.put(budget("0.5", scope="model", subject=CHEAPER), "test")
    other = hold(rig, "0.4", "model", CHEAPER)

    with ThreadPoolExecutor(max_workers=1) as thread:
        asked = thread.submit(ask, rig, fallbacks=[CHEAPER])
        eventually(lambda: bool(rig.seen(WaitingForBudget)))
        rig.budgets.release(other)
        answer = asked.result()

    assert [MODEL, CHEAPER] == provider.models
    assert (CHEAPER, 2) == (answer.model, answer.attempts)
    assert (Decimal("4.1"), 0) == standing(rig)


def test_who_has_money_does_not_wait_for_who_has_none(gated: Rig) -> None:
    """Both ask the same; what keeps Alice waiting is no reason for Bob to wait."""
    gated.budgets.put(budget("4", subject="alice"), "test")
    other = hold(gated, "4")
    with ThreadPoolExecutor(max_workers=2) as threads:
        alice = threads.submit(ask, gated)
        eventually(lambda: bool(gated.seen(WaitingForBudget)))
        provider_of(gated).gate.set()
        bob = threads.submit(ask, gated, attribution=BOB)

        assert "provider" == bob.result().layer
        gated.budgets.release(other)
        assert "l1" == alice.result().layer


def test_a_cheaper_models_answer_is_nobody_elses() -> None:
    """Bob, whose budget is not near its limit, is answered by the model that he asked for."""
    provider = ByModel()
    rig = Rig(provider=provider, settings=settings())
    rig.budgets.put(budget("10", **SOFT), "test")
    rig.budgets.settle(hold(rig, "2"), Decimal(2))

    answers = [ask(rig), ask(rig, attribution=BOB), ask(rig), ask(rig, model=CHEAPER, attribution=BOB)]

    assert [CHEAPER, MODEL] == provider.models
    assert [CHEAPER, MODEL, MODEL, CHEAPER] == [answer.model for answer in answers]
    assert ["provider", "provider", "l1", "l1"] == [answer.layer for answer in answers]


def test_a_cheaper_models_answer_is_cached_as_its_own() -> None:
    """Whoever is sent to it again finds it there, for nothing."""
    provider = ByModel()
    rig = Rig(provider=provider, settings=settings())
    rig.budgets.put(budget("10", **SOFT), "test")
    rig.budgets.settle(hold(rig, "2"), Decimal(2))

    answers = [ask(rig), ask(rig)]

    assert [CHEAPER] == provider.models
    assert [Decimal("0.1"), Decimal(0)] == [answer.cost_usd for answer in answers]
    assert [Decimal("2.1"), 0] == list(standing(rig))


def test_the_error_of_a_cheaper_model_is_nobody_elses() -> None:
    """Bob, who asks the same at the same time, asks the model that he wanted."""
    rejected = RequestRejected("no", provider="openai-chat", model=CHEAPER, status=400)
    rig = Rig(provider=ByModel(gpt_5_nano=rejected), settings=settings())
    rig.budgets.put(budget("10", **SOFT), "test")
    rig.budgets.settle(hold(rig, "2"), Decimal(2))

    with ThreadPoolExecutor(max_workers=8) as threads:
        asked = [threads.submit(ask, rig, attribution=who) for who in (ALICE, BOB) * 4]

    assert [MODEL] * 4 == [one.result().model for one in asked[1::2]]


@pytest.mark.parametrize(
    ("fields", "spent"),
    [
        ({"status": 503}, 0),
        ({"status": 504}, 4),
        ({"status": None}, 4),
        ({"status": None, "unsent": True}, 0),
    ],
    ids=["overloaded", "gateway gave up", "broke off", "never sent"],
)
def test_what_the_provider_may_have_charged_is_counted(fields: dict[str, Any], spent: int) -> None:
    """An error is free only where it is known that nothing was answered."""
    rig = Rig(settings=settings())
    rig.budgets.put(budget("10"), "test")
    rig.script.then(ProviderUnavailable("down", provider="openai-chat", model=MODEL, **fields))

    with pytest.raises(ProviderUnavailable):
        ask(rig)

    assert (Decimal(spent), 0) == standing(rig)
    assert [spent] == [row.cost.usd for row in rig.rows if row.cost]


def test_a_count_that_nobody_can_mean_is_none() -> None:
    """A server that reports 10^18 tokens costs what was set aside, and its answer is given."""
    rig = Rig(settings=settings())
    rig.budgets.put(budget("10"), "test")
    rig.script.then(an_answer("Yes.", usage=RequestUsage(output_tokens=10**18)))

    assert ("Yes.", Decimal(4)) == ((answer := ask(rig)).text, answer.cost_usd)
    assert not rig.machinery.money.renewal.held


async def test_callers_who_leave_while_money_is_set_aside_leave_none_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many they are."""
    provider = GatedProvider()
    rig = Rig(provider=provider, settings=settings())
    rig.budgets.put(budget("1000"), "test")
    reserve, reserving = rig.budgets.reserve, threading.Event()

    def slow(claim: Claim) -> Any:
        reserving.set()
        time.sleep(0.05)
        return reserve(claim)

    monkeypatch.setattr(rig.budgets, "reserve", slow)
    asked = [
        asyncio.ensure_future(
            rig.engine.acomplete(f"Question {number}?", settings={"max_tokens": 4}, attribution=ALICE)
        )
        for number in range(40)
    ]
    await asyncio.to_thread(reserving.wait)
    for one in asked:
        one.cancel()
    await asyncio.gather(*asked, return_exceptions=True)

    await asyncio.to_thread(eventually, lambda: standing(rig)[1] == 0)
    assert (0, 0) == standing(rig)


def test_while_the_store_is_away_an_unknown_price_is_refused_as_well() -> None:
    """`open` lets calls pass whose price is known."""
    rig = Rig(settings=settings())
    rig.budgets.put(budget("10", on_store_down="open"), "test")
    rig.script.then(costing(1))
    ask(rig)
    rig.budgets.outage.down = True

    with pytest.raises(BudgetUnavailable):
        ask(rig, "Two?", model=UNPRICED)
