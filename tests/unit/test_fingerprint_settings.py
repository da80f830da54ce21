"""Every setting and every field of our own request changes the exact key, or is ignored with a reason."""

from __future__ import annotations

import dataclasses
from dataclasses import replace
from typing import Any

import pytest
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.settings import ModelSettings, ToolOrOutput

from cognition.domain.completion import CompletionRequest, Credentials
from cognition.domain.fingerprint import IGNORED, address_of
from cognition.domain.output import output_type

SETTINGS = {
    "max_tokens",
    "temperature",
    "top_p",
    "top_k",
    "framing_announcement",
    "parallel_tool_calls",
    "tool_choice",
    "seed",
    "presence_penalty",
    "frequency_penalty",
    "logit_bias",
    "stop_sequences",
    "extra_headers",
    "thinking",
    "citations",
    "extra_body",
}


def key_of(**options: Any) -> bytes:
    """Return the exact key of a request."""
    return address_of(CompletionRequest(prompt="q", model="openai:gpt", **options)).key


def test_every_setting_is_decided() -> None:
    """Each setting that pydantic-ai knows is covered or ignored."""
    assert set(ModelSettings.__annotations__) == SETTINGS | set(IGNORED["settings"])


@pytest.mark.parametrize("name", [*sorted(SETTINGS), "openai_reasoning_effort", "anthropic_thinking"])
def test_settings_change_the_key(name: str) -> None:
    """A covered setting changes the key, also one that only one provider knows."""
    assert len({key_of(), key_of(settings={name: 1}), key_of(settings={name: 2})}) == 3


@pytest.mark.parametrize("name", sorted(IGNORED["settings"]))
def test_ignored_settings_change_nothing(name: str) -> None:
    """An ignored setting may even be something JSON cannot express, such as a timeout object."""
    assert key_of() == key_of(settings={name: object()})


def test_fields_of_our_own_request() -> None:
    """A field added to `CompletionRequest` or `Credentials` must be decided too; only the secret key is left out."""
    request = CompletionRequest(prompt="q", model="openai:gpt")
    others: dict[str, Any] = {
        "prompt": "other",
        "model": "openai:other",
        "tenant": "other",
        "namespace": "other",
        "instructions": "i",
        "settings": {"temperature": 0},
        "output": output_type(int),
        "parameters": ModelRequestParameters(allow_image_output=True),
        "credentials": Credentials(base_url="https://example.org"),
        "endpoint": "https://example.com",
    }
    assert others.keys() == {field.name for field in dataclasses.fields(CompletionRequest)}
    assert {"api_key", "base_url"} == {field.name for field in dataclasses.fields(Credentials)}
    changed = {address_of(replace(request, **{name: value})).key for name, value in others.items()}
    assert len({address_of(request).key, *changed}) == len(others) + 1
    assert address_of(request) == address_of(replace(request, credentials=Credentials(api_key="sk")))


def test_settings_may_hold_what_pydantic_ai_documents() -> None:
    """A dataclass or a set among the settings is covered, sets in any order."""
    one = key_of(settings={"tool_choice": ToolOrOutput(["f"]), "extra_body": {"x": {"a", "b", "c"}}})
    assert one == key_of(settings={"tool_choice": ToolOrOutput(["f"]), "extra_body": {"x": {"c", "b", "a"}}})
    assert one != key_of(settings={"tool_choice": ToolOrOutput(["g"]), "extra_body": {"x": {"a", "b", "c"}}})
