"""Warming asks for what is missing or about to expire, keeps its limits, and says what it left."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from pydantic_ai.messages import ModelResponse

from cognition import Attribution, CachePolicy, Settings
from cognition.adapters.memory import ScriptedProvider
from cognition.adapters.prompt_file import read_wishes
from cognition.domain.completion import CompletionRequest
from cognition.domain.warming import WARM_TAG, Warmed, WarmPlan, Wish
from cognition.errors import BudgetExceeded, CognitionError, ConfigurationError, ProviderUnavailable
from cognition.resilience.policy import ResiliencePolicy
from cognition.services.warm_run import NOT_REACHED
from cognition.services.warming import DUPLICATE, FRESH
from tests.unit.memory_engine import MODEL, OpenProvider, Rig, an_answer

COST = Decimal("0.00045")  # of 1000 tokens in and 100 out
L2_LIFE = timedelta(hours=1)
ALONE = WarmPlan(concurrency=1)
WISHES = [Wish(f"Question {number}?") for number in range(8)]
STEADY = CachePolicy(jitter=0)


@pytest.fixture
def rig() -> Rig:
    """Return an engine whose provider answers at once, and whose answers live exactly as long as they are told."""
    return Rig(
        provider=OpenProvider(), settings=Settings(model=MODEL, cache=STEADY, resilience=ResiliencePolicy(attempts=1))
    )


def asked(rig: Rig) -> int:
    """Return how often the provider was asked."""
    assert isinstance(rig.provider, OpenProvider)
    return len(rig.provider.requests)


def test_what_was_warmed_is_a_hit(rig: Rig) -> None:
    """Every one of them, without a further call of the provider."""
    done = rig.engine.warming.wishes(WISHES)

    assert (8, 8, 0, 8 * COST, None) == (done.wishes, done.asked, done.unkept, done.cost_usd, done.stopped)
    rig.clock.advance(timedelta(minutes=40))  # L1 has forgotten them
    assert {"l2": 8} == dict.fromkeys({rig.layer(wish.prompt) for wish in WISHES}, 8)
    assert 8 == asked(rig)


def test_a_second_run_asks_nothing(rig: Rig) -> None:
    """It may be doubled or late: what is cached is left, and the same request in one list is asked once."""
    rig.engine.warming.wishes(WISHES)
    done = rig.engine.warming.wishes([*WISHES, WISHES[0], Wish("Question 0?", {"model": MODEL})])

    assert (0, {FRESH: 8, DUPLICATE: 2}, Decimal(0)) == (done.asked, done.skipped, done.cost_usd)
    assert 8 == asked(rig)


def test_what_expires_soon_is_asked_anew(rig: Rig) -> None:
    """Before anybody finds it gone; what lives longer is left."""
    rig.engine.warming.wishes(WISHES[:1])
    rig.clock.advance(timedelta(minutes=30))
    rig.engine.warming.wishes(WISHES[1:3])
    rig.clock.advance(timedelta(minutes=25))

    done = rig.engine.warming.wishes(WISHES[:3], WarmPlan(ahead=timedelta(minutes=10)))

    assert (1, 1, {FRESH: 2}) == (done.asked, done.refreshed, done.skipped)
    rig.clock.advance(timedelta(minutes=20))
    assert "l2" == rig.layer("Question 0?")


@pytest.mark.parametrize(("limit", "calls"), [("0", 0), ("0.0004", 1), ("0.00045", 1), ("0.00100", 2), ("0.0018", 4)])
@pytest.mark.parametrize("concurrency", [1, 3])
def test_it_stops_before_the_limit_is_passed(rig: Rig, limit: str, calls: int, concurrency: int) -> None:
    """As soon as one cost is known; only the very first call goes out without any."""
    done = rig.engine.warming.wishes(WISHES, WarmPlan(max_cost_usd=Decimal(limit), concurrency=concurrency))

    assert (calls, calls * COST, {NOT_REACHED: 8 - calls}) == (done.asked, done.cost_usd, done.skipped)
    assert f"the next call might exceed the limit of ${Decimal(limit):f}" == done.stopped
    assert calls == asked(rig)


def test_the_cost_before_tells_the_cost_to_come(rig: Rig) -> None:
    """An answer that is about to expire has a price, so the limit holds for the first call too."""
    rig.engine.warming.wishes(WISHES)
    rig.clock.advance(timedelta(minutes=55))
    done = rig.engine.warming.wishes(WISHES, WarmPlan(max_cost_usd=Decimal("0.0004")))
    assert (0, {NOT_REACHED: 8}) == (done.asked, done.skipped)


def test_a_limit_needs_a_price(rig: Rig) -> None:
    """After one answer of a model without a price nobody could hold the limit."""
    plan = WarmPlan(max_cost_usd=Decimal(1))
    done = rig.engine.warming.wishes(WISHES, plan, model="openai-chat:house-model-7b")
    assert (1, "nobody knows what openai-chat:house-model-7b costs, and there is a limit") == (done.asked, done.stopped)
    assert 8 == rig.engine.warming.wishes(WISHES, model="openai-chat:house-model-7b").wishes == asked(rig)


def test_an_exhausted_budget_ends_the_run() -> None:
    """Cleanly, and it says so; the rest is not even tried."""
    spent = BudgetExceeded(
        "The daily budget of workflow nightly is spent.",
        budget="daily",
        limit="1",
        used="1",
        reserved="0",
        requested="0.1",
        resets_at=None,
    )
    rig = Rig(provider=ScriptedProvider("yes", spent))
    done = rig.engine.warming.wishes(WISHES, ALONE)

    assert (1, {"BudgetExceeded": 1}, {NOT_REACHED: 6}) == (done.asked, done.failed, done.skipped)
    assert "BudgetExceeded: The daily budget of workflow nightly is spent" == done.stopped
    assert f"stopped because {done.stopped}" in done.sentence


def test_some_failures_are_no_reason_to_stop_but_many_in_a_row_are() -> None:
    """What else fails is counted by its class."""
    down = ProviderUnavailable("It is down.", provider="openai-chat", model="gpt-5-mini", status=503)
    rig = Rig(provider=ScriptedProvider(down, "yes", down, down, down))
    done = rig.engine.warming.wishes(WISHES, replace(ALONE, max_failures=3))

    assert (1, {"ProviderUnavailable": 4}, {NOT_REACHED: 3}) == (done.asked, done.failed, done.skipped)
    assert done.stopped is not None
    assert done.stopped.startswith("3 calls in a row failed, the last with ProviderUnavailable: ")


def test_an_answer_that_may_not_be_cached_is_told() -> None:
    """It was paid for, and the next caller pays again."""
    rig = Rig(provider=ScriptedProvider(an_answer("cut off", finish_reason="length"), "whole"))
    done = rig.engine.warming.wishes(WISHES[:2], ALONE)
    assert (2, 1) == (done.asked, done.unkept)


def test_no_more_calls_than_the_plan_allows_are_side_by_side() -> None:
    """The bulkhead's other places are for those who wait."""
    slow = _Slow()
    Rig(provider=slow).engine.warming.wishes(WISHES, WarmPlan(concurrency=2))
    assert (8, 2) == (len(slow.requests), slow.most_at_once)


class _Slow(OpenProvider):
    """Keeps each call long enough for others to be made."""

    async def ask(self, request: CompletionRequest) -> ModelResponse:
        """Answer when everybody who may be here is."""
        self.gate.clear()
        asyncio.get_running_loop().call_later(0.02, self.gate.set)
        return await super().ask(request)


def test_calls_are_booked_to_whom_the_caller_says(rig: Rig) -> None:
    """And marked, so that they do not make a request frequent."""
    who = Attribution(user="alice", tags=("night",))
    rig.engine.warming.wishes(WISHES[:1], attribution=who)
    assert [("alice", ("night", WARM_TAG))] == [(row.attribution.user, row.attribution.tags) for row in rig.rows]


def test_the_callers_cache_policy_decides_how_long(rig: Rig) -> None:
    """Only whether it looks up is warming's own business."""
    rig.engine.warming.wishes(WISHES[:1], cache=CachePolicy(l2_ttl=timedelta(days=2), jitter=0, mode="bypass"))
    rig.clock.advance(timedelta(days=1))
    assert "l2" == rig.layer("Question 0?")


def test_a_wish_that_cannot_be_right_costs_nothing(rig: Rig) -> None:
    """Before the first call."""
    with pytest.raises(ConfigurationError, match="names no provider"):
        rig.engine.warming.wishes([*WISHES, Wish("Why?", {"model": "nobody"})])
    assert 0 == asked(rig)


def test_people_are_told_in_one_sentence(rig: Rig) -> None:
    """What was asked, what it cost, what was left and why."""
    rig.engine.warming.wishes(WISHES[:2])
    done = rig.engine.warming.wishes(WISHES, WarmPlan(max_cost_usd=Decimal("0.001"), concurrency=1))
    assert (
        "2 of 8 prompts were asked for $0.000900000; 2 left: cached, and not about to expire; 4 left: not reached any"
        " more; stopped because the next call might exceed the limit of $0.001." == done.sentence
    )


@pytest.mark.parametrize(
    "wrong", [{"max_cost_usd": Decimal(-1)}, {"concurrency": 0}, {"ahead": timedelta(-1)}, {"max_failures": 0}]
)
def test_a_plan_that_cannot_be_meant_is_refused(wrong: dict[str, object]) -> None:
    """One sentence."""
    with pytest.raises(CognitionError, match="WarmPlan"):
        WarmPlan(**wrong)  # pyright: ignore[reportArgumentType]


def test_without_postgresql_nothing_is_counted(rig: Rig) -> None:
    """Neither what is frequent nor what was spent; the sentence says which variable to set."""
    for ask in (rig.engine.warming.frequent, rig.engine.reports.costs, rig.engine.reports.hit_rate):
        with pytest.raises(ConfigurationError, match="set COGNITION_DATABASE_URL"):
            ask()


# -- files ------------------------------------------------------------------------------------------------------------


def test_a_file_says_what_differs(tmp_path: Path) -> None:
    """JSON lines and CSV say the same; numbers of the settings are those that a caller would write."""
    lines = tmp_path / "wishes.jsonl"
    lines.write_text(
        '{"prompt": "Why?", "model": "ollama:qwen3", "settings": {"temperature": 0.5, "max_tokens": 9}}\n\n'
        '{"prompt": "When?", "instructions": null}\n',
        encoding="utf-8",
    )
    table = tmp_path / "wishes.csv"
    table.write_text(
        'prompt,model,settings\nWhy?,ollama:qwen3,"{""temperature"": 0.5, ""max_tokens"": 9}"\nWhen?,,\n',
        encoding="utf-8",
    )
    expected = [
        Wish("Why?", {"model": "ollama:qwen3", "settings": {"temperature": 0.5, "max_tokens": 9}}),
        Wish("When?"),
    ]
    assert [expected, expected] == [read_wishes(lines, 10), read_wishes(table, 10)]
    assert expected[:1] == read_wishes(lines, 1)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("{}", "Line 1 of .* has no text in prompt"),
        ('{"prompt": " "}', "has no text in prompt"),
        ('{"prompt": "a", "temperature": 1}', "has the columns temperature; known are prompt, settings"),
        ('{"prompt": "a", "settings": 1}', "has settings that are no object"),
        ('{"prompt": "a", "model": 1}', "has no text in model"),
        ("prompt", "is not JSON"),
    ],
)
def test_a_line_that_cannot_be_used_is_named(tmp_path: Path, line: str, words: str) -> None:
    """Nothing is left out unseen."""
    path = tmp_path / "wishes.jsonl"
    path.write_text(line, encoding="utf-8")
    with pytest.raises(ConfigurationError, match=words):
        read_wishes(path, 10)


def test_nothing_to_do_is_no_error(rig: Rig) -> None:
    """An empty list."""
    done: Warmed = rig.engine.warming.wishes([])
    assert "0 of 0 prompts were asked for $0." == done.sentence
