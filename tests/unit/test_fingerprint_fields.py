"""Every field of a request either changes its exact key, or stands in `IGNORED` with a reason and changes nothing.

The tables name one other value for each field. A release of pydantic-ai that adds a field, a part or a setting makes a
test fail until somebody decides: give it a value here, or ignore it in `cognition.domain.fingerprint` with a reason.
"""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, get_args, get_origin

import pytest
from pydantic_ai import messages
from pydantic_ai.messages import (
    AudioUrl,
    BinaryContent,
    CachePoint,
    Citation,
    DocumentUrl,
    FilePart,
    ImageUrl,
    ModelRequest,
    ModelResponse,
    StructuredContent,
    TextContent,
    TextPart,
    UploadedFile,
    UserPromptPart,
    VideoUrl,
    WebCitationSource,
)
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.native_tools import NATIVE_TOOL_TYPES, WebSearchTool
from pydantic_ai.output import OutputObjectDefinition
from pydantic_ai.tools import ToolDefinition
from pydantic_ai.usage import RequestUsage

from cognition.domain.completion import CompletionRequest
from cognition.domain.fingerprint import IGNORED, address_of

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
LATER = NOON + timedelta(hours=1)
IMAGE = BinaryContent(data=b"\x89PNG", media_type="image/png")
MESSAGES: Any = messages  # some parts are deprecated or only used inside Agents; they are found by name


def part(name: str, **fields: Any) -> Any:
    """Return a message part by the name of its class."""
    return getattr(MESSAGES, name)(**fields)


# -- samples: one of each class, and for each of its fields another value ---------------------------------------------

RETRY: Any = MESSAGES.RetryInfo(cause="model_retry", attempt=1)
OTHER_RETRY: Any = MESSAGES.RetryInfo(cause="model_retry", attempt=2)
SOURCE: Any = MESSAGES.InstructionId(source=MESSAGES.AgentInstructionSource(), name="a")
OTHER_SOURCE: Any = MESSAGES.InstructionId(source=MESSAGES.AgentInstructionSource(), name="b")
DIGEST: Any = MESSAGES.InstructionDigest(content_hash="aa")
OTHER_DIGEST: Any = MESSAGES.InstructionDigest(content_hash="bb")

COMMON: Mapping[str, Any] = {
    "content": "other",
    "timestamp": LATER,
    "metadata": {"shown": object()},
    "id": "other",
    "provider_name": "other",
    "provider_details": {"phase": "other"},
    "tool_name": "other",
    "outcome": "failed",
    "retry": OTHER_RETRY,
    "args": {"city": "Rome"},
    "url": "https://example.org/other.png",
    "force_download": True,
    "vendor_metadata": {"detail": "low"},
    "_media_type": "image/webp",
    "_identifier": "other",
}
# What a class or its place in a message already decides.
CONSTANT = {"kind", "part_kind", "tool_kind", "speaker"}


@dataclass(frozen=True)
class Sample:
    """An object, and another value for each field that `COMMON` does not know."""

    object: Any
    changes: Mapping[str, Any] = dataclasses.field(default_factory=dict[str, Any])

    @property
    def name(self) -> str:
        """Name of the object's class."""
        return type(self.object).__name__

    def variants(self) -> Iterator[tuple[str, Any]]:
        """Return the object with each of its fields changed."""
        for field in dataclasses.fields(self.object):
            if field.name in CONSTANT:
                continue
            values = {**COMMON, **self.changes}
            assert field.name in values, f"{self.name}.{field.name} is new: cover or ignore it"
            yield field.name, _with(self.object, field.name, values[field.name])


def _with(original: Any, name: str, value: Any) -> Any:
    if name in {item.name for item in dataclasses.fields(original) if item.init} and not name.startswith("_"):
        return replace(original, **{name: value})
    changed = replace(original)
    object.__setattr__(changed, name, value)
    return changed


REQUEST_PARTS = [
    Sample(
        part("SystemPromptPart", content="x", timestamp=NOON),
        {"dynamic_ref": "r", "context_id": "c", "scope": "request"},
    ),
    Sample(part("UserPromptPart", content="x", timestamp=NOON)),
    Sample(
        part("SpeechPart", speaker="user", transcript="x"),
        {
            "transcript": "other",
            "audio": BinaryContent(data=b"RIFF", media_type="audio/wav"),
            "interrupted_at_ms": 5,
            "timestamps": [part("SpeechTimestamp", text="x", start_ms=0, duration_ms=1)],
        },
    ),
    Sample(
        part("ToolReturnPart", tool_name="f", content="x", tool_call_id="1", timestamp=NOON), {"tool_call_id": None}
    ),
    Sample(part("RetryFeedbackPart", content="x", retry=RETRY, timestamp=NOON)),
    Sample(part("ToolAvailabilityDeltaPart", tools_added=["f"]), {"tools_added": ["g"], "tool_call_id": "1"}),
    Sample(part("CapabilityLoadDeltaPart", loaded=["f"]), {"loaded": ["g"], "tool_call_id": "1"}),
    Sample(
        part("ModelSettingsDeltaPart", settings={"thinking": True}),
        {"settings": {"thinking": False}, "top_level": True},
    ),
    Sample(part("InstructionDeltaPart", id=SOURCE, content="x"), {"id": OTHER_SOURCE, "base_hash": "aa"}),
    Sample(part("InstructionBaselinePart", instructions=[DIGEST]), {"instructions": [OTHER_DIGEST]}),
]
RESPONSE_PARTS = [
    Sample(part("CompactionPart", content="x")),
    Sample(TextPart("x"), {"citations": [Citation(sources=[WebCitationSource("https://example.org")])]}),
    Sample(part("ThinkingPart", content="x"), {"signature": "s"}),
    Sample(part("ToolCallPart", tool_name="f", args={"city": "Oslo"}, tool_call_id="1"), {"tool_call_id": None}),
    Sample(part("NativeToolCallPart", tool_name="f", args={"city": "Oslo"}, tool_call_id="1"), {"tool_call_id": None}),
    Sample(
        part("NativeToolReturnPart", tool_name="f", content="x", tool_call_id="1", timestamp=NOON),
        {"tool_call_id": None},
    ),
    Sample(FilePart(IMAGE), {"content": BinaryContent(data=b"GIF8", media_type="image/png")}),
]
CONTENT = [
    Sample(TextContent("x"), {"metadata": {"a": 1}}),
    Sample(StructuredContent({"a": 1}), {"metadata": {"a": 1}, "value": {"a": 2}, "tag": "t", "description": "d"}),
    *(Sample(kind(url="https://example.org/a.png")) for kind in (ImageUrl, AudioUrl, DocumentUrl, VideoUrl)),
    Sample(IMAGE, {"data": b"GIF8", "media_type": "image/gif"}),
    Sample(UploadedFile(file_id="f", provider_name="openai"), {"file_id": "g", "provider_name": "anthropic"}),
    Sample(CachePoint(), {"ttl": "1h"}),
]
REQUEST = Sample(
    ModelRequest([UserPromptPart("x")]),
    {
        "parts": [UserPromptPart("other")],
        "instructions": "i",
        "run_id": "r",
        "conversation_id": "c",
        "state": "interrupted",
    },
)
RESPONSE = Sample(
    ModelResponse([TextPart("x")], timestamp=NOON),
    {
        "parts": [TextPart("other")],
        "usage": RequestUsage(input_tokens=9),
        "model_name": "m",
        "model_id": "m",
        "provider_url": "https://example.org",
        "canonical_system": "s",
        "provider_response_id": "r",
        "finish_reason": "length",
        "run_id": "r",
        "conversation_id": "c",
        "workspace_ref": part("WorkspaceRef", provider="p", id="w"),
        "history_digest": "aa",
        "failed_attempts": [
            part("ModelRequestAttempt", model_name="m", outcome="error", timestamp=NOON, duration=timedelta(1))
        ],
        "state": "suspended",
    },
)
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}}
TOOL = Sample(
    ToolDefinition(name="f"),
    {
        "name": "g",
        "parameters_json_schema": SCHEMA,
        "description": "d",
        "outer_typed_dict_key": "k",
        "strict": True,
        "sequential": True,
        "timeout": 3.0,
        "defer_loading": True,
        "unless_native": "web_search",
        "with_native": "web_search",
        "unless_tool_kind": "tool-search",
        "return_schema": SCHEMA,
        "include_return_schema": True,
        "toolset_id": "t",
        "capability_id": "c",
    },
)
PARAMETERS = Sample(
    ModelRequestParameters(),
    {
        "function_tools": [ToolDefinition(name="f")],
        "native_tools": [WebSearchTool()],
        "tool_visibility": {"f": "visible"},
        "revealed_tool_names": {"f"},
        "introduced_tool_names": {"f"},
        "deferred_capability_ids": {"c"},
        "output_mode": "native",
        "output_object": OutputObjectDefinition(json_schema=SCHEMA),
        "output_tools": [ToolDefinition(name="f")],
        "prompted_output_template": "{schema}",
        "allow_text_output": False,
        "allow_image_output": True,
        "instruction_parts": [part("InstructionPart", content="i")],
        "instruction_visibility": {"c": "via_history"},
        "thinking": True,
        "cache": True,
        # Masks for telemetry; the framing announcement is a copy of a setting, which is covered.
        "_telemetry_mcp_url_ids": {"m"},
        "_telemetry_mcp_url_toolset_ids": {"m"},
        "_telemetry_mcp_url_tool_names": {"m"},
        "_framing_announcement": "always",
    },
)
OUTPUT_OBJECT = Sample(
    OutputObjectDefinition(json_schema={"type": "object"}),
    {"json_schema": SCHEMA, "name": "n", "description": "d", "strict": True},
)

# The same class with typed content, or one that pydantic-ai translates into another.
LIKE_ANOTHER = {
    "ToolSearchReturnPart",
    "LoadCapabilityReturnPart",
    "ToolSearchCallPart",
    "LoadCapabilityCallPart",
    "NativeToolSearchCallPart",
    "NativeToolSearchReturnPart",
    "RetryPromptPart",
}

# -- where a sample stands in a request -------------------------------------------------------------------------------


def key_of(prompt: Any = "q", **options: Any) -> bytes:
    """Return the exact key of a request."""
    return address_of(CompletionRequest(prompt=prompt, model="openai:gpt", **options)).key


def key_with_request_part(value: Any) -> bytes:
    """Return the key of a conversation with a part among those sent."""
    return key_of([ModelRequest([value, UserPromptPart("q")])])


def key_with_response_part(value: Any) -> bytes:
    """Return the key of a conversation with a part of an earlier answer."""
    return key_of([ModelResponse([value]), ModelRequest([UserPromptPart("q")])])


def key_with_content(value: Any) -> bytes:
    """Return the key of a prompt with an item of content."""
    return key_of([ModelRequest([UserPromptPart(["look", value])])])


def check(sample: Sample, key: Callable[[Any], bytes], ignored: Mapping[str, str]) -> None:
    """Assert that each field changes the key or is ignored."""
    before = key(sample.object)
    for name, changed in sample.variants():
        assert (before == key(changed)) == (name in ignored), f"{sample.name}.{name}"


@pytest.mark.parametrize("sample", REQUEST_PARTS, ids=lambda sample: sample.name)
def test_fields_of_sent_parts(sample: Sample) -> None:
    """A part that is sent changes the key by every field that is not ignored."""
    check(sample, key_with_request_part, IGNORED["part"])


@pytest.mark.parametrize("sample", RESPONSE_PARTS, ids=lambda sample: sample.name)
def test_fields_of_answered_parts(sample: Sample) -> None:
    """A part of an earlier answer changes the key by every field that is not ignored."""
    check(sample, key_with_response_part, IGNORED["part"])


@pytest.mark.parametrize("sample", CONTENT, ids=lambda sample: sample.name)
def test_fields_of_content(sample: Sample) -> None:
    """An item of a user prompt changes the key by every field that is not ignored."""
    check(sample, key_with_content, IGNORED["content"])


def test_fields_of_messages() -> None:
    """A message changes the key by every field that is not ignored."""
    check(REQUEST, lambda message: key_of([message]), IGNORED["message"])
    check(RESPONSE, lambda message: key_of([message, ModelRequest([UserPromptPart("q")])]), IGNORED["message"])


def test_fields_of_parameters() -> None:
    """Request parameters change the key by every field that is not ignored; underscored ones are not even dumped."""
    masks = {name: "not sent" for name in PARAMETERS.changes if name.startswith("_")}
    check(PARAMETERS, lambda value: key_of(parameters=value), {**IGNORED["parameters"], **masks})


@pytest.mark.parametrize("place", ["function_tools", "output_tools"])
def test_fields_of_tools(place: str) -> None:
    """A tool changes the key by every field that is not ignored."""

    def key_with_tool(tool: ToolDefinition) -> bytes:
        tools: dict[str, Any] = {place: [tool]}
        return key_of(parameters=ModelRequestParameters(**tools))

    check(TOOL, key_with_tool, IGNORED["tool"])
    assert key_with_tool(TOOL.object) != key_with_tool(replace(TOOL.object, kind="external"))


def test_fields_of_output_objects() -> None:
    """The object that an answer must be changes the key by every field."""
    check(OUTPUT_OBJECT, lambda value: key_of(parameters=ModelRequestParameters(output_object=value)), {})


@pytest.mark.parametrize("kind", sorted(NATIVE_TOOL_TYPES))
def test_native_tools_are_dumped_whole(kind: str) -> None:
    """No field of a native tool gets lost because the list is typed by their base class."""
    tool_class: Any = NATIVE_TOOL_TYPES[kind]
    required = {"id": "i", "url": "u", "file_store_ids": ["s"], "model": "claude-opus-4-6"}
    fields = dataclasses.fields(tool_class)
    without_default = [field.name for field in fields if field.default is field.default_factory is dataclasses.MISSING]
    tool = tool_class(**{name: required[name] for name in without_default})
    before = key_of(parameters=ModelRequestParameters(native_tools=[tool]))
    after = key_of(parameters=ModelRequestParameters(native_tools=[replace(tool, optional=True)]))
    assert before != after


def test_every_class_of_a_message_is_decided() -> None:
    """A part or content class that a new release adds has no sample yet."""
    known = {sample.name for sample in [*REQUEST_PARTS, *RESPONSE_PARTS, *CONTENT]}
    unions = (MESSAGES.ModelRequestPart, MESSAGES.ModelResponsePart, MESSAGES.UserContent)
    found = {kind.__name__ for union in unions for kind in _classes(union)}
    assert found - {"str"} == known | LIKE_ANOTHER
    assert {"ModelRequest", "ModelResponse"} == {kind.__name__ for kind in _classes(MESSAGES.ModelMessage)}
    sampled = {
        field.name for sample in [*REQUEST_PARTS, *RESPONSE_PARTS] for field in dataclasses.fields(sample.object)
    }
    for name in LIKE_ANOTHER:
        assert {field.name for field in dataclasses.fields(getattr(MESSAGES, name))} <= sampled, name


def _classes(annotation: Any) -> Iterator[type]:
    """Return the classes that a union, annotated or generic type names."""
    origin = get_origin(annotation)
    if origin is Annotated:
        yield from _classes(get_args(annotation)[0])
    elif isinstance(annotation, types.UnionType) or (origin is not None and not isinstance(origin, type)):
        for choice in get_args(annotation):
            yield from _classes(choice)
    else:
        yield origin or annotation
