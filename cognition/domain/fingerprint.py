"""From a request to its exact key and scope key.

Both are SHA-256 digests of canonical JSON: keys sorted, no white space, text in Unicode NFC, no case folding. The
scope key covers everything that can change an answer except the text of the last user message; the exact key covers
the scope key and that text. So two requests share a scope exactly when they differ in nothing but that text.

The JSON starts with a version: a change of what is covered, or how, must raise `VERSION`, which makes all older
entries unreachable instead of wrong. Fields are covered unless they stand in `IGNORED` with a reason, so a field that
a new release of pydantic-ai adds is covered by itself; a test then asks for a decision.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from functools import lru_cache
from itertools import chain
from typing import Any, NamedTuple, cast
from unicodedata import is_normalized, normalize

from pydantic import TypeAdapter
from pydantic_ai.messages import ModelMessage, ModelMessagesTypeAdapter
from pydantic_ai.models import ModelRequestParameters
from pydantic_core import PydanticSerializationError, to_jsonable_python

from cognition.domain.completion import CompletionRequest, Prompt, messages_of
from cognition.domain.entry import Address
from cognition.domain.output import OutputType
from cognition.errors import ConfigurationError

VERSION = 1

_TIME = "when it was made, not what it says"
_RUN = "identifies a run, is not sent to the provider"
_LOCAL = "kept by pydantic-ai for the application, is not sent to the provider"
_REPORT = "what an earlier answer took, not what it says"
_DERIVED = "derived from the earlier messages, which are covered"
_TRANSPORT = "how long and how often to try, not what is asked"
_BILLING = "changes price or speed, not the answer"

IGNORED: Mapping[str, Mapping[str, str]] = {
    # Identifiers and details that a provider gave with an earlier answer are covered: they are sent back to it, and its
    # own memory of the conversation may hang on them.
    "message": {
        "timestamp": _TIME,
        "run_id": _RUN,
        "conversation_id": _RUN,
        "metadata": _LOCAL,
        "workspace_ref": _LOCAL,
        "usage": _REPORT,
        "failed_attempts": _REPORT,
        "history_digest": _DERIVED,
    },
    "part": {"timestamp": _TIME, "dynamic_ref": _LOCAL, "metadata": _LOCAL},
    "content": {"metadata": _LOCAL},
    "settings": {
        "timeout": _TRANSPORT,
        "request_timeout": _TRANSPORT,
        "first_event_timeout": _TRANSPORT,
        "max_retries": _TRANSPORT,
        "cache": _BILLING,
        "service_tier": _BILLING,
    },
    "parameters": {"cache": _BILLING},
    "tool": {"metadata": _LOCAL, "toolset_id": _LOCAL, "timeout": _TRANSPORT},
}
"""Which fields the keys leave out, by kind of object, and why."""

_PARAMETERS = TypeAdapter(ModelRequestParameters)

# What is ignored is left out before anything is made of it: it may hold objects that JSON cannot express. The content
# of a tool's answer is the application's own, so only the content of user prompts is looked into, afterwards.
_IGNORED_IN_MESSAGES: Any = {
    "__all__": {**dict.fromkeys(IGNORED["message"], True), "parts": {"__all__": set(IGNORED["part"])}}
}
_IGNORED_IN_PARAMETERS: Any = {
    **dict.fromkeys(IGNORED["parameters"], True),
    "function_tools": {"__all__": set(IGNORED["tool"])},
    "output_tools": {"__all__": set(IGNORED["tool"])},
}

# The frame of the most common request, one plain text, known without asking pydantic.
_PLAIN_FRAME: list[dict[str, Any]] = [
    {"parts": [{"content": [None], "part_kind": "user-prompt"}], "kind": "request", "state": "complete"}
]


def address_of(request: CompletionRequest) -> Address:
    """Return where the answer to a request lives in the cache.

    Raises:
        ConfigurationError: The request holds something JSON cannot express, such as NaN.
    """
    return addresses_of(request, [request.prompt])[0]


def addresses_of(request: CompletionRequest, prompts: Iterable[Prompt]) -> list[Address]:
    """Return where the answers to requests live that differ in their prompts alone.

    Args:
        request: Any of them.
        prompts: The prompt of each.

    Raises:
        ConfigurationError: A request holds something JSON cannot express, such as NaN.
    """
    options = _options_of(request)
    plain = _plain_scope(options)
    addresses: list[Address] = []
    for prompt in prompts:
        if isinstance(prompt, str):
            scope, text = plain, b"[" + canonical_json(prompt) + b"]"
        else:
            frame, texts = _split(_canonical_messages(messages_of(prompt)))
            scope, text = _scope(options, frame), canonical_json(texts)
        # A scope has a fixed length, so nothing in the text can pass for a part of it.
        exact = hashlib.sha256(scope + text).digest()
        addresses.append(Address(request.tenant, request.namespace, exact, scope))
    return addresses


def canonical_json(value: object) -> bytes:
    """Return the one JSON text of a value: keys sorted, no white space, NFC, UTF-8.

    Raises:
        ConfigurationError: The value holds something JSON cannot express, such as NaN or an object of a foreign class.
    """
    try:
        text = _encode(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise ConfigurationError(
            f"The request holds a value that JSON cannot express ({error}); use plain values."
        ) from error
    if not text.isascii() and not is_normalized("NFC", text):
        text = normalize("NFC", text)
    # Lone surrogates reach us from badly decoded files; they must give a key, not an error.
    return text.encode("utf-8", "surrogatepass")


def _plain(value: object) -> object:
    """Return a value that JSON can express for one that it cannot: sets sorted, dataclasses and models as objects."""
    if isinstance(value, set | frozenset):
        return sorted(cast("set[Any]", value), key=_encode)
    return to_jsonable_python(value, bytes_mode="base64")


_encode = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False, default=_plain
).encode


class _Options(NamedTuple):
    """Everything in a scope but the messages."""

    tenant: str
    namespace: str
    model: str
    endpoint: str | None
    instructions: str | None
    settings: str
    parameters: str


def _options_of(request: CompletionRequest) -> _Options:
    settings = {name: value for name, value in (request.settings or {}).items() if name not in IGNORED["settings"]}
    return _Options(
        tenant=request.tenant,
        namespace=request.namespace,
        model=request.model,
        endpoint=_endpoint(request.endpoint or request.credentials.base_url),
        instructions=request.instructions,
        settings=_digest(settings).hex() if settings else "",
        parameters=_parameters_digest(request),
    )


def _scope(options: _Options, frame: list[dict[str, Any]]) -> bytes:
    return _digest({"version": VERSION, **options._asdict(), "messages": frame})


@lru_cache(maxsize=256)
def _plain_scope(options: _Options) -> bytes:
    """Return the scope of one plain text: prompts that share their options, such as a batch, ask for it again."""
    return _scope(options, _PLAIN_FRAME)


def _digest(value: object) -> bytes:
    return hashlib.sha256(canonical_json(value)).digest()


def _endpoint(address: str | None) -> str | None:
    return address.rstrip("/") if address else None


def _canonical_messages(messages: list[ModelMessage]) -> list[dict[str, Any]]:
    dumped: list[dict[str, Any]] = _dump(ModelMessagesTypeAdapter, messages, _IGNORED_IN_MESSAGES)
    # Tool call ids are often random: what matters is which return belongs to which call.
    call_ids: dict[str, str] = {}
    for part in chain.from_iterable(message["parts"] for message in dumped):
        if call_id := part.get("tool_call_id"):
            part["tool_call_id"] = call_ids.setdefault(call_id, f"call-{len(call_ids)}")
        if part["part_kind"] == "user-prompt" and isinstance(part["content"], list):
            part["content"] = [_without_metadata(item) for item in part["content"]]
    return dumped


def _without_metadata(item: str | dict[str, Any]) -> str | dict[str, Any]:
    if isinstance(item, str):
        return item
    return {name: value for name, value in item.items() if name not in IGNORED["content"]}


def _split(messages: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], list[str]]:
    """Take the text out of the last user prompt; what remains is the frame that defines the scope."""
    for part in reversed(messages[-1]["parts"]):
        if part["part_kind"] == "user-prompt":
            content: Any = part["content"]
            items: list[Any] = [content] if isinstance(content, str) else content
            part["content"] = [None if isinstance(item, str) else item for item in items]
            return messages, [item for item in items if isinstance(item, str)]
    return messages, []


def _parameters_digest(request: CompletionRequest) -> str:
    if request.parameters is None:
        return _output_digest(request.output)
    return _digest_of_parameters(request.parameters)


@lru_cache(maxsize=256)
def _output_digest(output: OutputType) -> str:
    return _digest_of_parameters(output.parameters)


def _digest_of_parameters(parameters: ModelRequestParameters) -> str:
    dumped: dict[str, Any] = _dump(_PARAMETERS, parameters, _IGNORED_IN_PARAMETERS)
    for names in ("revealed_tool_names", "introduced_tool_names", "deferred_capability_ids"):
        dumped[names] = sorted(dumped[names])
    return _digest(dumped).hex()


def _dump(adapter: TypeAdapter[Any], value: object, ignored: Any) -> Any:
    """Return a value as plain JSON values, without what is ignored and without fields that are None.

    So a field that a new release of pydantic-ai adds changes no key until somebody sets it.
    """
    try:
        return adapter.dump_python(value, mode="json", exclude_none=True, exclude=ignored, warnings=False)
    except (PydanticSerializationError, UnicodeError) as error:
        message = f"The request holds a value that JSON cannot express ({error}); use plain values."
        raise ConfigurationError(message) from error
