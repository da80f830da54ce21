"""What a fake provider is told to answer: replies, faults, silences and broken connections."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

JsonObject = dict[str, Any]
FinishReason = Literal["stop", "length", "content_filter", "tool_call"]


@dataclass(frozen=True, slots=True)
class ReceivedCall:
    """One request that the fake provider received.

    Attributes:
        index: Position among the calls received, from 0.
        method: HTTP method.
        path: Path without query, such as `/v1/chat/completions`.
        headers: Request headers in lower case; credentials are replaced by `***`.
        body: Parsed JSON body, empty when there was none.
        at: When it arrived (UTC).
    """

    index: int
    method: str
    path: str
    headers: Mapping[str, str]
    body: JsonObject
    at: datetime


@dataclass(frozen=True, slots=True)
class Usage:
    """Token counts to report; cached and reasoning tokens are parts of input and output tokens."""

    input_tokens: int
    output_tokens: int
    cached_tokens: int = 0
    reasoning_tokens: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A successful answer.

    Attributes:
        text: Text to answer with, whatever was asked.
        output: JSON value to answer with: as the arguments of the asked tool, else as JSON text.
            With neither, the answer is a minimal instance of the asked schema, else an echo of the prompt.
        delay_seconds: Time before the first byte.
        usage: Token counts; estimated from the lengths when None.
        report_usage: Whether the answer names its usage at all.
        finish_reason: Why the model stopped; None leaves it out.
        headers: Extra response headers.
    """

    text: str | None = None
    output: object = None
    delay_seconds: float = 0.0
    usage: Usage | None = None
    report_usage: bool = True
    finish_reason: FinishReason | None = "stop"
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """An error answer in the provider's own format.

    Attributes:
        status: HTTP status.
        headers: Extra response headers, such as `retry-after`.
        error_code: Machine-readable code, such as `insufficient_quota`.
        error_type: Machine-readable type, such as `overloaded_error`.
        message: Sentence for humans.
        body: Replaces the whole body when given.
        delay_seconds: Time before the first byte.
    """

    status: int
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    error_code: str | None = None
    error_type: str | None = None
    message: str = "scripted fault"
    body: JsonObject | None = None
    delay_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Hang:
    """Silence for `seconds`, then the connection is closed without an answer."""

    seconds: float = 3600.0


@dataclass(frozen=True, slots=True)
class CutConnection:
    """The connection is closed early.

    Attributes:
        after_bytes: How many bytes of the body of a good answer are sent first; None sends nothing, not even a status.
    """

    after_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class MalformedJson:
    """Status 200 with a body that is not JSON."""

    body: str = '{"choices": ['


@dataclass(frozen=True, slots=True, kw_only=True)
class Raw:
    """Status 200 and a body as it is given, of no announced length: the connection is closed behind it.

    Attributes:
        body: What is sent.
        content_type: What it is said to be.
        delay_seconds: Time between the headers and the body.
        silent_seconds: Time between the body and the closing of the connection.
    """

    body: str
    content_type: str = "application/json"
    delay_seconds: float = 0.0
    silent_seconds: float = 0.0


Step = Reply | Fault | Hang | CutConnection | MalformedJson | Raw | Callable[[ReceivedCall], "Step"]
"""One scripted answer, or a function that chooses it from the call."""
