"""Which layer answers, and when the provider has to be asked again."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any, Literal

import pytest
from pydantic import BaseModel
from pydantic_ai.messages import ModelRequest, SystemPromptPart, UserPromptPart
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.tools import ToolDefinition

from cognition import CachePolicy
from cognition.errors import ConfigurationError, OnlyCachedMiss
from cognition.testing import FakeOpenAI, Reply
from tests.integration.engine.stage import API_KEY, QUESTION, Stage, stats_of

EXACT = CachePolicy(jitter=0.0)


class Colour(BaseModel):
    """An output."""

    name: str


class Shade(BaseModel):
    """An output of the same shape with another name."""

    name: str


def _tool(description: str) -> ModelRequestParameters:
    schema: dict[str, Any] = {"type": "object", "properties": {}}
    return ModelRequestParameters(
        function_tools=[ToolDefinition(name="search", description=description, parameters_json_schema=schema)]
    )


def test_the_second_identical_call_is_answered_by_l1(stage: Stage) -> None:
    """The provider is asked once, however often the question comes."""
    engine = stage.open()
    assert ["provider", "l1", "l1"] == stage.layers(engine, 3)
    assert 1 == stage.provider.count


def test_a_hit_says_the_same_as_the_provider(stage: Stage) -> None:
    """Answer, usage and model are those of the first call; cost and saving change places."""
    engine = stage.open()
    asked, cached = stage.ask(engine), stage.ask(engine)
    assert asked.response.parts == cached.response.parts
    assert (asked.output, asked.usage, asked.model) == (cached.output, cached.usage, cached.model)
    assert asked.cost_usd
    assert (asked.cost_usd, asked.saved_usd) == (cached.saved_usd, cached.cost_usd)
    assert asked.request_id != cached.request_id


def test_another_process_is_answered_from_the_cache(stage: Stage) -> None:
    """Entries belong to no engine."""
    stage.ask(stage.open())
    assert ["l1"] == stage.layers(stage.open())


def test_after_redis_was_emptied_l2_answers_once(stage: Stage) -> None:
    """L2 answers and fills L1 again."""
    engine = stage.open()
    stage.ask(engine)
    stage.flush_redis()
    assert ["l2", "l1"] == stage.layers(engine, 2)
    assert 1 == stage.provider.count


def test_each_layer_forgets_after_its_own_time(stage: Stage) -> None:
    """L1 lives for five minutes, L2 for an hour, then the provider is asked."""
    engine = stage.open(cache=EXACT)
    stage.ask(engine)
    layers: list[str] = []
    for minutes in (4.9, 0.2, 54.8, 0.2):
        stage.clock.advance(timedelta(minutes=minutes))
        layers += stage.layers(engine)
    assert ["l1", "l2", "l2", "provider"] == layers


def test_hits_do_not_prolong_a_life(stage: Stage) -> None:
    """An entry that is read and copied all the time still ends an hour after it was made."""
    engine = stage.open(cache=EXACT)
    stage.ask(engine)
    layers: list[str] = []
    for _ in range(15):
        stage.clock.advance(timedelta(minutes=4))
        layers += stage.layers(engine)
    assert "provider" not in layers[:14]
    assert "provider" == layers[14]


def test_lives_are_spread(stage: Stage) -> None:
    """Entries stored together do not end together: with a jitter of a half some of twenty end before their time."""
    engine = stage.open(cache=CachePolicy(jitter=0.5))
    random.seed(20261122)
    prompts = [f"Question {number}" for number in range(20)]
    engine.complete_many(prompts, credentials=stage.credentials)
    stage.clock.advance(timedelta(minutes=59))
    layers = [done.layer for done in engine.complete_many(prompts, credentials=stage.credentials)]
    assert {"l2", "provider"} == set(layers)


CHANGES: dict[str, dict[str, Any]] = {
    "model": {"model": "openai-chat:gpt-5-nano"},
    "api": {"model": "openai:gpt-5-mini"},
    "instructions": {"instructions": "Be brief."},
    "settings": {"settings": {"max_tokens": 50}},
    "namespace": {"namespace": "other"},
    "tool": {"parameters": _tool("Looks things up.")},
    "output": {"output": Colour},
    "space": {"prompt": QUESTION + " "},
    "case": {"prompt": QUESTION.lower()},
    "system": {"prompt": [ModelRequest(parts=[SystemPromptPart("Be brief."), UserPromptPart(QUESTION)])]},
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_whatever_changes_the_answer_asks_the_provider(stage: Stage, change: Mapping[str, Any]) -> None:
    """A change of one part of the request is another question."""
    stage.provider.default = lambda call: Reply() if call.body.get("tools") else Reply(text="Yes.")
    engine = stage.open()
    stage.ask(engine)
    assert ["provider", "l1"] == stage.layers(engine, 2, **{"prompt": QUESTION} | dict(change))
    assert ["l1"] == stage.layers(engine)


VALUES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "max-tokens": ({"settings": {"max_tokens": 50}}, {"settings": {"max_tokens": 500}}),
    "seed": ({"settings": {"seed": 1}}, {"settings": {"seed": 2}}),
    "tool": ({"parameters": _tool("Looks things up.")}, {"parameters": _tool("Looks people up.")}),
    "instructions": ({"instructions": "Be brief."}, {"instructions": "Be long."}),
    "name-of-output": ({"output": Colour}, {"output": Shade}),
    "choices": ({"output": Literal["a", "b"]}, {"output": Literal["a", "b", "c"]}),
    "list": ({"output": Colour}, {"output": list[Colour]}),
}


@pytest.mark.parametrize(("first", "second"), VALUES.values(), ids=VALUES)
def test_another_value_is_another_question(stage: Stage, first: Mapping[str, Any], second: Mapping[str, Any]) -> None:
    """Not only whether a part is there counts, also what it says."""
    stage.provider.default = Reply()
    engine = stage.open()
    stage.ask(engine, **first)
    assert ["provider"] == stage.layers(engine, **second)


def test_another_tenant_asks_the_provider(stage: Stage) -> None:
    """What one tenant asked is unknown to the other."""
    stage.ask(stage.open(tenant="acme"))
    assert ["provider"] == stage.layers(stage.open(tenant="umbrella"))


def test_another_server_asks_the_provider(stage: Stage) -> None:
    """Two servers may answer the same question differently."""
    engine = stage.open()
    stage.ask(engine)
    with FakeOpenAI(api_key=API_KEY) as other:
        elsewhere = replace(stage.credentials, base_url=other.base_url)
        assert ["provider"] == stage.layers(engine, credentials=elsewhere)
        assert 1 == other.count


def test_the_server_of_the_environment_counts_too(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """The SDK reads `OPENAI_BASE_URL`, so the key must as well."""
    engine = stage.open()
    monkeypatch.setenv("OPENAI_API_KEY", API_KEY)
    monkeypatch.setenv("OPENAI_BASE_URL", stage.provider.base_url)
    assert ["provider", "l1"] == stage.layers(engine, 2, credentials=None)
    with FakeOpenAI(api_key=API_KEY) as other:
        monkeypatch.setenv("OPENAI_BASE_URL", other.base_url)
        assert ["provider"] == stage.layers(engine, credentials=None)
        assert 1 == other.count


def test_another_key_is_the_same_question(stage: Stage) -> None:
    """Keys are rotated; answers stay."""
    engine = stage.open()
    stage.ask(engine)
    assert ["l1"] == stage.layers(engine, credentials=replace(stage.credentials, api_key="sk-rotated"))


def test_refresh_asks_and_replaces(stage: Stage) -> None:
    """A refresh asks the provider although it need not, and later calls get its answer."""
    engine = stage.open()
    stage.ask(engine)
    stage.provider.script(Reply(text="Better."))
    assert "provider" == stage.ask(engine, cache="refresh").layer
    assert ("l1", "Better.") == _layer_and_text(stage, engine)
    stage.flush_redis()
    assert ("l2", "Better.") == _layer_and_text(stage, engine)


def test_bypass_leaves_no_trace(stage: Stage) -> None:
    """A bypass neither looks up nor stores."""
    engine = stage.open()
    stage.ask(engine)
    stage.provider.script(Reply(text="Unseen."))
    assert "Unseen." == stage.ask(engine, cache="bypass").text
    assert ("l1", "It stops calls to a service that is down.") == _layer_and_text(stage, engine)


def test_only_never_asks(stage: Stage) -> None:
    """A miss is an error, a hit is a hit."""
    engine = stage.open()
    with pytest.raises(OnlyCachedMiss, match=r"cache='use'"):
        stage.ask(engine, cache="only")
    assert 0 == stage.provider.count
    stage.ask(engine)
    assert ["l1"] == stage.layers(engine, cache="only")


def test_an_unknown_mode_is_refused(stage: Stage) -> None:
    """The sentence names the modes there are."""
    with pytest.raises(ConfigurationError, match="use, refresh, bypass, only"):
        stage.ask(stage.open(), cache="never")
    assert 0 == stage.provider.count


@pytest.mark.parametrize(
    "answer",
    [
        Reply(text="Half an ans", finish_reason="length"),
        Reply(text="Refused.", finish_reason="content_filter"),
        Reply(text="x" * 1200),
    ],
    ids=["cut", "filtered", "large"],
)
def test_broken_and_huge_answers_are_not_kept(stage: Stage, answer: Reply) -> None:
    """The caller gets them, others do not."""
    stage.provider.default = answer
    engine = stage.open(cache=CachePolicy(max_entry_bytes=1500))
    assert ["provider", "provider"] == stage.layers(engine, 2)


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "garbage": lambda _: b"garbage" * 10,
    "empty": lambda _: b"",
    "truncated": lambda value: value[: len(value) // 2],
    "flipped": lambda value: value[:-20] + bytes([value[-20] ^ 1]) + value[-19:],
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
@pytest.mark.parametrize("length", [1, 5000], ids=["plain", "compressed"])
def test_a_damaged_value_in_redis_is_a_miss(stage: Stage, damage: Callable[[bytes], bytes], length: int) -> None:
    """L2 answers instead, the damage is counted and repaired."""
    stage.provider.default = Reply(text="answer " * length)
    engine = stage.open()
    stage.ask(engine)
    (name,) = stage.entries_in_redis()
    with stage.redis() as client:
        client.set(name, damage(client.get(name) or b""), keepttl=True)
    assert ["l2", "l1"] == stage.layers(engine, 2)
    assert (1, 1) == (stats_of(engine)["l1"].corrupt, stats_of(engine)["l1"].hits)
    assert 1 == stage.provider.count


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
@pytest.mark.parametrize("length", [1, 5000], ids=["plain", "compressed"])
def test_a_damaged_value_in_postgres_is_a_miss(stage: Stage, damage: Callable[[bytes], bytes], length: int) -> None:
    """The provider answers instead, the damage is counted and repaired."""
    stage.provider.default = Reply(text="answer " * length)
    engine = stage.open()
    stage.ask(engine)
    stage.flush_redis()
    ((payload,),) = [tuple(row.values()) for row in stage.sql("SELECT payload FROM llm_cache")]
    stage.sql("UPDATE llm_cache SET payload = :payload", payload=damage(bytes(payload)))
    assert ["provider", "l1"] == stage.layers(engine, 2)
    assert 1 == stats_of(engine)["l2"].corrupt
    stage.flush_redis()
    assert ["l2"] == stage.layers(engine)


def test_an_entry_under_a_foreign_key_is_a_miss(stage: Stage) -> None:
    """Whoever swaps values in Redis and PostgreSQL gives nobody another question's answer."""
    engine = stage.open()
    stage.provider.default = lambda call: Reply(text=f"Answer to {call.body['messages'][-1]['content']}")
    stage.layers(engine, prompt="What is red?")
    stage.layers(engine, prompt="What is blue?")
    with stage.redis() as client:
        first, second = stage.entries_in_redis()
        swapped = {first: client.get(second) or b"", second: client.get(first) or b""}
        for name, value in swapped.items():
            client.set(name, value, keepttl=True)
    stage.sql("UPDATE llm_cache AS one SET payload = other.payload FROM llm_cache AS other WHERE one.key <> other.key")
    done = stage.ask(engine, "What is red?")
    assert ("provider", "Answer to What is red?") == (done.layer, done.text)
    assert (1, 1) == (stats_of(engine)["l1"].corrupt, stats_of(engine)["l2"].corrupt)


def _layer_and_text(stage: Stage, engine: Any) -> tuple[str, str]:
    done = stage.ask(engine)
    return done.layer, done.text
