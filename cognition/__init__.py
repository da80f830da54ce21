"""LLM calls that are cached, resilient and accounted for."""

from cognition.domain.attribution import Attribution
from cognition.domain.cache_policy import CachePolicy
from cognition.domain.completion import Completion, CompletionRequest, Credentials
from cognition.resilience.policy import ResiliencePolicy
from cognition.runtime import Cognition
from cognition.settings import Settings

__version__ = "0.1.0"

__all__ = [
    "Attribution",
    "CachePolicy",
    "Cognition",
    "Completion",
    "CompletionRequest",
    "Credentials",
    "ResiliencePolicy",
    "Settings",
    "__version__",
]
