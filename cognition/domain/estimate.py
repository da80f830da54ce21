"""How many tokens a request can take at most, before a provider has counted them.

A token stands for at least one byte of the text: tokenizers split text and never make more of it than its bytes, to
which they fall back for what they do not know (byte-level BPE and byte fallback, as in tiktoken and SentencePiece). So
the bytes of everything that is sent bound its tokens, for every provider and language, without a tokenizer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from pydantic import TypeAdapter
from pydantic_ai.messages import (
    AudioUrl,
    BinaryContent,
    FilePart,
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

# Settings by which a provider adds what it remembers of a conversation.
_REMEMBERED = ("openai_previous_response_id", "openai_conversation_id")

# What `extra_body` must not say: it is sent beside the request or instead of a part of it.
_REWRITTEN = {
    *("n", "best_of", "max_tokens", "max_completion_tokens", "max_output_tokens"),
    *("service_tier", "model", "messages", "input", "tools", "web_search_options"),
}

Content = Literal["text", "media", "unbounded"]


@dataclass(frozen=True, slots=True)
class TokenCeiling:
    """The most tokens that a request can take.

    Attributes:
        input_tokens: Sent; None when the model's context window is the only bound.
        output_tokens: Received; None when the model's own maximum is the only bound.
    """

    input_tokens: int | None
    output_tokens: int | None


def ceiling_of(request: CompletionRequest) -> TokenCeiling | None:
    """Return the most tokens that a request can take; None when nothing bounds what it costs.

    Images, documents and what a provider remembers of a conversation are bounded by the model's window alone. Audio,
    video and tools that the provider runs itself have prices of their own, and nothing here bounds them.
    """
    settings, parameters = request.settings or {}, request.request_parameters
    content = _content_of(request)
    body: Any = settings.get("extra_body") or {}
    if parameters.native_tools or content == "unbounded" or _REWRITTEN & set(body):
        return None
    longest: Any = settings.get("max_tokens")
    bounded = content == "text" and not any(settings.get(name) for name in _REMEMBERED)
    return TokenCeiling(
        input_tokens=_input_tokens(request) if bounded else None,
        output_tokens=longest if isinstance(longest, int) and longest > 0 else None,
    )


def _input_tokens(request: CompletionRequest) -> int:
    parameters = request.request_parameters
    tools = [*parameters.function_tools, *parameters.output_tools]
    told = len(_PARAMETERS.dump_json(parameters)) + _TOOLS_TOKENS if tools or parameters.output_object else 0
    if isinstance(request.prompt, str):
        messages, sent = 1, _bytes_in(request.prompt)
    else:
        messages = len(request.prompt)
        sent = len(ModelMessagesTypeAdapter.dump_json(list(request.prompt), warnings=False))
    return sent + _bytes_in(request.instructions or "") + told + _FRAME_TOKENS + _MESSAGE_TOKENS * messages


def _bytes_in(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def _content_of(request: CompletionRequest) -> Content:
    found: Content = "text"
    if isinstance(request.prompt, str):
        return found
    for message in request.prompt:
        for item in _media_in(message):
            if _has_price_of_its_own(item):
                return "unbounded"
            found = "media"
    return found


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
