"""What an attempt can cost at most: never less than what it then costs, and no more than can be helped."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel
from pydantic_ai.messages import (
    AudioUrl,
    BinaryContent,
    CachePoint,
    DocumentUrl,
    ImageUrl,
    InstructionPart,
    ModelRequest,
    ModelResponse,
    TextPart,
    ToolReturnPart,
    UserContent,
    UserPromptPart,
)
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.native_tools import WebSearchTool
from pydantic_ai.usage import RequestUsage

from cognition.adapters.providers import GenaiPrices
from cognition.adapters.providers.model_limits import LONGEST_OUTPUT_TOKENS
from cognition.domain.completion import CompletionRequest
from cognition.domain.estimate import ceiling_of
from cognition.domain.output import output_type
from cognition.domain.pricing import Rate

NOW = datetime(2026, 11, 26, tzinfo=UTC)
MODEL = "openai-chat:gpt-5-mini"  # $0.25 and $2 for a million tokens, 400,000 tokens
A_MILLION = Decimal(1_000_000)


class Verdict(BaseModel):
    """A type with a schema."""

    urgent: bool


def a_request(prompt: Any = "Hello", **fields: Any) -> CompletionRequest:
    """Return a request that says how long its answer may be."""
    fields.setdefault("settings", {"max_tokens": 100})
    fields.setdefault("model", MODEL)
    return CompletionRequest(prompt=prompt, **fields)


def with_content(*content: UserContent) -> list[ModelRequest]:
    """Return a prompt that holds more than text."""
    return [ModelRequest(parts=[UserPromptPart(list(content))])]


def input_tokens(request: CompletionRequest) -> int:
    """Return the most tokens that are sent."""
    ceiling = ceiling_of(request)
    assert ceiling.input_tokens is not None
    return ceiling.input_tokens


def most(request: CompletionRequest, **overrides: Rate) -> Decimal:
    """Return the most that an attempt costs."""
    estimate = GenaiPrices(overrides).most_of(request, NOW)
    assert estimate.usd is not None, estimate.why
    return estimate.usd


@pytest.mark.parametrize("text", ["x" * 5000, "日本語のとても長い文です。" * 200, "🦄" * 500, "\ud800" * 50])
def test_every_byte_may_be_a_token(text: str) -> None:
    """Tokenizers fall back to bytes for what they do not know, and add a frame."""
    sent = len(text.encode("utf-8", "surrogatepass"))

    assert sent < input_tokens(a_request(text)) < sent + 200


def test_all_that_is_sent_counts() -> None:
    """Instructions, the whole conversation, tools and the schema of the answer are tokens as well."""
    plain = input_tokens(a_request())
    conversation = [
        ModelRequest(parts=[UserPromptPart("x" * 1000)]),
        ModelResponse(parts=[TextPart("y" * 1000)]),
        ModelRequest(parts=[UserPromptPart("z" * 1000)]),
    ]

    assert plain + 1000 == input_tokens(a_request(instructions="x" * 1000))
    assert plain + 3000 < input_tokens(a_request(conversation))
    assert plain + 1000 < input_tokens(a_request(output=output_type(Verdict)))


def test_a_picture_takes_as_much_as_the_largest_one() -> None:
    """Nobody knows its tokens before the provider has counted them; in a prompt or in what a tool returned."""
    picture = BinaryContent(data=b"png", media_type="image/png")
    tool = ModelRequest(parts=[ToolReturnPart(tool_name="look", content=[picture], tool_call_id="1")])
    for prompt in (with_content("What is this?", ImageUrl("https://example.com/a.png")), with_content(picture), [tool]):
        assert 50_000 < input_tokens(a_request(prompt)) < 51_000


@pytest.mark.parametrize(
    "request_",
    [
        a_request(with_content(DocumentUrl("https://example.com/a.pdf"))),
        a_request(settings={"max_tokens": 100, "openai_previous_response_id": "resp_1"}),
    ],
    ids=["document", "remembered"],
)
def test_what_is_not_seen_is_bounded_by_the_window_alone(request_: CompletionRequest) -> None:
    """A document, or a conversation that the provider keeps and sends again."""
    assert ceiling_of(request_).input_tokens is None
    assert Decimal("0.1002") == most(request_)  # 400,000 × $0.25 + 100 × $2, per million


@pytest.mark.parametrize(
    ("request_", "why"),
    [
        (a_request(with_content(AudioUrl("https://example.com/a.mp3"))), "audio"),
        (a_request(with_content(BinaryContent(data=b"mp3", media_type="audio/mpeg"))), "audio"),
        (a_request(parameters=ModelRequestParameters(native_tools=[WebSearchTool()])), "tools"),
        (a_request(settings={"max_tokens": 100, "extra_body": {"n": 10}}), "n in extra_body"),
        (a_request(settings={"max_tokens": 100, "openrouter_models": ["dear"]}), "openrouter_models"),
        (a_request(with_content(DocumentUrl("https://example.com/a.pdf")), model="x:no-window"), "can read"),
        (a_request(model="openai-chat:no-such-model"), None),
    ],
    ids=["audio address", "audio", "web search", "ten answers", "other models", "no window", "no price"],
)
def test_what_nothing_bounds_has_no_estimate(request_: CompletionRequest, why: str | None) -> None:
    """Audio, searches and several answers cost more than tokens tell: the rule for unknown prices decides."""
    rate = Rate(input_per_million=Decimal(1), output_per_million=Decimal(1))

    estimate = GenaiPrices({"x:no-window": rate}).most_of(request_, NOW)

    assert estimate.usd is None
    assert (why is None) == (estimate.why is None)
    assert (why or "") in (estimate.why or "")


def test_an_extra_body_that_asks_for_nothing_more_is_harmless() -> None:
    """Options of compatible servers bound as well as none."""
    settings = {"max_tokens": 100, "extra_body": {"chat_template_kwargs": {"enable_thinking": False}}}

    assert most(a_request()) <= most(a_request(settings=settings)) < most(a_request("x" * 200))


@pytest.mark.parametrize(
    ("model", "tokens"),
    [("openai-chat:gpt-4o-mini", 16_384), ("anthropic:claude-haiku-4-5", 64_000), ("openai:gpt-5-mini", 128_000)],
)
def test_an_answer_without_a_limit_is_as_long_as_the_model_allows(model: str, tokens: int) -> None:
    """Without `max_tokens` the model's own maximum bounds the answer."""
    limited = a_request(model=model, settings={"max_tokens": tokens})

    assert most(limited) == most(replace(limited, settings=None))


def test_an_unknown_model_answers_as_long_as_any() -> None:
    """A model of one's own with a price of one's own has a bound as well."""
    rate = Rate(input_per_million=Decimal(0), output_per_million=Decimal(1))

    assert LONGEST_OUTPUT_TOKENS / A_MILLION == most(
        a_request(model="openai-chat:mine", settings=None), **{"openai-chat:mine": rate}
    )


def test_the_dearest_way_to_count_is_taken() -> None:
    """Writing to the provider's cache costs a quarter more at Anthropic, for an hour twice as much."""
    text = "x" * 100_000
    claude = a_request(text, model="anthropic:claude-haiku-4-5", settings={"max_tokens": 1})
    cached = replace(claude, settings={"max_tokens": 1, "anthropic_cache_messages": "1h"})

    assert input_tokens(claude) * Decimal("1.25") / A_MILLION < most(claude)
    assert input_tokens(cached) * 2 / A_MILLION < most(cached)


def test_a_cached_prompt_is_not_taken_to_be_kept_for_an_hour() -> None:
    """Unless somebody asks for that, in a setting or in a message."""
    minutes = a_request(with_content("x" * 100_000, CachePoint()), model="anthropic:claude-haiku-4-5")
    hour = a_request(with_content("x" * 100_000, CachePoint(ttl="1h")), model="anthropic:claude-haiku-4-5")

    assert most(minutes) * Decimal("1.5") < most(hour)


def test_the_terms_that_are_asked_for_are_paid_for() -> None:
    """A provider's own name of a tier wins over the common one; of what it may choose the dearest counts; and haste."""
    plain, priority = most(a_request()), most(a_request(settings={"max_tokens": 100, "service_tier": "priority"}))
    both = {"max_tokens": 100, "service_tier": "flex", "openai_service_tier": "priority"}
    claude = {"model": "anthropic:claude-opus-4-8", "settings": {"max_tokens": 100}}
    fast = {**claude, "settings": {"max_tokens": 100, "anthropic_speed": "fast"}}

    assert plain < priority == most(a_request(settings=both))
    assert priority == most(a_request(settings={"max_tokens": 100, "service_tier": "auto"}))
    assert most(a_request(**claude)) < most(a_request(**fast))


def test_long_prompts_are_not_cut_to_a_window() -> None:
    """What a list says about a model may be older than the model."""
    text = "x" * 800_000

    assert len(text) < input_tokens(a_request(text, model="anthropic:claude-sonnet-4-5"))
    assert len(text) * Decimal(3) / A_MILLION < most(a_request(text, model="anthropic:claude-sonnet-4-5"))


def test_instructions_in_parameters_count() -> None:
    """An Agent passes them there."""
    parameters = ModelRequestParameters(instruction_parts=[InstructionPart(content="x" * 1000)])

    assert input_tokens(a_request()) + 1000 < input_tokens(a_request(parameters=parameters))


def test_a_tier_that_the_tokens_may_reach_is_paid_for() -> None:
    """A long prompt costs more for each of its tokens; what was asked for by name does so too."""
    long = a_request("x" * 300_000, model="openai:gpt-5.4")  # $2.50 for a million, $5 beyond 272,000 tokens
    urgent = a_request("x" * 1000, settings={"max_tokens": 100, "service_tier": "priority"})

    assert input_tokens(long) * 5 / A_MILLION < most(long)
    assert most(a_request("x" * 1000)) < most(urgent)


@given(st.text(max_size=300).filter(str.strip), st.integers(0, 1), st.integers(0, 100))
def test_no_usage_within_the_bounds_costs_more(text: str, cached: int, received: int) -> None:
    """Whatever part of the tokens is used, cached or written, the estimate covers it."""
    request = a_request(text, model="anthropic:claude-haiku-4-5")
    sent = len(text.encode("utf-8", "surrogatepass"))
    usage = RequestUsage(input_tokens=sent, output_tokens=received, cache_write_tokens=sent * cached)

    cost = GenaiPrices().cost_of(request.model, usage, NOW)

    assert cost is not None
    assert cost.usd <= most(request)
