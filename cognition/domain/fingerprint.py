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
from collections.abc import Mapping
from functools import lru_cache
from typing import Any
from unicodedata import is_normalized, normalize

from pydantic import TypeAdapter
from pydantic_ai.messages import ModelMessage
from pydantic_ai.models import ModelRequestParameters

from cognition.errors import ConfigurationError

from .completion import CompletionRequest
from .entry import Address
from .output import OutputType

VERSION = 1

_TIME = "when it was made, not what it says"
_RUN = "identifies a run, is not sent to the provider"
_LOCAL = "kept by pydantic-ai for the application, is not sent to the provider"
_PROVENANCE = "says which server produced an earlier answer, not what the answer was"
_TRANSPORT = "how long and how often to try, not what is asked"
_BILLING = "changes price or speed, not the answer"
_RESOLVED = "derived by pydantic-ai from settings and profile, which are covered"

IGNORED: Mapping[str, Mapping[str, str]] = {
    "request": {"timestamp": _TIME, "run_id": _RUN, "conversation_id": _RUN, "metadata": _LOCAL, "state": _LOCAL},
    "response": {
        "timestamp": _TIME,
        "run_id": _RUN,
        "conversation_id": _RUN,
        "metadata": _LOCAL,
        "state": _LOCAL,
        "usage": _PROVENANCE,
        "model_name": _PROVENANCE,
        "model_id": _PROVENANCE,
        "provider_name": _PROVENANCE,
        "provider_url": _PROVENANCE,
        "canonical_system": _PROVENANCE,
        "provider_details": _PROVENANCE,
        "provider_response_id": _PROVENANCE,
        "finish_reason": _PROVENANCE,
        "workspace_ref": _LOCAL,
        "history_digest": _PROVENANCE,
        "failed_attempts": _PROVENANCE,
    },
    "part": {
        "timestamp": _TIME,
        "dynamic_ref": _LOCAL,
        "context_id": _RUN,
        "metadata": _LOCAL,
        "id": _PROVENANCE,
        "provider_name": _PROVENANCE,
        "provider_details": _PROVENANCE,
    },
    "content": {"metadata": _LOCAL},
    "settings": {
        "timeout": _TRANSPORT,
        "request_timeout": _TRANSPORT,
        "first_event_timeout": _TRANSPORT,
        "max_retries": _TRANSPORT,
        "cache": _BILLING,
        "service_tier": _BILLING,
    },
    "parameters": {"tool_visibility": _RESOLVED, "thinking": _RESOLVED, "cache": _RESOLVED},
    "tool": {"metadata": _LOCAL, "toolset_id": _RUN, "capability_id": _RUN, "timeout": _TRANSPORT},
}
"""Which fields the keys leave out, by kind of object, and why."""

_MESSAGES: TypeAdapter[list[ModelMessage]] = TypeAdapter(list[ModelMessage], config={"ser_json_bytes": "base64"})
_PARAMETERS = TypeAdapter(ModelRequestParameters)
_NO_SETTINGS: Mapping[str, Any] = {}


def address_of(request: CompletionRequest) -> Address:
    """Return where the answer to a request lives in the cache.

    Raises:
        ConfigurationError: The settings hold something JSON cannot express, such as NaN.
    """
    if isinstance(request.prompt, str):
        frame, text = _PLAIN_FRAME, [request.prompt]
    else:
        frame, text = _split(_canonical_messages(request))
    settings = request.settings or _NO_SETTINGS
    scope = _digest(
        {
            "version": VERSION,
            "tenant": request.tenant,
            "namespace": request.namespace,
            "model": request.model,
            "endpoint": _endpoint(request.credentials.base_url),
            "instructions": request.instructions,
            "settings": {name: value for name, value in settings.items() if name not in IGNORED["settings"]},
            "messages": frame,
            "parameters": _parameters_digest(request),
        }
    )
    exact = _digest({"scope": scope.hex(), "text": text})
    return Address(request.tenant, request.namespace, exact, scope)


def canonical_json(value: object) -> bytes:
    """Return the one JSON text of a value: keys sorted, no white space, NFC, UTF-8.

    Raises:
        ConfigurationError: The value holds something JSON cannot express, such as NaN, bytes or a set.
    """
    try:
        text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ConfigurationError(
            f"The request holds a value that JSON cannot express ({error}); use plain values."
        ) from error
    if not text.isascii() and not is_normalized("NFC", text):
        text = normalize("NFC", text)
    # Lone surrogates reach us from badly decoded files; they must give a key, not an error.
    return text.encode("utf-8", "surrogatepass")


def _digest(value: object) -> bytes:
    return hashlib.sha256(canonical_json(value)).digest()


def _endpoint(base_url: str | None) -> str | None:
    return base_url.rstrip("/") if base_url else None


def _canonical_messages(request: CompletionRequest) -> list[dict[str, Any]]:
    dumped: list[dict[str, Any]] = _MESSAGES.dump_python(request.messages, mode="json")
    # Tool call ids are often random: what matters is which return belongs to which call.
    call_ids: dict[str, str] = {}
    for message in dumped:
        message["parts"] = [_canonical_part(part, call_ids) for part in message["parts"]]
    return [_without(message, message["kind"]) for message in dumped]


def _canonical_part(part: dict[str, Any], call_ids: dict[str, str]) -> dict[str, Any]:
    kept = _without(part, "part")
    if call_id := kept.get("tool_call_id"):
        kept["tool_call_id"] = call_ids.setdefault(call_id, f"call-{len(call_ids)}")
    if isinstance(kept.get("content"), list) and part["part_kind"] == "user-prompt":
        kept["content"] = [_without(item, "content") if isinstance(item, dict) else item for item in kept["content"]]
    return kept


def _without(value: dict[str, Any], kind: str) -> dict[str, Any]:
    ignored = IGNORED[kind]
    return {name: item for name, item in value.items() if name not in ignored}


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
    dumped = _without(_PARAMETERS.dump_python(parameters, mode="json", exclude_none=True), "parameters")
    for tools in ("function_tools", "output_tools"):
        dumped[tools] = [_without(tool, "tool") for tool in dumped[tools]]
    for names in ("revealed_tool_names", "introduced_tool_names", "deferred_capability_ids"):
        dumped[names] = sorted(dumped[names])
    return _digest(dumped).hex()


# The frame of the most common request, one plain text, known without asking pydantic: this path is the hot one.
_PLAIN_FRAME: list[dict[str, Any]] = [
    {"parts": [{"content": [None], "part_kind": "user-prompt"}], "instructions": None, "kind": "request"}
]
