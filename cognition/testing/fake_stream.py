"""Whole answers cut into the server-sent events in which the APIs stream them.

Anthropic's is needed even by clients that do not ask for a stream: pydantic-ai streams long answers behind the scenes.
"""

import json
from collections.abc import Iterator

from cognition.testing.fake_script import JsonObject


def chat_events(body: JsonObject) -> Iterator[str]:
    """Yield a Chat Completions answer as chunks: role, content, finish reason, usage, end."""
    common = {name: body[name] for name in ("id", "created", "model")} | {"object": "chat.completion.chunk"}
    (choice,) = body["choices"]
    delta = {name: value for name, value in choice["message"].items() if value is not None}
    if "tool_calls" in delta:
        delta["tool_calls"] = [{"index": index, **call} for index, call in enumerate(delta["tool_calls"])]
    for part, reason in ((delta, None), ({}, choice["finish_reason"])):
        yield _event({**common, "choices": [{"index": 0, "delta": part, "finish_reason": reason}]})
    if "usage" in body:
        yield _event({**common, "choices": [], "usage": body["usage"]})
    yield "data: [DONE]\n\n"


def message_events(body: JsonObject) -> Iterator[str]:
    """Yield an Anthropic Messages answer as events: start, one content block, end."""
    (block,) = body["content"]
    start: JsonObject = {**block, "text": ""}
    delta: JsonObject = {"type": "text_delta", "text": block.get("text")}
    if block["type"] == "tool_use":
        start = {**block, "input": {}}
        delta = {"type": "input_json_delta", "partial_json": json.dumps(block["input"])}
    reason = {"stop_reason": body["stop_reason"], "stop_sequence": None}
    events: list[JsonObject] = [
        {"type": "message_start", "message": {**body, "content": [], "stop_reason": None}},
        {"type": "content_block_start", "index": 0, "content_block": start},
        {"type": "content_block_delta", "index": 0, "delta": delta},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": reason, "usage": {"output_tokens": body["usage"]["output_tokens"]}},
        {"type": "message_stop"},
    ]
    for event in events:
        yield f"event: {event['type']}\n{_event(event)}"


def _event(data: JsonObject) -> str:
    return f"data: {json.dumps(data)}\n\n"
