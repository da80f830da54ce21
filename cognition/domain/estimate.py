"""How many tokens a request can take at most, before a provider has counted them.

A token stands for at least one byte of the text: tokenizers split text and never make more of it than its bytes, to
which they fall back for what they do not know (byte-level BPE and byte fallback, as in tiktoken and SentencePiece). So
the bytes of everything that is sent bound its tokens, for every provider and language, without a tokenizer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter
from pydantic_ai.messages import (
    AudioUrl,
    BinaryContent,
    CachePoint,
    FilePart,
    ImageUrl,
    ModelMessage,
    ModelMessagesTypeAdapter,
    SpeechPart,
    ToolReturnPart,
    UserPromptPart,
    VideoUrl,
    is_multi_modal_content,
)
from pydantic_ai.models import ModelRequestParameters

from cognition.domain.completion import CompletionRequest

_PARAMETERS = TypeAdapter(ModelRequestParameters)

# What providers put around the text: roles and ends of messages (3 tokens at OpenAI, 5 to 7 elsewhere), and the
# instructions that tools bring with them (at most 600 tokens at Anthropic, their documentation says).
_FRAME_TOKENS = 64
_MESSAGE_TOKENS = 16
_TOOLS_TOKENS = 1024

# The dearest picture by the vision guides of November 2026: that of gpt-4o-mini, 2,833 tokens and 5,667 for each of at
# most eight tiles; others take a few thousand.
_IMAGE_TOKENS = 50_000

# By these a provider adds what it remembers of a conversation.
_REMEMBERED = {
    *("openai_previous_response_id", "openai_conversation_id", "xai_previous_response_id"),
    "google_cached_content",
}

# By these nothing is added that is paid for and not seen here; a setting that is not known may do so.
_HARMLESS = {
    *("max_tokens", "temperature", "top_p", "top_k", "seed", "presence_penalty", "frequency_penalty", "logit_bias"),
    *("stop_sequences", "parallel_tool_calls", "tool_choice", "thinking", "citations", "cache", "service_tier"),
    *("timeout", "request_timeout", "first_event_timeout", "max_retries", "framing_announcement", "extra_headers"),
    *("openai_reasoning_effort", "openai_reasoning_summary", "openai_send_reasoning_ids", "openai_text_verbosity"),
    *("openai_logprobs", "openai_top_logprobs", "openai_store", "openai_user", "openai_truncation"),
    *("openai_continuous_usage_stats", "openai_include_raw_annotations", "openai_include_unmapped_response_data"),
    *("anthropic_metadata", "anthropic_thinking", "anthropic_effort", "anthropic_speed"),
    *("google_thinking_config", "google_safety_settings", "google_labels", "groq_reasoning_format"),
    *(f"{provider}_service_tier" for provider in ("openai", "anthropic", "google", "google_cloud", "bedrock", "groq")),
}
_HARMLESS_IN_BODY = {
    *("chat_template_kwargs", "guided_json", "guided_regex", "guided_choice", "guided_grammar", "top_k", "min_p"),
    *("repetition_penalty", "reasoning", "reasoning_effort", "enable_thinking", "thinking", "safe_prompt", "stop"),
}


@dataclass(frozen=True, slots=True)
class TokenCeiling:
    """The most tokens that a request can take.

    Attributes:
        input_tokens: Sent; None when the model's context window is the only bound.
        output_tokens: Received; None when the model's own maximum is the only bound.
    """

    input_tokens: int | None
    output_tokens: int | None


def unbounded_by(request: CompletionRequest) -> str | None:
    """Return why tokens do not bound what a request costs, as a part of a sentence; None when they do.

    Audio, video and tools that the provider runs itself have prices of their own, and a setting may ask for anything.
    """
    if request.request_parameters.native_tools:
        return "the provider runs tools for it"
    if any(_has_price_of_its_own(item) for item in _media_of(request)):
        return "it holds audio or video"
    settings = request.settings or {}
    for name in settings:
        if name not in _HARMLESS | _REMEMBERED | {"extra_body"} and "cache" not in name:
            return f"nobody knows what the setting {name} costs"
    body: Any = settings.get("extra_body") or {}
    return next(
        (f"nobody knows what {name} in extra_body costs" for name in body if name not in _HARMLESS_IN_BODY), None
    )


def ceiling_of(request: CompletionRequest) -> TokenCeiling:
    """Return the most tokens that a request can take, if they bound it at all.

    Documents and what a provider remembers of a conversation are bounded by the model's window alone.
    """
    settings = request.settings or {}
    media = _media_of(request)
    pictures = sum(_is_picture(item) for item in media)
    longest: Any = settings.get("max_tokens")
    whole = len(media) == pictures and not any(settings.get(name) for name in _REMEMBERED)
    return TokenCeiling(
        input_tokens=_input_tokens(request) + _IMAGE_TOKENS * pictures if whole else None,
        output_tokens=longest if isinstance(longest, int) and longest > 0 else None,
    )


def keeps_for_an_hour(request: CompletionRequest) -> bool:
    """Whether a request asks the provider to keep the prompt in its cache for an hour, which costs more."""
    asked = [value for name, value in (request.settings or {}).items() if "cache" in name]
    points = [] if isinstance(request.prompt, str) else [item for one in request.prompt for item in _points_in(one)]
    return any("1h" in repr(one) for one in (*asked, request.request_parameters.cache, *points))


def _input_tokens(request: CompletionRequest) -> int:
    parameters = request.request_parameters
    tools = [*parameters.function_tools, *parameters.output_tools]
    told = len(_PARAMETERS.dump_json(parameters)) if request.parameters or not request.output.is_text else 0
    if isinstance(request.prompt, str):
        messages, sent = 1, _bytes_in(request.prompt)
    else:
        messages = len(request.prompt)
        sent = len(ModelMessagesTypeAdapter.dump_json(list(request.prompt), warnings=False))
    body: Any = (request.settings or {}).get("extra_body")
    added = _bytes_in(request.instructions or "") + (_bytes_in(repr(body)) if body else 0)
    return sent + added + told + (_TOOLS_TOKENS if tools else 0) + _FRAME_TOKENS + _MESSAGE_TOKENS * messages


def _bytes_in(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def _media_of(request: CompletionRequest) -> list[object]:
    return [] if isinstance(request.prompt, str) else [item for one in request.prompt for item in _media_in(one)]


def _is_picture(item: object) -> bool:
    return item.is_image if isinstance(item, BinaryContent) else isinstance(item, ImageUrl)


def _has_price_of_its_own(item: object) -> bool:
    if isinstance(item, BinaryContent):
        return item.is_audio or item.is_video
    return isinstance(item, AudioUrl | VideoUrl | SpeechPart)


def _media_in(message: ModelMessage) -> list[object]:
    """Return what a message holds besides text."""
    found: list[object] = []
    for part in message.parts:
        if isinstance(part, FilePart):
            found.append(part.content)
        elif isinstance(part, SpeechPart):
            found.append(part)
        elif isinstance(part, UserPromptPart) and not isinstance(part.content, str):
            found.extend(item for item in part.content if is_multi_modal_content(item))
        elif isinstance(part, ToolReturnPart):
            found.extend(part.files)
    return found


def _points_in(message: ModelMessage) -> list[CachePoint]:
    """Return where a message asks for the provider's cache."""
    return [
        item
        for part in message.parts
        if isinstance(part, UserPromptPart) and not isinstance(part.content, str)
        for item in part.content
        if isinstance(item, CachePoint)
    ]
