"""Nothing but the text of the last message may differ between a question and the one that answers it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pydantic_ai.messages import (
    ImageUrl,
    ModelRequest,
    ModelResponse,
    SystemPromptPart,
    TextPart,
    ToolReturnPart,
    UserPromptPart,
)
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.tools import ToolDefinition

from cognition.adapters.memory import MemoryEmbedder
from cognition.domain.completion import CompletionRequest, Prompt
from tests.unit.memory_engine import OpenProvider, Rig, an_answer
from tests.unit.near import ASKED, CACHED, LENIENT, SETTINGS, MakeNear, asked_of_provider, near_parts

# Everything passes that the guard does not refuse, so that only the scope can keep two questions apart.
ANYTHING = replace(LENIENT, threshold=0.0, floor=0.0, max_error=None)
TOOL = ModelRequestParameters(
    function_tools=[ToolDefinition(name="search", parameters_json_schema={"type": "object", "properties": {}})]
)


class Affirmative(OpenProvider):
    """Answers every question by what is a text and a value."""

    async def ask(self, request: CompletionRequest) -> ModelResponse:
        """Say yes."""
        await super().ask(request)
        return an_answer('{"response": "yes"}')


@dataclass(frozen=True)
class Asked:
    """One way to ask a text."""

    prompt: Callable[[str], Prompt] = lambda text: text
    tenant: str = "default"
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])


def _talk(*before: Any) -> Callable[[str], Prompt]:
    """Return what makes a conversation of a text and what was said before."""
    return lambda text: [*before, ModelRequest([UserPromptPart(text)])]


def _shown(*images: str) -> Callable[[str], Prompt]:
    return lambda text: [ModelRequest([UserPromptPart([text, *map(ImageUrl, images)])])]


_HELLO = ModelRequest([UserPromptPart("Hello.")])

WAYS: dict[str, Asked] = {
    "plain": Asked(),
    "instructions": Asked(options={"instructions": "Be brief."}),
    "other-instructions": Asked(options={"instructions": "Be long."}),
    "system": Asked(_talk(ModelRequest([SystemPromptPart("Be brief.")]))),
    "model": Asked(options={"model": "openai-chat:gpt-5"}),
    "provider": Asked(options={"model": "openai:gpt-5-mini"}),
    "temperature": Asked(options={"settings": {"temperature": 0.0}}),
    "other-temperature": Asked(options={"settings": {"temperature": 1.0}}),
    "output": Asked(options={"output": Literal["yes", "no"]}),
    "tool": Asked(options={"parameters": TOOL}),
    "earlier-question": Asked(_talk(_HELLO, ModelResponse([TextPart("Hello.")]))),
    "other-answer": Asked(_talk(_HELLO, ModelResponse([TextPart("What do you want?")]))),
    "image": Asked(_shown("https://example.com/a.png")),
    "other-image": Asked(_shown("https://example.com/b.png")),
    "two-images": Asked(_shown("https://example.com/a.png", "https://example.com/b.png")),
    "namespace": Asked(options={"namespace": "other"}),
    "tenant": Asked(tenant="umbrella"),
}

_WORDS = st.sampled_from(["reset", "my", "password", "how", "do", "Lisbon", "7", "not", "train", "the"])
_TEXTS = st.lists(_WORDS, min_size=1, max_size=6).map(" ".join) | st.text(min_size=1).filter(str.strip)


@settings(max_examples=150, deadline=None)
@given(texts=st.tuples(_TEXTS, _TEXTS) | _TEXTS.map(lambda text: (text, text)), ways=st.data())
def test_another_scope_never_matches(texts: tuple[str, str], ways: st.DataObject) -> None:
    """Whatever the texts are, however alike: what was answered in one way never answers in another."""
    first, second = ways.draw(st.permutations(sorted(WAYS)).map(lambda names: names[:2]))
    cached, asked = WAYS[first], WAYS[second]
    one = Rig(**_parts(cached.tenant))
    other = Rig(**_parts(asked.tenant), beside=one)
    with closing(one.engine), closing(other.engine):
        one.engine.complete(cached.prompt(texts[0]), **cached.options)
        assert "provider" == other.layer(asked.prompt(texts[1]), **asked.options)


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_the_same_scope_matches(make_near: MakeNear, way: Asked) -> None:
    """Each of these ways would be answered from L3, if the other question had been asked the same way."""
    rig = make_near(**_parts(way.tenant))
    rig.engine.complete(way.prompt(CACHED), **way.options)
    assert "l3" == rig.layer(way.prompt(ASKED), **way.options)


@settings(max_examples=60, deadline=None)
@given(
    head=st.lists(_WORDS, min_size=8, max_size=8).map(" ".join),
    tails=st.tuples(*[st.lists(_WORDS, max_size=4).map(" ".join)] * 2),
)
def test_what_lies_past_the_window_counts(head: str, tails: tuple[str, str]) -> None:
    """Two prompts with one head are two questions, and a longer one is answered by nobody's head."""
    cached, asked = (f"{head} {tail}".strip() for tail in tails)
    assume(cached != asked)
    assume(tails[0] or tails[1])
    rig = Rig(**_parts("default", embedder=MemoryEmbedder(window=8)))
    with closing(rig.engine):
        assert ["provider", "provider"] == [rig.layer(prompt) for prompt in (cached, asked)]
        assert int(not all(tails)) == len(rig.semantic)


def test_after_a_tools_answer_only_the_same_request_matches(near: Rig) -> None:
    """The last message has no question of a user's that could be compared."""

    def told(text: str) -> Prompt:
        answer = ToolReturnPart(tool_name="search", content=text, tool_call_id="1")
        return [ModelRequest([UserPromptPart(CACHED)]), ModelResponse([TextPart("…")]), ModelRequest([answer])]

    layers = [near.layer(told(text), semantic=ANYTHING) for text in ("found", "found", "Found.")]
    assert ["provider", "l1", "provider"] == layers
    assert ([], 0) == (near.semantic.asked, len(near.semantic))


def test_a_conversation_is_compared_by_its_last_question(near: Rig) -> None:
    """What stands before it is part of the scope, not of the text."""
    before = [ModelRequest([UserPromptPart("Hello.")]), ModelResponse([TextPart("Hello.")])]
    near.engine.complete(_talk(*before)(CACHED))
    done = near.engine.complete(_talk(*before)(ASKED))
    assert "l3" == done.layer
    assert done.similarity == pytest.approx(1.0)
    assert 1 == len(asked_of_provider(near))


def _parts(tenant: str, **parts: Any) -> dict[str, Any]:
    update = {"semantic": ANYTHING, "tenant": tenant}
    return near_parts(provider=Affirmative(), settings=SETTINGS.model_copy(update=update), **parts)
