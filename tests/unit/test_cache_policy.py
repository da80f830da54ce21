"""What may be looked up and stored, and for how long."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic_ai.messages import (
    BinaryImage,
    FilePart,
    ModelMessagesTypeAdapter,
    ModelResponse,
    TextPart,
    ThinkingPart,
    ToolCallPart,
)

from cognition.domain.cache_policy import CachePolicy, policy_of, refusal_to_store
from cognition.domain.entry import Layer
from cognition.errors import ConfigurationError


def an_answer(*parts: Any, **fields: Any) -> ModelResponse:
    """Return an answer that may be kept."""
    fields.setdefault("finish_reason", "stop")
    return ModelResponse(parts or [TextPart("Yes.")], **fields)


@pytest.mark.parametrize(
    ("mode", "may_look_up", "may_store"),
    [("use", True, True), ("refresh", False, True), ("bypass", False, False), ("only", True, False)],
)
def test_modes(mode: Any, *, may_look_up: bool, may_store: bool) -> None:
    """Each mode is a pair of permissions."""
    policy = CachePolicy(mode=mode)
    assert (policy.may_look_up, policy.may_store) == (may_look_up, may_store)


@given(st.floats(0, 1, exclude_max=True), st.floats(0, 0.99), st.sampled_from([Layer.L1, Layer.L2, Layer.L3]))
def test_a_life_is_the_ttl_give_or_take_the_jitter(share: float, jitter: float, layer: Layer) -> None:
    """The draw spreads lives evenly over ±jitter, and no life is zero."""
    policy = CachePolicy(jitter=jitter)
    ttl = {Layer.L1: policy.l1_ttl, Layer.L2: policy.l2_ttl, Layer.L3: policy.l3_ttl}[layer]
    life = policy.life(layer, share)
    assert life > timedelta(0)
    assert abs(life / ttl - (1 + jitter * (2 * share - 1))) < 1e-6


def test_default_lives() -> None:
    """5 minutes, an hour and a day, as the design says."""
    policy = CachePolicy()
    lives = [policy.life(layer, 0.5) for layer in (Layer.L1, Layer.L2, Layer.L3)]
    assert lives == [timedelta(minutes=5), timedelta(hours=1), timedelta(hours=24)]


@pytest.mark.parametrize(
    ("wrong", "hint"),
    [
        ({"mode": "off"}, "one of use, refresh, bypass, only"),
        ({"mode": None}, "one of use, refresh, bypass, only"),
        ({"l1_ttl": timedelta(0)}, "longer than zero"),
        ({"l2_ttl": timedelta(seconds=-1)}, "longer than zero"),
        ({"jitter": 1.0}, "at least 0 and below 1"),
        ({"jitter": -0.1}, "at least 0 and below 1"),
        ({"jitter": float("nan")}, "at least 0 and below 1"),
        ({"max_entry_bytes": 0}, "above zero"),
    ],
)
def test_values_that_cannot_be_meant_are_refused(wrong: dict[str, Any], hint: str) -> None:
    """The sentence says what would be right."""
    with pytest.raises(ConfigurationError, match=hint):
        CachePolicy(**wrong)


def test_a_mode_alone_keeps_the_rest_of_the_default() -> None:
    """`cache="refresh"` changes how the cache is used, not how long entries live."""
    default = CachePolicy(l1_ttl=timedelta(seconds=7), jitter=0.0, max_entry_bytes=9)
    assert policy_of("refresh", default) == CachePolicy(
        mode="refresh", l1_ttl=timedelta(seconds=7), jitter=0.0, max_entry_bytes=9
    )
    assert policy_of("use", default) is default
    assert policy_of(own := CachePolicy(), default) is own
    wrong: Any = "never"
    with pytest.raises(ConfigurationError, match="'never' is unknown"):
        policy_of(wrong, default)


KEPT: dict[str, ModelResponse] = {
    "text": an_answer(),
    "tool call": an_answer(ToolCallPart("weather", {}), finish_reason="tool_call"),
    "image": an_answer(FilePart(BinaryImage(data=b"\x89PNG", media_type="image/png"))),
    "half a surrogate pair": an_answer(TextPart("\ud83d")),
    "odd details": an_answer(provider_details={"raw": b"\xff", "object": object(), "number": float("nan")}),
}


@pytest.mark.parametrize("answer", KEPT.values(), ids=KEPT)
def test_finished_answers_are_kept(answer: ModelResponse) -> None:
    """What was paid for and is whole may answer others, however odd its details are."""
    assert refusal_to_store(answer, CachePolicy()) is None


REFUSED: dict[str, tuple[ModelResponse, str]] = {
    "cut off": (an_answer(finish_reason="length"), "not finished: length"),
    "filtered": (an_answer(finish_reason="content_filter"), "not finished: content_filter"),
    "failed": (an_answer(finish_reason="error"), "not finished: error"),
    "unknown end": (an_answer(finish_reason=None), "not finished: complete"),
    "paused": (an_answer(finish_reason="stop", state="suspended"), "not finished: stop"),
    "empty": (an_answer(TextPart("")), "empty answer"),
    "blank": (an_answer(TextPart(" \n")), "empty answer"),
    "only thoughts": (an_answer(ThinkingPart("hm")), "empty answer"),
    "nothing": (ModelResponse([], finish_reason="stop"), "empty answer"),
}


@pytest.mark.parametrize(("answer", "reason"), REFUSED.values(), ids=REFUSED)
def test_broken_answers_are_not_kept(answer: ModelResponse, reason: str) -> None:
    """One caller's bad luck must not be repeated to others."""
    assert refusal_to_store(answer, CachePolicy()) == reason


@pytest.mark.parametrize("letter", ["a", "é", "\u0001", "😀", "\\"], ids=ascii)
@pytest.mark.parametrize("count", [1, 900, 4000])
def test_the_limit_is_exact_whatever_is_written(letter: str, count: int) -> None:
    """Short plain answers are kept without making their JSON; that must never let a larger one through."""
    answer = an_answer(TextPart(letter * count))
    size = len(json.dumps(ModelMessagesTypeAdapter.dump_python([answer], mode="json"), ensure_ascii=False).encode())
    assert None is refusal_to_store(answer, CachePolicy(max_entry_bytes=size))
    assert "too large" == refusal_to_store(answer, CachePolicy(max_entry_bytes=size - 1))


def test_an_answer_too_large_is_not_kept() -> None:
    """The limit is on the JSON, in bytes."""
    answer = an_answer(TextPart("é" * 1000))
    assert refusal_to_store(answer, CachePolicy(max_entry_bytes=2000)) == "too large"
    assert refusal_to_store(answer, CachePolicy(max_entry_bytes=4000)) is None


@pytest.mark.parametrize("mode", ["bypass", "only"])
def test_a_policy_may_forbid_to_keep(mode: Any) -> None:
    """Even a perfect answer is not kept then."""
    assert refusal_to_store(an_answer(), CachePolicy(mode=mode)) == "the policy forbids it"
