"""The fake provider, asked through the real clients that users have."""

import http.client
import json
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import pytest
from openai import APIConnectionError, AsyncOpenAI, OpenAI
from pydantic import TypeAdapter
from pydantic_ai.exceptions import (
    ModelAPIError,
    ModelAuthenticationError,
    ModelConnectionError,
    ModelHTTPError,
    ModelOverloadedError,
    ModelQuotaExceededError,
    ModelRateLimitError,
    ModelTimeoutError,
    UnexpectedModelBehavior,
)
from pydantic_ai.messages import ModelMessage, ModelRequest, ModelResponse, ToolCallPart
from pydantic_ai.models import Model, ModelRequestParameters
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.output import OutputObjectDefinition
from pydantic_ai.providers.anthropic import AnthropicProvider
from pydantic_ai.providers.openai import OpenAIProvider
from pydantic_ai.settings import ModelSettings
from pydantic_ai.tools import ToolDefinition

from cognition.testing import CutConnection, FakeOpenAI, Fault, Hang, MalformedJson, ReceivedCall, Reply, Step, Usage

_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"label": {"type": "string", "enum": ["bug", "wish"]}},
    "required": ["label"],
    "additionalProperties": False,
}
_APIS = ["chat", "responses", "messages"]


@pytest.fixture
def provider() -> Iterator[FakeOpenAI]:
    """A fresh fake provider."""
    with FakeOpenAI() as opened:
        yield opened


def _model(api: str, provider: FakeOpenAI) -> Model:
    if api == "messages":
        return AnthropicModel("claude-haiku-4-5", provider=AnthropicProvider(base_url=provider.url, api_key="key-1"))
    openai = OpenAIProvider(base_url=provider.base_url, api_key="key-1")
    return (OpenAIChatModel if api == "chat" else OpenAIResponsesModel)("gpt-5-mini", provider=openai)


async def _ask(
    model: Model, parameters: ModelRequestParameters | None = None, *, timeout_seconds: float = 5.0
) -> ModelResponse:
    messages: list[ModelMessage] = [ModelRequest.user_text_prompt("What is a breaker?", instructions="Be brief.")]
    settings = ModelSettings(timeout=timeout_seconds, max_retries=0)
    async with model:
        return await model.request(messages, settings, parameters or ModelRequestParameters())


@pytest.mark.parametrize("api", _APIS)
async def test_each_api_answers_text_with_the_scripted_usage(api: str, provider: FakeOpenAI) -> None:
    """Text and token counts arrive through the real client of each API."""
    provider.script(Reply(text="A switch.", usage=Usage(100, 20, cached_tokens=60)))

    response = await _ask(_model(api, provider))

    assert "A switch." == response.text
    assert "stop" == response.finish_reason
    assert (100, 20, 60) == (
        response.usage.input_tokens,
        response.usage.output_tokens,
        response.usage.cache_read_tokens,
    )


@pytest.mark.parametrize("api", _APIS)
async def test_a_forced_tool_is_called_with_valid_arguments(api: str, provider: FakeOpenAI) -> None:
    """Structured output by tool gets an instance of the tool's schema."""
    tool = ToolDefinition(name="final_result", parameters_json_schema=_SCHEMA, kind="output")
    parameters = ModelRequestParameters(output_mode="tool", output_tools=[tool], allow_text_output=False)

    response = await _ask(_model(api, provider), parameters)

    call = response.parts[0]
    assert isinstance(call, ToolCallPart)
    assert ("final_result", {"label": "bug"}) == (call.tool_name, call.args_as_dict())


@pytest.mark.parametrize("api", _APIS)
async def test_a_schema_in_the_response_format_is_answered_with_json(api: str, provider: FakeOpenAI) -> None:
    """Native structured output gets an instance of the schema as text, and a scripted output as it is."""
    parameters = ModelRequestParameters(
        output_mode="native", output_object=OutputObjectDefinition(json_schema=_SCHEMA, name="Triage")
    )
    provider.script(Reply(), Reply(output={"label": "wish"}))

    texts = [(await _ask(_model(api, provider), parameters)).text for _ in range(2)]

    assert [{"label": "bug"}, {"label": "wish"}] == [json.loads(text or "") for text in texts]


@pytest.mark.parametrize(
    ("api", "step", "expected"),
    [
        ("chat", Fault(status=429, headers={"retry-after": "2"}), ModelRateLimitError),
        ("chat", Fault(status=429, error_code="insufficient_quota"), ModelQuotaExceededError),
        ("chat", Fault(status=503), ModelHTTPError),
        ("messages", Fault(status=529, error_type="overloaded_error"), ModelOverloadedError),
        ("responses", Fault(status=429), ModelRateLimitError),
        ("chat", CutConnection(), ModelConnectionError),
        ("chat", CutConnection(after_bytes=20), ModelConnectionError),
        ("chat", MalformedJson(), ModelAPIError),
        ("chat", Fault(status=200, body={"unexpected": True}), UnexpectedModelBehavior),
    ],
)
async def test_faults_reach_the_client_as_such(
    api: str, step: Step, expected: type[Exception], provider: FakeOpenAI
) -> None:
    """Each scripted fault is what the client library takes it for, and the next call is answered."""
    provider.script(step)

    with pytest.raises(expected):
        await _ask(_model(api, provider))

    assert (await _ask(_model(api, provider))).text
    assert 2 == provider.count


async def test_a_hanging_provider_runs_into_the_client_timeout(provider: FakeOpenAI) -> None:
    """Silence ends with the client's own timeout, and the server still closes at once."""
    provider.script(Hang())

    with pytest.raises(ModelTimeoutError):
        await _ask(_model("chat", provider), timeout_seconds=0.2)


async def test_a_wrong_key_is_refused() -> None:
    """A provider that knows one key refuses others, and never shows what it was given."""
    with FakeOpenAI(api_key="right") as strict:
        with pytest.raises(ModelAuthenticationError):
            await _ask(_model("chat", strict))

        assert "key-1" not in repr(strict.calls)


def test_a_step_may_be_a_function_of_the_call(provider: FakeOpenAI) -> None:
    """The default can look at what was asked."""
    provider.default = lambda call: Reply(text=f"{call.index}: {call.body['messages'][-1]['content']}")

    assert ["0: one", "1: two"] == [
        _post(provider, _chat(text))["choices"][0]["message"]["content"] for text in ("one", "two")
    ]


def test_a_hundred_connections_are_served_at_once(provider: FakeOpenAI) -> None:
    """None of a hundred simultaneous callers waits for another one's answer."""
    provider.default = lambda _: Reply(delay_seconds=0.2)

    with ThreadPoolExecutor(100) as callers:
        answers = [answer.result() for answer in [callers.submit(_post, provider, _chat(str(n))) for n in range(100)]]

    assert 100 == provider.count
    assert {f"echo: {n}" for n in range(100)} == {answer["choices"][0]["message"]["content"] for answer in answers}


def test_a_chat_stream_is_cut_where_the_script_says(provider: FakeOpenAI) -> None:
    """A streamed answer arrives whole, or ends in the middle."""
    provider.script(Reply(text="all of it"), CutConnection(after_bytes=50))
    client = OpenAI(base_url=provider.base_url, api_key="any", max_retries=0)

    with client:
        whole, cut = (_stream(client) for _ in range(2))

        assert "all of it" == "".join(whole)
        with pytest.raises(APIConnectionError):
            list(cut)


def test_usage_and_finish_reason_can_be_missing(provider: FakeOpenAI) -> None:
    """An answer may lack its usage and the reason why it ended."""
    provider.script(Reply(text="…", report_usage=False, finish_reason=None))

    answer = _post(provider, _chat("hi"))

    assert "usage" not in answer
    assert answer["choices"][0]["finish_reason"] is None


async def test_embeddings_are_deterministic_and_near_for_shared_words(provider: FakeOpenAI) -> None:
    """Equal texts get equal vectors, related texts are more similar than unrelated ones."""
    texts = ["red green blue", "red green blue", "red green grey", "one two three"]

    async with AsyncOpenAI(base_url=provider.base_url, api_key="any") as client:
        made = await client.embeddings.create(model="fake", input=texts, dimensions=64)

    first, same, near, far = (item.embedding for item in made.data)
    similarities = [sum(a * b for a, b in zip(first, other, strict=True)) for other in (same, near, far)]
    assert similarities == sorted(similarities, reverse=True)
    assert pytest.approx(1.0, abs=1e-6) == similarities[0]
    assert 64 == len(first)


def test_waiting_for_calls_that_never_come_is_an_error(provider: FakeOpenAI) -> None:
    """A test that waits for a call learns that it did not come."""
    with pytest.raises(TimeoutError, match="0 of 1"):
        provider.wait_for_calls(1, timeout_seconds=0.01)


def test_it_runs_in_a_process_of_its_own() -> None:
    """The command prints its address, answers, counts, and forgets on request."""
    command = [sys.executable, "-m", "cognition.testing", "--text", "from afar"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            address: str = process.stdout.readline().strip()
            connection = http.client.HTTPConnection(urlsplit(address).netloc)

            answer = _exchange(connection, "POST", "/v1/chat/completions", _chat("hi"))
            counted = _exchange(connection, "GET", "/__calls__")["count"]
            _exchange(connection, "DELETE", "/__calls__")

            assert "from afar" == answer["choices"][0]["message"]["content"]
            assert (1, 0) == (counted, _exchange(connection, "GET", "/__calls__")["count"])
            connection.close()
        finally:
            process.terminate()


def test_a_received_call_tells_what_was_asked(provider: FakeOpenAI) -> None:
    """The record of a call has its path and body, and no credentials."""
    _post(provider, _chat("hi"))

    (call,) = provider.calls
    assert isinstance(call, ReceivedCall)
    assert ("/v1/chat/completions", "***") == (call.path, call.headers["authorization"])
    assert TypeAdapter(dict[str, Any]).validate_python(_chat("hi")) == call.body


def _stream(client: OpenAI) -> Iterator[str]:
    chunks = client.chat.completions.create(model="m", messages=[{"role": "user", "content": "hi"}], stream=True)
    for chunk in chunks:
        yield from (choice.delta.content or "" for choice in chunk.choices)


def _chat(text: str) -> dict[str, Any]:
    return {"model": "gpt-5-mini", "messages": [{"role": "user", "content": text}]}


def _post(provider: FakeOpenAI, body: dict[str, Any]) -> dict[str, Any]:
    connection = http.client.HTTPConnection(urlsplit(provider.url).netloc)
    try:
        return _exchange(connection, "POST", "/v1/chat/completions", body)
    finally:
        connection.close()


def _exchange(
    connection: http.client.HTTPConnection, method: str, path: str, body: dict[str, Any] | None = None
) -> dict[str, Any]:
    headers = {"authorization": "Bearer secret", "content-type": "application/json"}
    connection.request(method, path, json.dumps(body) if body is not None else None, headers)
    return json.loads(connection.getresponse().read())
