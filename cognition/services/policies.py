"""What one call may do, in one value."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass

from cognition.domain.cache_policy import CachePolicy
from cognition.domain.routing import Route
from cognition.domain.semantic_policy import SemanticPolicy
from cognition.resilience.policy import Gate, ResiliencePolicy


@dataclass(frozen=True, slots=True, kw_only=True)
class Policies:
    """How one call uses the exact layers and L3, how hard it tries, and with which models."""

    cache: CachePolicy
    semantic: SemanticPolicy
    resilience: ResiliencePolicy
    fallbacks: tuple[Route, ...] = ()
    gate: Gate = nullcontext
