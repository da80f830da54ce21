"""Models are asked through the real SDKs, against a server that speaks their formats."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from typing import Any, Literal

import pytest
from pydantic import BaseModel
from pydantic_ai.messages import BinaryContent, ModelRequest, ModelResponse, SystemPromptPart, TextPart, UserPromptPart

from cognition.adapters.providers import ModelProvider
from cognition.domain.completion import CompletionRequest, Credentials
from cognition.domain.output import output_type
from cognition.errors import (
    ConfigurationError,
    ProviderTimeout,
    ProviderUnavailable,
    QuotaExhausted,
    RateLimited,
    RequestRejected,
)
from cognition.testing import CutConnection, FakeOpenAI, Fault, Hang, MalformedJson, Reply, Step, Usage


class Triage(BaseModel):
    """Where a ticket goes."""

    label: Literal["bug", "wish"]
    score: int


@pytest.fixture
def fake() -> Iterator[FakeOpenAI]:
    """A fresh fake provider that knows one key."""
    with FakeOpenAI(api_key="right") as opened:
        yield opened


@pytest.fixture
async def provider() -> AsyncIterator[ModelProvider]:
    """The adapter, closed after the test."""
    opened = ModelProvider()
    yield opened
    await opened.close()


def _request(model: str, fake: FakeOpenAI, key: str = "right", **asked: Any) -> CompletionRequest:
    base_url = fake.url if model.startswith("anthropic") else fake.base_url
    fields: dict[str, Any] = {"prompt": "What?", "credentials": Credentials(api_key=key, base_url=base_url), **asked}
    return CompletionRequest(model=model, **fields)


_MODELS = ["openai:gpt-5-mini", "openai-chat:gpt-5-mini", "anthropic:claude-haiku-4-5", "ollama:llama3"]


@pytest.mark.parametrize("model", _MODELS)
async def test_every_api_gives_text_and_usage(model: str, provider: ModelProvider, fake: FakeOpenAI) -> None:
    """One port, many APIs: the answer and its token counts come back the same."""
    fake.script(Reply(text="Because.", usage=Usage(12, 3)))

    response = await provider.ask(_request(model, fake))

    assert "Because." == response.text
    assert (12, 3) == (response.usage.input_tokens, response.usage.output_tokens)


@pytest.mark.parametrize("model", _MODELS)
@pytest.mark.parametrize("wanted", [Triage, list[Triage], Literal["urgent", "later"]], ids=str)
async def test_every_api_gives_structured_output(
    wanted: Any,
    model: str,
    provider: ModelProvider,
    fake: FakeOpenAI,
) -> None:
    """The schema reaches the provider and the answer can be read as the type."""
    output = output_type(wanted)

    response = await provider.ask(_request(model, fake, output=output))

    output.parse(response)


async def test_instructions_settings_and_images_reach_the_provider(provider: ModelProvider, fake: FakeOpenAI) -> None:
    """What can change the answer is really sent."""
    picture = BinaryContent(b"\x89PNG", media_type="image/png")
    earlier = [
        ModelRequest([SystemPromptPart("Be kind."), UserPromptPart("Hello")]),
        ModelResponse([TextPart("Hi")]),
    ]
    prompt = [*earlier, ModelRequest([UserPromptPart(["Describe this.", picture])])]

    await provider.ask(
        _request(
            "openai-chat:gpt-4o-mini", fake, prompt=prompt, instructions="Be brief.", settings={"temperature": 0.5}
        )
    )

    (call,) = fake.calls
    sent = str(call.body["messages"])
    assert 0.5 == call.body["temperature"]
    assert all(text in sent for text in ("Be brief.", "Be kind.", "Hello", "Hi", "Describe this.", "data:image/png"))


@pytest.mark.parametrize("model", _MODELS)
async def test_a_missing_reason_to_end_is_not_made_up(model: str, provider: ModelProvider, fake: FakeOpenAI) -> None:
    """Whoever asks can tell a whole answer from one that was cut off."""
    fake.script(Reply(text="Beca", finish_reason=None), Reply(text="Because."))

    responses = [await provider.ask(_request(model, fake)) for _ in range(2)]

    assert [None, "stop"] == [response.finish_reason for response in responses]


@pytest.mark.parametrize(
    ("step", "meaning"),
    [
        (Fault(status=503), ProviderUnavailable),
        (Fault(status=529), ProviderUnavailable),
        (Fault(status=429, headers={"retry-after": "3"}), RateLimited),
        (Fault(status=400, error_code="context_length_exceeded"), RequestRejected),
        (Fault(status=404, error_code="model_not_found"), RequestRejected),
        (CutConnection(), ProviderUnavailable),
        (CutConnection(after_bytes=10), ProviderUnavailable),
        (MalformedJson(), ProviderUnavailable),
        (Fault(status=200, body={"surprise": 1}), ProviderUnavailable),
    ],
    ids=repr,
)
@pytest.mark.parametrize("model", ["openai:gpt-5-mini", "openai-chat:gpt-5-mini", "anthropic:claude-haiku-4-5"])
async def test_a_failure_is_translated_and_not_retried(
    model: str, step: Step, meaning: type[Exception], provider: ModelProvider, fake: FakeOpenAI
) -> None:
    """The engine alone decides about retries: one call is one request."""
    fake.script(step)

    with pytest.raises(meaning):
        await provider.ask(_request(model, fake))

    assert 1 == fake.count


@pytest.mark.parametrize(
    ("model", "code"),
    [("openai-chat:gpt-5-mini", "insufficient_quota"), ("anthropic:claude-haiku-4-5", "billing_error")],
)
async def test_an_empty_account_is_not_a_rate_limit(
    model: str, code: str, provider: ModelProvider, fake: FakeOpenAI
) -> None:
    """Each provider's own code tells that waiting does not help, whatever the status."""
    fake.script(Fault(status=429, error_code=code))

    with pytest.raises(QuotaExhausted):
        await provider.ask(_request(model, fake))


async def test_the_wait_that_a_provider_asks_for_is_told(provider: ModelProvider, fake: FakeOpenAI) -> None:
    """Retry-After arrives in seconds."""
    fake.script(Fault(status=429, headers={"retry-after-ms": "1500"}))

    with pytest.raises(RateLimited) as caught:
        await provider.ask(_request("openai-chat:gpt-5-mini", fake))

    assert 1.5 == caught.value.retry_after


async def test_a_wrong_key_is_a_clear_sentence_without_the_key(provider: ModelProvider, fake: FakeOpenAI) -> None:
    """The user learns what to check, the log does not learn the key."""
    with pytest.raises(RequestRejected, match="refused the key") as caught:
        await provider.ask(_request("openai-chat:gpt-5-mini", fake, key="wrong-key"))

    assert "wrong-key" not in str(caught.value)


async def test_a_slow_answer_is_a_timeout(provider: ModelProvider, fake: FakeOpenAI) -> None:
    """The timeout of the settings holds."""
    fake.script(Hang())

    with pytest.raises(ProviderTimeout):
        await provider.ask(_request("openai-chat:gpt-5-mini", fake, settings={"timeout": 0.2}))


async def test_nobody_at_the_address_is_a_clear_sentence(provider: ModelProvider) -> None:
    """The sentence names host and port."""
    credentials = Credentials(api_key="k", base_url="http://127.0.0.1:9/v1")

    with pytest.raises(ProviderUnavailable, match=r"127\.0\.0\.1:9,"):
        await provider.ask(CompletionRequest(prompt="?", model="openai-chat:x", credentials=credentials))


@pytest.mark.parametrize(
    ("model", "credentials", "sentence"),
    [
        ("nobody:gpt", Credentials(), "no provider 'nobody'"),
        ("no-one:gpt", Credentials(api_key="k"), "no provider 'no-one'"),
        ("openai:gpt-5-mini", Credentials(), "set OPENAI_API_KEY"),
        ("anthropic:claude-haiku-4-5", Credentials(), "set ANTHROPIC_API_KEY"),
        ("ollama:llama3", Credentials(), "set OLLAMA_BASE_URL"),
        ("openai-chat:x", Credentials(base_url="localhost:8000"), "http://localhost:8000/v1"),
        ("openai-chat:x", Credentials(base_url="http://[half"), "http://localhost:8000/v1"),
        ("openai-chat:x", Credentials(api_key="schlüssel"), "api_key is empty or holds"),
        ("openai:x", Credentials(api_key="line\n"), "api_key is empty or holds"),
        ("anthropic:x", Credentials(api_key=""), "api_key is empty or holds"),
        ("deepseek:chat", Credentials(base_url="http://localhost"), "takes no base_url"),
        ("mistral:large", Credentials(api_key="k"), r"pip install 'pydantic-ai-slim\[mistral\]'"),
        ("local:gpt-9", Credentials(), "no local model 'gpt-9'"),
    ],
    ids=str,
)
async def test_what_cannot_work_is_said_before_anything_is_sent(
    model: str, credentials: Credentials, sentence: str, provider: ModelProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wrong name, a missing key or library, and a bad address each have their sentence."""
    for name in [name for name in os.environ if name.endswith(("_API_KEY", "_BASE_URL"))]:
        monkeypatch.delenv(name)

    with pytest.raises(ConfigurationError, match=sentence):
        await provider.ask(CompletionRequest(prompt="?", model=model, credentials=credentials))


async def test_half_a_character_is_a_clear_sentence(provider: ModelProvider, fake: FakeOpenAI) -> None:
    """A text cut in the middle of an emoji cannot be sent."""
    with pytest.raises(ConfigurationError, match="half a character"):
        await provider.ask(_request("openai-chat:gpt-5-mini", fake, prompt="cut \ud83d"))


@pytest.mark.parametrize("prompt", ["x" * 1_000_000, "👩‍👩‍👧‍👦 \u202e שלום"], ids=["1 MB", "emoji and RTL"])
async def test_any_real_text_arrives_unchanged(prompt: str, provider: ModelProvider, fake: FakeOpenAI) -> None:
    """Nothing is cut, escaped or normalised on the way."""
    await provider.ask(_request("openai-chat:gpt-5-mini", fake, prompt=prompt))

    (call,) = fake.calls
    assert prompt == call.body["messages"][-1]["content"]


async def test_a_missing_key_can_be_set_without_a_restart(
    provider: ModelProvider, fake: FakeOpenAI, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A failed start is forgotten; the SDK's own environment variables are honoured."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    request = CompletionRequest(prompt="?", model="openai-chat:gpt-5-mini")
    with pytest.raises(ConfigurationError):
        await provider.ask(request)
    monkeypatch.setenv("OPENAI_API_KEY", "right")
    monkeypatch.setenv("OPENAI_BASE_URL", fake.base_url)

    assert (await provider.ask(request)).text


async def test_concurrent_first_calls_share_one_connection_pool(provider: ModelProvider, fake: FakeOpenAI) -> None:
    """Many first calls at once are all answered, through one client."""
    requests = [_request("openai-chat:gpt-5-mini", fake, prompt=f"number {n}") for n in range(50)]

    answers = await asyncio.gather(*map(provider.ask, requests))

    assert [f"echo: number {n}" for n in range(50)] == [answer.text for answer in answers]


async def test_cancelling_closes_the_request(provider: ModelProvider, fake: FakeOpenAI) -> None:
    """A caller that gives up does not leave the provider working for nobody, and others go on."""
    fake.script(Hang())
    asking = asyncio.create_task(provider.ask(_request("openai-chat:gpt-5-mini", fake)))
    await asyncio.to_thread(fake.wait_for_calls, 1)

    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking

    assert (await provider.ask(_request("openai-chat:gpt-5-mini", fake))).text


def test_it_moves_to_a_new_loop(fake: FakeOpenAI) -> None:
    """After a fork or a restart the loop is another one; connections of the old one are not used."""
    provider = ModelProvider()

    async def ask_and_close() -> str | None:
        text = (await provider.ask(_request("openai-chat:gpt-5-mini", fake))).text
        await provider.close()
        return text

    assert ["echo: What?"] * 2 == [asyncio.run(ask_and_close()) for _ in range(2)]


async def test_a_local_model_answers_as_a_type(provider: ModelProvider) -> None:
    """The local model takes the whole path: name, server, schema, parsed value."""
    output = output_type(Literal["question", "order"])
    request = CompletionRequest(prompt="What time is it?", model="local:smollm2-135m", output=output)

    response = await provider.ask(request)

    assert output.parse(response) in {"question", "order"}
    assert response.usage.output_tokens > 0
