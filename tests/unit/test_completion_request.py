"""What a request refuses, and how it is read."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from pydantic_ai.messages import ModelRequest, ModelResponse, TextPart, UserPromptPart
from pydantic_ai.usage import RequestUsage

from cognition.domain.attribution import Attribution, attribution_of
from cognition.domain.completion import Call, Completion, CompletionRequest, Credentials, check_prompts
from cognition.domain.entry import Layer
from cognition.errors import ConfigurationError
from cognition.events import RetryScheduled

QUESTION = ModelRequest([UserPromptPart("q")])


@pytest.mark.parametrize(
    ("prompt", "sentence"),
    [
        ("", "The prompt is empty; pass a text or pydantic-ai messages."),
        (" \n\t", "The prompt is empty; pass a text or pydantic-ai messages."),
        ([], "The prompt is empty; pass a text or pydantic-ai messages."),
        (None, "The prompt is NoneType; pass a text or pydantic-ai messages."),
        (7, "The prompt is int; pass a text or pydantic-ai messages."),
        ({"role": "user"}, "The prompt is dict; pass a text or pydantic-ai messages."),
        (["q"], "The prompt holds a str; pass a text or pydantic-ai messages."),
        ([{"role": "user"}], "The prompt holds a dict; pass a text or pydantic-ai messages."),
        (b"q", "The prompt is bytes; pass a text or pydantic-ai messages."),
        (
            [QUESTION, ModelResponse([TextPart("a")])],
            "The prompt ends with the model's own message; pass a text or pydantic-ai messages.",
        ),
    ],
)
def test_a_prompt_nobody_can_answer_is_refused_in_one_sentence(prompt: Any, sentence: str) -> None:
    """The caller learns what to pass instead."""
    with pytest.raises(ConfigurationError) as caught:
        CompletionRequest(prompt=prompt, model="openai:gpt")
    assert str(caught.value) == sentence


@pytest.mark.parametrize("model", ["", "gpt", "openai:", ":gpt", ":"])
def test_a_model_without_provider_is_refused(model: str) -> None:
    """The sentence shows the form."""
    with pytest.raises(ConfigurationError, match="names no provider; write 'provider:model'"):
        CompletionRequest(prompt="q", model=model)


@pytest.mark.parametrize("field", ["tenant", "namespace"])
def test_an_empty_owner_is_refused(field: str) -> None:
    """An empty tenant is a mistake, not a tenant."""
    names: dict[str, Any] = {field: ""}
    with pytest.raises(ConfigurationError, match="is empty or not printable"):
        CompletionRequest(prompt="q", model="openai:gpt", **names)


def test_a_request_is_read_as_messages() -> None:
    """A text is one user prompt; a list stays what it is."""
    (message,) = CompletionRequest(prompt="q", model="openai:gpt").messages
    assert isinstance(message, ModelRequest)
    assert [part.content for part in message.parts if isinstance(part, UserPromptPart)] == ["q"]
    assert CompletionRequest(prompt=(QUESTION,), model="openai:gpt").messages == [QUESTION]
    assert CompletionRequest(prompt="q", model="openai:ft:gpt:me").provider == "openai"


def test_no_secret_is_shown() -> None:
    """Neither the credentials nor the request nor a call, which every event holds, print key or address of a server."""
    credentials = Credentials(api_key="sk-secret")
    request = CompletionRequest(
        prompt="q", model="openai:gpt", credentials=credentials, endpoint="https://me:sk-secret@host/v1"
    )
    call = Call(request=request, attribution=Attribution(), request_id="r")
    assert "sk-secret" not in f"{credentials!r} {request!r} {call!r} {RetryScheduled(call, 1, 0.5, 'E')!r}"


@pytest.mark.parametrize("address", ["https://me:pw-secret@host/v1", "https://pw-secret@host", "me:pw-secret@host/v1"])
def test_a_password_in_an_address_is_refused(address: str) -> None:
    """The address is shown where the key is not; the sentence does not repeat it."""
    with pytest.raises(ConfigurationError, match="use api_key for secrets") as caught:
        Credentials(base_url=address)
    assert "secret@" not in str(caught.value)


def test_a_path_may_hold_an_at_sign() -> None:
    """Only what stands before the host is a user."""
    assert Credentials(base_url="https://host/models/a@1").base_url == "https://host/models/a@1"


@pytest.mark.parametrize("prompts", ["abc", b"abc", 7, {"a"}, iter("a")], ids=type)
def test_what_is_no_list_of_prompts_is_refused(prompts: object) -> None:
    """Above all one text, whose letters would be asked one by one."""
    with pytest.raises(ConfigurationError, match=r"^The prompts are one \w+; pass a list of prompts\.$"):
        check_prompts(prompts)


def test_an_attribution_that_is_none_is_refused() -> None:
    """Before the provider is asked, not when the ledger is written."""
    with pytest.raises(ConfigurationError, match=r"^The attribution is a str; pass Attribution\(user=...\)\.$"):
        attribution_of("alice", Attribution(team="support"))


def test_a_completion_reads_its_response() -> None:
    """Text and usage are the response's."""
    response = ModelResponse([TextPart("Yes.")], usage=RequestUsage(input_tokens=3))
    done = Completion(
        output="Yes.",
        response=response,
        layer=Layer.PROVIDER,
        request_id="r",
        model="m",
        requested_model="m",
        cost_usd=Decimal(0),
        saved_usd=Decimal(0),
        latency=timedelta(),
    )
    assert (done.text, done.usage.input_tokens, done.layer) == ("Yes.", 3, "provider")


def test_unset_attribution_is_filled_from_another() -> None:
    """What a call says wins over what its run says, field by field."""
    call = Attribution(user="alice", tags=("a",))
    run = Attribution(user="bob", team="support", run_count=2, tags=("b",))
    assert call.with_defaults_from(run) == Attribution(user="alice", team="support", run_count=2, tags=("a",))
    assert Attribution().with_defaults_from(run) == run


def test_an_answer_is_labelled_with_whom_it_was_made_for() -> None:
    """A user and a team are labels like the free ones, each once, so that their answers can be invalidated."""
    who = Attribution(user="alice", team="support", tags=("project:atlas", "team:support"))
    assert who.labels == ("project:atlas", "team:support", "user:alice")
    assert Attribution(workflow="nightly").labels == ()
