"""The request and answer formats of the APIs that the fake provider speaks, as plain functions over JSON."""

import base64
import json
import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, cast

from cognition.adapters.memory.embedder import hashed_words
from cognition.testing.fake_script import Fault, FinishReason, JsonObject, Reply, Usage
from cognition.testing.fake_stream import chat_events, message_events
from cognition.testing.schema_instance import minimal_instance

_BYTES_PER_TOKEN = 4
_ECHO_LENGTH = 200
_EMBEDDING_DIMENSIONS = 256


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request asks for, whichever API it came through.

    Attributes:
        prompt: Text of the last message.
        schema: JSON schema that the answer must fit, if any.
        tool: Name of the tool that takes the answer as its arguments, if any.
        forced: Whether the answer must be a call of that tool.
    """

    prompt: str
    schema: JsonObject | None
    tool: str | None
    forced: bool


@dataclass(frozen=True, slots=True)
class Answer:
    """A successful answer, before an API's format is applied; `text` is the tool's arguments when `tool` is given."""

    number: int
    model: str
    text: str
    tool: str | None
    finish_reason: FinishReason | None
    usage: Usage | None


@dataclass(frozen=True, slots=True)
class Api:
    """One endpoint: how to read a request, write an answer or an error, and cut an answer into a stream's events."""

    read: Callable[[JsonObject], Asked]
    write: Callable[[Answer], JsonObject]
    write_error: Callable[[Fault], JsonObject]
    stream: Callable[[JsonObject], Iterable[str]] | None


def answer(api: Api, request: JsonObject, reply: Reply, number: int) -> JsonObject:
    """Return the body that answers a request as the reply says."""
    asked = api.read(request)
    text, tool = _content(asked, reply)
    estimate = Usage(_tokens(json.dumps(request)), _tokens(text))
    return api.write(
        Answer(
            number=number,
            model=str(request.get("model", "fake")),
            text=text,
            tool=tool,
            finish_reason="tool_call" if tool and reply.finish_reason == "stop" else reply.finish_reason,
            usage=(reply.usage or estimate) if reply.report_usage else None,
        )
    )


def embeddings(request: JsonObject) -> JsonObject:
    """Return unit vectors made from hashed words: equal texts get equal vectors, texts that share words near ones."""
    given: Any = request["input"]
    texts: list[Any] = [given] if isinstance(given, str) else given
    size = int(request.get("dimensions") or _EMBEDDING_DIMENSIONS)
    packed = request.get("encoding_format") == "base64"
    data = [
        {"object": "embedding", "index": index, "embedding": _packed(vector) if packed else vector}
        for index, vector in enumerate(hashed_words(str(text), size).tolist() for text in texts)
    ]
    used = sum(_tokens(str(text)) for text in texts)
    usage = {"prompt_tokens": used, "total_tokens": used}
    return {"object": "list", "model": request.get("model", "fake"), "data": data, "usage": usage}


def _content(asked: Asked, reply: Reply) -> tuple[str, str | None]:
    """Return the answer's text and the tool that it is the arguments of."""
    if reply.text is not None:
        return reply.text, None
    if reply.output is not None:
        return json.dumps(reply.output), asked.tool
    if asked.schema is not None and (asked.forced or asked.tool is None):
        return json.dumps(minimal_instance(asked.schema)), asked.tool
    return f"echo: {asked.prompt[:_ECHO_LENGTH]}", None


def _tokens(text: str) -> int:
    return max(1, len(text.encode()) // _BYTES_PER_TOKEN)


def _packed(vector: list[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()


def _object(value: object) -> JsonObject:
    return cast(JsonObject, value) if isinstance(value, dict) else {}


def _objects(value: object) -> list[JsonObject]:
    return [_object(item) for item in cast(list[object], value)] if isinstance(value, list) else []


def _last_text(messages: object) -> str:
    """Return the text of the last message; its content is a string, or a list of parts some of which have text."""
    content: object = messages if isinstance(messages, str) else (_objects(messages) or [{}])[-1].get("content", "")
    return content if isinstance(content, str) else "\n".join(str(part.get("text", "")) for part in _objects(content))


def _asked(prompt: str, schema: JsonObject | None, tools: dict[str, JsonObject], choice: object) -> Asked:
    """Return what is asked; of several tools the chosen one, else the first, takes the answer."""
    if not tools or choice == "none":
        return Asked(prompt, schema, None, forced=False)
    described = _object(choice) or {"type": choice}
    named = described.get("name") or _object(described.get("function")).get("name")
    tool = str(named or next(iter(tools)))
    forced = bool(named) or described["type"] in {"required", "any"}
    return Asked(prompt, tools.get(tool) if forced else schema, tool, forced=forced)


def _read_chat(request: JsonObject) -> Asked:
    tools = {tool["function"]["name"]: tool["function"]["parameters"] for tool in _objects(request.get("tools"))}
    schema = _object(_object(request.get("response_format")).get("json_schema")).get("schema")
    return _asked(_last_text(request.get("messages")), schema, tools, request.get("tool_choice"))


def _write_chat(done: Answer) -> JsonObject:
    message: JsonObject = {"role": "assistant", "content": done.text}
    if done.tool:
        function = {"name": done.tool, "arguments": done.text}
        message |= {
            "content": None,
            "tool_calls": [{"id": f"call_{done.number}", "type": "function", "function": function}],
        }
    reason = "tool_calls" if done.finish_reason == "tool_call" else done.finish_reason
    body: JsonObject = {
        "id": f"chatcmpl-{done.number}",
        "object": "chat.completion",
        "created": 0,
        "model": done.model,
        "choices": [{"index": 0, "message": message, "finish_reason": reason, "logprobs": None}],
    }
    if done.usage:
        body["usage"] = {
            "prompt_tokens": done.usage.input_tokens,
            "completion_tokens": done.usage.output_tokens,
            "total_tokens": done.usage.input_tokens + done.usage.output_tokens,
            "prompt_tokens_details": {"cached_tokens": done.usage.cached_tokens},
            "completion_tokens_details": {"reasoning_tokens": done.usage.reasoning_tokens},
        }
    return body


def _read_responses(request: JsonObject) -> Asked:
    tools = {tool["name"]: tool["parameters"] for tool in _objects(request.get("tools")) if tool["type"] == "function"}
    schema = _object(_object(request.get("text")).get("format")).get("schema")
    return _asked(_last_text(request.get("input")), schema, tools, request.get("tool_choice"))


def _write_responses(done: Answer) -> JsonObject:
    item: JsonObject = {
        "type": "message",
        "id": f"msg_{done.number}",
        "role": "assistant",
        "status": "completed",
        "content": [{"type": "output_text", "text": done.text, "annotations": []}],
    }
    if done.tool:
        item = {
            "type": "function_call",
            "id": f"fc_{done.number}",
            "call_id": f"call_{done.number}",
            "name": done.tool,
            "arguments": done.text,
            "status": "completed",
        }
    cut = {"length": "max_output_tokens", "content_filter": "content_filter"}.get(str(done.finish_reason))
    body: JsonObject = {
        "id": f"resp_{done.number}",
        "object": "response",
        "created_at": 0,
        "model": done.model,
        "status": "incomplete" if cut else "completed" if done.finish_reason else None,
        "incomplete_details": {"reason": cut} if cut else None,
        "output": [item],
        "error": None,
        "parallel_tool_calls": False,
        "tool_choice": "auto",
        "tools": [],
    }
    if done.usage:
        body["usage"] = {
            "input_tokens": done.usage.input_tokens,
            "input_tokens_details": {"cached_tokens": done.usage.cached_tokens},
            "output_tokens": done.usage.output_tokens,
            "output_tokens_details": {"reasoning_tokens": done.usage.reasoning_tokens},
            "total_tokens": done.usage.input_tokens + done.usage.output_tokens,
        }
    return body


def _read_messages(request: JsonObject) -> Asked:
    tools = {tool["name"]: tool["input_schema"] for tool in _objects(request.get("tools")) if "input_schema" in tool}
    schema = _object(_object(request.get("output_config")).get("format")).get("schema")
    return _asked(_last_text(request.get("messages")), schema, tools, request.get("tool_choice"))


def _write_messages(done: Answer) -> JsonObject:
    part: JsonObject = {"type": "text", "text": done.text}
    if done.tool:
        part = {"type": "tool_use", "id": f"toolu_{done.number}", "name": done.tool, "input": json.loads(done.text)}
    reasons = {"stop": "end_turn", "length": "max_tokens", "content_filter": "refusal", "tool_call": "tool_use"}
    usage = done.usage or Usage(0, 0)
    return {
        "id": f"msg_{done.number}",
        "type": "message",
        "role": "assistant",
        "model": done.model,
        "content": [part],
        "stop_reason": reasons.get(str(done.finish_reason)),
        "stop_sequence": None,
        "usage": {  # Anthropic counts cached tokens beside input tokens, not inside them
            "input_tokens": usage.input_tokens - usage.cached_tokens,
            "cache_read_input_tokens": usage.cached_tokens,
            "cache_creation_input_tokens": 0,
            "output_tokens": usage.output_tokens,
        },
    }


def _openai_error(fault: Fault) -> JsonObject:
    kind = fault.error_type or ("server_error" if fault.status >= 500 else "invalid_request_error")  # noqa: PLR2004 - HTTP's own classes
    return {"error": {"message": fault.message, "type": kind, "param": None, "code": fault.error_code}}


def _anthropic_error(fault: Fault) -> JsonObject:
    kind = fault.error_type or fault.error_code or "api_error"
    return {"type": "error", "error": {"type": kind, "message": fault.message}}


CHAT = Api(_read_chat, _write_chat, _openai_error, chat_events)
APIS = {
    "chat/completions": CHAT,
    "responses": Api(_read_responses, _write_responses, _openai_error, None),
    "messages": Api(_read_messages, _write_messages, _anthropic_error, message_events),
}
"""The completion APIs by the end of their path: Chat Completions, OpenAI Responses, Anthropic Messages."""
