"""What may be looked up and stored, and for how long."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Literal

from pydantic_ai.messages import ModelMessagesTypeAdapter, ModelResponse, TextPart

from cognition.domain.duration import Duration
from cognition.domain.entry import Layer
from cognition.errors import ConfigurationError

CacheMode = Literal["use", "refresh", "bypass", "only"]

_MODES: tuple[CacheMode, ...] = ("use", "refresh", "bypass", "only")

# An answer is finished when the model stopped by itself or asked for a tool; "length", "content_filter" and "error" are
# broken answers that must not be repeated to others.
_CHARACTER_BYTES, _FRAME_BYTES = 6, 4096
_FINISHED = frozenset({"stop", "tool_call"})


@dataclass(frozen=True, slots=True, kw_only=True)
class CachePolicy:
    """How one call uses the cache.

    Attributes:
        mode: `use` looks up and stores; `refresh` asks the provider and stores; `bypass` does neither; `only` never
            asks the provider and raises `OnlyCachedMiss` instead.
        l1_ttl: Life of an entry in L1 (Redis).
        l2_ttl: Life of an entry in L2 (PostgreSQL).
        l3_ttl: Life of an entry in L3 (semantic).
        jitter: Share by which each life is shortened or lengthened at random, so that entries stored together do not
            all expire together; 0.1 is ±10 %.
        max_entry_bytes: Answers whose JSON is larger than this are not stored.
    """

    mode: CacheMode = "use"
    l1_ttl: Duration = timedelta(minutes=5)
    l2_ttl: Duration = timedelta(hours=1)
    l3_ttl: Duration = timedelta(hours=24)
    jitter: float = 0.1
    max_entry_bytes: int = 1_048_576

    def __post_init__(self) -> None:
        """Refuse values that cannot be meant.

        Raises:
            ConfigurationError: A mode, life, jitter or size is out of range.
        """
        if self.mode not in _MODES:
            raise ConfigurationError(f"The cache mode {self.mode!r} is unknown; write one of {', '.join(_MODES)}.")
        if min(self.l1_ttl, self.l2_ttl, self.l3_ttl) <= timedelta(0):
            raise ConfigurationError(
                "Each ttl of a CachePolicy must be longer than zero; use mode='bypass' to store nothing."
            )
        if not 0 <= self.jitter < 1:
            raise ConfigurationError(f"The jitter {self.jitter} of a CachePolicy must be at least 0 and below 1.")
        if self.max_entry_bytes <= 0:
            raise ConfigurationError("The max_entry_bytes of a CachePolicy must be above zero.")

    @property
    def may_look_up(self) -> bool:
        """Whether a stored answer may be given."""
        return self.mode in {"use", "only"}

    @property
    def may_store(self) -> bool:
        """Whether a new answer may be kept."""
        return self.mode in {"use", "refresh"}

    def life(self, layer: Layer, random_share: float) -> timedelta:
        """Return how long an entry stored now lives in a layer.

        Args:
            layer: L1, L2 or L3.
            random_share: A number in [0, 1): the caller's random draw, spread over ±`jitter`.
        """
        ttl = {Layer.L1: self.l1_ttl, Layer.L2: self.l2_ttl, Layer.L3: self.l3_ttl}[layer]
        return ttl * (1 + self.jitter * (2 * random_share - 1))


def policy_of(cache: CachePolicy | CacheMode, default: CachePolicy) -> CachePolicy:
    """Return the policy of one call: a whole policy, or the default one in another mode."""
    if isinstance(cache, CachePolicy):
        return cache
    return default if cache == default.mode else replace(default, mode=cache)


def refusal_to_store(response: ModelResponse, policy: CachePolicy) -> str | None:
    """Return why an answer must not be kept, or None when it may be.

    An answer is kept only if it is finished, not empty and not too large; whether it fits its output type was decided
    before.
    """
    if not policy.may_store:
        return "the policy forbids it"
    if response.state != "complete" or response.finish_reason not in _FINISHED:
        return f"not finished: {response.finish_reason or response.state}"
    if not (response.text or "").strip() and not response.tool_calls and not response.files:
        return "empty answer"
    if not _is_surely_smaller(response, policy.max_entry_bytes) and _json_bytes(response) > policy.max_entry_bytes:
        return "too large"
    return None


def _is_surely_smaller(response: ModelResponse, max_bytes: int) -> bool:
    """Whether an answer is plain text so short that its JSON need not be made to know its size."""
    texts = [part.content for part in response.parts if isinstance(part, TextPart) and part.provider_details is None]
    details = response.provider_details or {}
    if len(texts) < len(response.parts) or not all(isinstance(value, str) for value in details.values()):
        return False
    # In JSON a character takes at most six bytes; all else of such an answer takes some hundred.
    letters = sum(map(len, texts)) + sum(len(name) + len(value) for name, value in details.items())
    return _FRAME_BYTES + _CHARACTER_BYTES * letters <= max_bytes


def _json_bytes(response: ModelResponse) -> int:
    """Return the size of an answer as JSON, whatever odd values a provider put into it."""
    value = ModelMessagesTypeAdapter.dump_python([response], mode="json", fallback=str, warnings=False)
    return len(json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass"))
