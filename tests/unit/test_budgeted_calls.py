"""Calls that a budget limits: money is set aside before the provider is asked, and booked with the attempt's row."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from functools import partial
from typing import Any

import pytest
from pydantic_ai.messages import ModelResponse

from cognition import Attribution, ResiliencePolicy
from cognition.adapters.memory import ScriptedProvider
from cognition.domain.budget import Budget
from cognition.domain.completion import CompletionRequest
from cognition.errors import (
    BudgetExceeded,
    ConfigurationError,
    ProviderUnavailable,
)
from cognition.events import BudgetCrossed, Downgraded
from tests.unit.dollar_calls import ALICE, BOB, CHEAPER, ask, budget, costing, settings, standing
from tests.unit.memory_engine import MODEL, GatedProvider, Rig, eventually

IN_A_RUN = Attribution(user="alice", flow_run_id="sub", root_flow_run_id="root")
DOWN: dict[str, Any] = {"provider": "openai-chat", "model": MODEL, "status": 503}


@pytest.fixture
def rig() -> Rig:
    """Return an engine whose calls cost whole dollars."""
    return Rig(settings=settings())


def test_calls_are_made_while_the_most_they_can_cost_fits(rig: Rig) -> None:
    """Three dollars a call, at most four: of ten dollars nine are spent, or six if the third would fit no more."""
    rig.budgets.put(budget("10"), "test")
    rig.script.then(*[costing(3)] * 3)

    for number in range(2):
        assert Decimal(3) == ask(rig, f"Question {number}?").cost_usd
    assert Decimal(3) == ask(rig, "Question 2?").cost_usd
    with pytest.raises(BudgetExceeded) as caught:
        ask(rig, "Question 3?")

    error = caught.value
    assert (Decimal(10), Decimal(9), 0, Decimal(4)) == (error.limit, error.used, error.reserved, error.requested)
    assert "lifetime budget of user alice" in error.message
    assert (Decimal(9), 0) == standing(rig)
    assert 3 == rig.script.calls


def test_what_is_cached_is_answered_though_the_budget_is_spent(rig: Rig) -> None:
    """An answer that costs nothing needs no money."""
    rig.budgets.put(budget("4"), "test")
    rig.script.then(costing(4))

    answers = [ask(rig), ask(rig)]

    assert ["provider", "l1"] == [answer.layer for answer in answers]


def test_rows_and_counters_agree() -> None:
    """What the budgets count is the sum of the ledger, attempt by attempt."""
    rig = Rig(settings=settings(attempts=3))
    rig.budgets.put(budget("100"), "test")
    rig.script.then(ProviderUnavailable("down", **DOWN), costing(3), costing(2))

    ask(rig, "One?")
    ask(rig, "Two?")

    assert [Decimal(0), Decimal(2), Decimal(3)] == sorted(row.cost.usd for row in rig.rows if row.cost)
    assert (Decimal(5), 0) == standing(rig)
    assert 3 == len({claim.attempt for claim in rig.budgets.claims})


def test_an_attempt_that_failed_gives_its_money_back(rig: Rig) -> None:
    """An error of the provider is free, and so is what was set aside for it."""
    rig.budgets.put(budget("4"), "test")
    rig.script.then(ProviderUnavailable("down", **DOWN), costing(4))

    with pytest.raises(ProviderUnavailable):
        ask(rig)

    assert (0, 0) == standing(rig)
    assert "provider" == ask(rig).layer


def test_an_answer_of_the_wrong_shape_is_paid_for(rig: Rig) -> None:
    """What came back cost money, whether or not anybody can use it."""
    rig.budgets.put(budget("10"), "test")
    rig.script.then(costing(3, "no JSON"))

    with pytest.raises(Exception, match="does not fit"):
        ask(rig, output=list[int])

    assert (Decimal(3), 0) == standing(rig)
    assert ["failed_billed"] == [row.status for row in rig.rows]


def test_settings_may_limit_answers_that_say_nothing_themselves() -> None:
    """The provider is told so, and no more is set aside; a call that says it itself wins."""
    rig = Rig(settings=settings().model_copy(update={"max_tokens": 5}))
    rig.budgets.put(budget("10"), "test")
    rig.script.then(costing(1), costing(1))

    rig.engine.complete("One?", attribution=ALICE)
    ask(rig, "Two?")

    assert [Decimal(5), Decimal(4)] == [claim.estimate_usd for claim in rig.budgets.claims]
    assert [5, 4] == [(request.settings or {})["max_tokens"] for request in rig.script.requests]


def test_a_run_has_a_cap_of_its_own(rig: Rig) -> None:
    """All that runs within one root flow run shares it; the next run has another."""
    rig.budgets.put(Budget.per_run("4"), "test")
    rig.script.then(costing(4), costing(4))

    ask(rig, "One?", attribution=IN_A_RUN)
    with pytest.raises(BudgetExceeded, match="flow run root"):
        ask(rig, "Two?", attribution=replace(IN_A_RUN, flow_run_id="another sub"))

    assert "provider" == ask(rig, "Three?", attribution=replace(IN_A_RUN, root_flow_run_id="next")).layer


def test_calls_wait_for_money_that_is_set_aside() -> None:
    """Ten dollars cover two calls of four at a time; as they cost one, all five are made and none is refused."""
    provider = _OneDollar()
    rig = Rig(provider=provider, settings=settings())
    rig.budgets.put(budget("10"), "test")

    with ThreadPoolExecutor(max_workers=5) as threads:
        answers = list(threads.map(partial(ask, rig), [f"Question {number}?" for number in range(5)]))

    assert [Decimal(1)] * 5 == [answer.cost_usd for answer in answers]
    assert provider.most_at_once == 2
    assert (Decimal(5), 0) == standing(rig)


def test_nobody_waits_beyond_the_deadline() -> None:
    """Money that does not come back in time is as good as spent."""
    provider = GatedProvider()
    rig = Rig(provider=provider, settings=settings())
    rig.budgets.put(budget("4"), "test")
    first = threading.Thread(target=ask, args=(rig, "One?"))
    first.start()
    eventually(lambda: bool(provider.requests))

    with pytest.raises(BudgetExceeded) as caught:
        ask(rig, "Two?", resilience=ResiliencePolicy(attempts=1, deadline=timedelta(milliseconds=30)))
    provider.gate.set()
    first.join()

    assert caught.value.is_full_for_now


def test_beyond_the_soft_limit_a_cheaper_model_answers(rig: Rig) -> None:
    """The answer says which model gave it, the ledger what it cost, and observers are told once."""
    rig.budgets.put(budget("10", soft_limit="0.4", on_soft="downgrade", downgrade_to=CHEAPER), "test")
    rig.script.then(costing(4), costing(4), costing(4))

    answers = [ask(rig, f"Question {number}?") for number in range(3)]

    assert [MODEL, CHEAPER, CHEAPER] == [answer.model for answer in answers]
    assert [MODEL] * 3 == [answer.requested_model for answer in answers]
    assert [Decimal(4), Decimal("0.4"), Decimal("0.4")] == [answer.cost_usd for answer in answers]
    assert (Decimal("4.8"), 0) == standing(rig)
    assert [(MODEL, CHEAPER)] * 2 == [(event.model, event.cheaper) for event in rig.seen(Downgraded)]
    assert [1, 1, 1] == [row.attempt for row in rig.rows]


def test_where_the_dear_model_no_longer_fits_the_cheaper_one_may(rig: Rig) -> None:
    """At the hard limit a budget may say the same, while the cheaper model fits."""
    rig.budgets.put(budget("4.5", on_hard="downgrade", downgrade_to=CHEAPER), "test")
    rig.script.then(costing(4), costing(4))

    answers = [ask(rig, f"Question {number}?") for number in range(2)]

    assert [MODEL, CHEAPER] == [answer.model for answer in answers]
    with pytest.raises(BudgetExceeded):
        ask(rig, "Question 3?")


def test_a_model_is_not_replaced_by_itself(rig: Rig) -> None:
    """Two budgets that want each other's models do not send a call back and forth."""
    soft: dict[str, Any] = {"soft_limit": "0.1", "on_soft": "downgrade"}
    rig.budgets.put(budget("10", downgrade_to=CHEAPER, **soft), "test")
    rig.budgets.put(budget("10", scope="tenant", downgrade_to=MODEL, **soft), "test")
    rig.script.then(costing(4), costing(4))
    ask(rig, "Before?")

    assert rig.layer("Really?", settings={"max_tokens": 4}, attribution=ALICE) == "provider"


def test_a_limit_that_was_reached_is_told_once(rig: Rig) -> None:
    """The soft limit when it is reached, the hard one when a call is refused."""
    rig.budgets.put(budget("10"), "test")
    rig.script.then(costing(4), costing(4))

    ask(rig, "One?")
    ask(rig, "Two?")
    for _ in range(2):
        with pytest.raises(BudgetExceeded):
            ask(rig, "Three?")

    told = [(event.tenant, event.crossing.threshold) for event in rig.seen(BudgetCrossed)]
    assert [("default", Decimal("0.8")), ("default", Decimal(1))] == told


def test_the_budget_of_one_is_no_reason_to_refuse_another() -> None:
    """Two ask the same at the same time; the first may not spend, so the second asks for itself."""
    provider = GatedProvider()
    rig = Rig(provider=provider, settings=settings())
    rig.budgets.put(budget("2", subject="alice"), "test")
    provider.gate.set()

    with ThreadPoolExecutor(max_workers=8) as threads:
        asked = [threads.submit(ask, rig, attribution=who) for who in (ALICE, BOB) * 4]
    refused = [isinstance(one.exception(), BudgetExceeded) for one in asked]

    assert not any(refused[1::2])
    assert 1 == len(provider.requests)


def test_what_is_asked_is_prepared_before_money_is_set_aside(rig: Rig) -> None:
    """A model that cannot be asked at all costs nothing and is no attempt."""
    rig = Rig(provider=_Unprepared(), settings=settings())
    rig.budgets.put(budget("10"), "test")

    with pytest.raises(ConfigurationError, match="no key"):
        ask(rig)

    assert [] == rig.budgets.claims
    assert [] == rig.rows


class _OneDollar(GatedProvider):
    """Answers after a moment, for one dollar."""

    def __init__(self) -> None:
        super().__init__()
        self.gate.set()

    async def ask(self, request: CompletionRequest) -> ModelResponse:
        """Answer."""
        self._now += 1
        self.most_at_once = max(self.most_at_once, self._now)
        await asyncio.sleep(0.02)
        self._now -= 1
        return costing(1, f"Answer to {request.prompt}")


class _Unprepared(ScriptedProvider):
    """Cannot be asked at all."""

    async def prepare(self, request: CompletionRequest) -> None:
        """Fail."""
        raise ConfigurationError(f"There is no key for {request.provider}.")
