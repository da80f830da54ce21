"""What a block says about each of its calls, as plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from cognition import CachePolicy, Credentials, Fallback, ResiliencePolicy, SemanticPolicy
from cognition.domain.cache_policy import policy_of
from cognition.domain.completion import OutputT
from cognition.resilience.policy import Gate
from cognition.runtime import CallOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class LLMConfig:
    """What every call of a block says unless it is told otherwise.

    Attributes:
        model: `provider:model`, or None for the model of the engine's settings.
        namespace: The group of cached answers.
        instructions: The system prompt, or None.
        settings: pydantic-ai model settings.
        cache: How to use the cache.
        semantic: When similar prompts may share an answer.
        resilience: How hard to try.
        fallbacks: Models that are asked when this one does not answer, in order.
        credentials: How to reach the provider.
        gate: A limit that many processes share, or None.
    """

    model: str | None
    namespace: str
    instructions: str | None
    settings: Mapping[str, Any]
    cache: CachePolicy
    semantic: SemanticPolicy
    resilience: ResiliencePolicy
    fallbacks: tuple[Fallback, ...]
    credentials: Credentials
    gate: Gate | None

    def completing(self, call: CallOptions[OutputT]) -> CallOptions[OutputT]:
        """Return what a call says, completed by this; the nearer one wins, and model settings are merged."""
        block: CallOptions[Any] = {
            "model": self.model,
            "namespace": self.namespace,
            "instructions": self.instructions,
            "semantic": self.semantic,
            "resilience": self.resilience,
            "fallbacks": self.fallbacks,
            "credentials": self.credentials,
            "gate": self.gate,
        }
        options = cast("CallOptions[OutputT]", {**block, **call})
        options["cache"] = policy_of(call.get("cache", self.cache), self.cache)
        options["settings"] = {**self.settings, **(call.get("settings") or {})}
        return options
