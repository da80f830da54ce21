"""What one call may do, in one value."""

from __future__ import annotations

from dataclasses import dataclass

from cognition.domain.cache_policy import CachePolicy
from cognition.domain.semantic_policy import SemanticPolicy
from cognition.resilience.policy import ResiliencePolicy


@dataclass(frozen=True, slots=True, kw_only=True)
class Policies:
    """How one call uses the exact layers and L3, and how hard it tries."""

    cache: CachePolicy
    semantic: SemanticPolicy
    resilience: ResiliencePolicy
