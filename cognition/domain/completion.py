"""What is asked, and what comes back."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from decimal import Decimal
from typing import Any, Generic, cast, overload
from unicodedata import is_normalized

from pydantic_ai.messages import ModelMessage, ModelRequest, ModelResponse, UserPromptPart
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.usage import RequestUsage
from typing_extensions import TypeVar

from cognition.domain.attribution import Attribution
from cognition.domain.deferred import Deferred
from cognition.domain.entry import Layer
from cognition.domain.output import TEXT, OutputType
from cognition.errors import ConfigurationError

OutputT = TypeVar("OutputT", default=str)

Prompt = str | Sequence[ModelMessage]

# An address with "user:password@" before its host, with or without a scheme; paths may hold an @ too.
_WITH_USER = re.compile(r"([^/]*//)?[^/]*@")


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """How to reach and pay a provider; unset fields are taken from the provider SDK's own environment variables.

    Attributes:
        api_key: The secret key; never shown, never part of a cache key.
        base_url: Address of an OpenAI-compatible server.
    """

    api_key: str | None = field(default=None, repr=False)
    base_url: str | None = None

    def __post_init__(self) -> None:
        """Refuse a password in the address, which is shown where the key is not.

        Raises:
            ConfigurationError: The sentence says where it belongs.
        """
        if self.base_url and _WITH_USER.match(self.base_url):
            raise ConfigurationError("The base_url holds a user or a password, and is shown; use api_key for secrets.")


@dataclass(frozen=True, slots=True, kw_only=True)
class CompletionRequest:
    """One question to one model: everything that can change the answer, and how to read it.

    Attributes:
        prompt: A text, or pydantic-ai messages that end with a request.
        model: `provider:model` as pydantic-ai names them.
        tenant: Whose call it is; no tenant ever sees another's answers.
        namespace: The group of entries it belongs to.
        instructions: The system prompt, or None.
        settings: pydantic-ai model settings, such as temperature.
        output: How the answer is asked for and read.
        parameters: Tools and output modes as an Agent asked for them; by default those of `output`.
        credentials: How to reach the provider.
        endpoint: Which server answers, where the model's name does not say it all: two servers may answer differently.
    """

    prompt: Prompt
    model: str
    tenant: str = "default"
    namespace: str = "default"
    instructions: str | None = None
    settings: Mapping[str, Any] | None = None
    output: OutputType = TEXT
    parameters: ModelRequestParameters | None = None
    credentials: Credentials = Credentials()
    # An address from the provider's own environment variable may hold a password.
    endpoint: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        """Refuse what no provider could answer.

        Raises:
            ConfigurationError: The prompt is empty or of a wrong type, or the model's name lacks its provider.
        """
        check_prompt(self.prompt)
        provider, colon, name = self.model.partition(":")
        if not (provider and colon and name):
            raise ConfigurationError(
                f"The model {self.model!r} names no provider; write 'provider:model', such as 'openai:gpt-5-mini'."
            )
        for what, text in (("tenant", self.tenant), ("namespace", self.namespace), ("model", self.model)):
            # Two spellings of one name in Unicode would be one name in a key, and two in a table.
            if not text or not text.isprintable() or not is_normalized("NFC", text):
                raise ConfigurationError(f"The {what} is empty or not printable text in NFC; give it another name.")

    @property
    def provider(self) -> str:
        """Name of the provider, the part of `model` before the colon."""
        return self.model.partition(":")[0]

    @property
    def messages(self) -> list[ModelMessage]:
        """The conversation as pydantic-ai messages."""
        return messages_of(self.prompt)

    @property
    def request_parameters(self) -> ModelRequestParameters:
        """Tools and output modes that the provider is told."""
        return self.parameters or self.output.parameters


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion(Deferred, Generic[OutputT]):
    """An answer, and where it came from.

    Attributes:
        output: The answer as the type that was asked for.
        response: The provider's whole answer.
        layer: `l1`, `l2`, `l3` or `provider`.
        request_id: Identifies this call, also in the ledger.
        model: The model that answered.
        requested_model: The model that was asked for.
        usage: Tokens of the call that produced the answer.
        cost_usd: What this call cost: zero for a cache hit, None when the price is unknown.
        saved_usd: What the call would have cost now, had it not been cached; zero for a provider's answer, None when
            unknown.
        latency: How long the caller waited.
        age: How old a cached answer is; None for a provider's.
        similarity: Cosine similarity of a semantic hit, 1 is identical; None for other layers.
        stale: Whether the answer was past its life.
        attempts: How often the provider was asked, the first time included; zero for a cache hit.
    """

    output: OutputT
    response: ModelResponse
    layer: Layer
    request_id: str
    model: str
    requested_model: str
    cost_usd: Decimal | None
    saved_usd: Decimal | None
    latency: timedelta
    age: timedelta | None = None
    similarity: float | None = None
    stale: bool = False
    attempts: int = 0

    @property
    def text(self) -> str:
        """The answer's text; empty when the model answered only by tool calls."""
        return self.response.text or ""

    @property
    def usage(self) -> RequestUsage:
        """Tokens of the call that produced the answer."""
        return self.response.usage


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A request together with what does not change its answer.

    Attributes:
        request: The question.
        attribution: Who it is booked to.
        request_id: Identifies this call.
    """

    request: CompletionRequest
    attribution: Attribution
    request_id: str

    @property
    def model(self) -> str:
        """The model that was asked for."""
        return self.request.model


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Calls(Sequence[Call]):
    """Calls that differ in their prompts alone; each is made when somebody asks for it, which hits do not need.

    Attributes:
        first: The first request.
        prompts: All prompts, the first one's included.
        attribution: Who they are booked to.
        request_ids: Identify the calls, in the same order.
    """

    first: CompletionRequest
    prompts: Sequence[Prompt]
    attribution: Attribution
    request_ids: Sequence[str]

    def __len__(self) -> int:
        """Return how many they are."""
        return len(self.prompts)

    @overload
    def __getitem__(self, index: int) -> Call: ...
    @overload
    def __getitem__(self, index: slice) -> list[Call]: ...
    def __getitem__(self, index: int | slice) -> Call | list[Call]:
        """Return one call, or some."""
        if isinstance(index, slice):
            return [self[position] for position in range(len(self))[index]]
        prompt = self.prompts[index]
        # A copy is checked anew, which takes as long as a twentieth of a hit in L1.
        request = self.first if prompt is self.first.prompt else replace(self.first, prompt=prompt)
        return Call(request=request, attribution=self.attribution, request_id=self.request_ids[index])


def messages_of(prompt: Prompt) -> list[ModelMessage]:
    """Return a prompt as pydantic-ai messages."""
    return [ModelRequest(parts=[UserPromptPart(prompt)])] if isinstance(prompt, str) else list(prompt)


def check_prompt(prompt: object, called: str = "The prompt") -> None:
    """Refuse what is neither a text nor messages that a model could answer.

    Args:
        prompt: What was given.
        called: How the sentence names it.

    Raises:
        ConfigurationError: It is empty, of a wrong type, or ends with the model's own message.
    """
    flaw = _flaw_of(prompt)
    if flaw is not None:
        raise ConfigurationError(f"{called} {flaw}; pass a text or pydantic-ai messages.")


def check_prompts(prompts: object) -> None:
    """Refuse what is no sequence of prompts, above all one text, which is a sequence of letters.

    Raises:
        ConfigurationError: The sentence says to pass a list.
    """
    if isinstance(prompts, str | bytes) or not isinstance(prompts, Sequence):
        raise ConfigurationError(f"The prompts are one {type(prompts).__name__}; pass a list of prompts.")


def _flaw_of(prompt: object) -> str | None:
    """Return what is wrong with a prompt, as the end of a sentence about it."""
    if isinstance(prompt, str):
        return None if prompt.strip() else "is empty"
    if isinstance(prompt, bytes) or not isinstance(prompt, Sequence):
        return f"is {type(prompt).__name__}"
    messages = cast("Sequence[object]", prompt)
    if not messages:
        return "is empty"
    stranger = next((item for item in messages if not isinstance(item, ModelRequest | ModelResponse)), None)
    if stranger is not None:
        return f"holds a {type(stranger).__name__}"
    return None if isinstance(messages[-1], ModelRequest) else "ends with the model's own message"
