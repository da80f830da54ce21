"""LLM calls that are cached, resilient and accounted for."""

from cognition.domain.attribution import Attribution
from cognition.domain.breaker import BreakerKey, BreakerPolicy, BreakerState
from cognition.domain.budget import Budget
from cognition.domain.cache_policy import CachePolicy
from cognition.domain.completion import Completion, CompletionRequest, Credentials
from cognition.domain.pricing import Rate
from cognition.domain.routing import Fallback
from cognition.domain.semantic_policy import SemanticPolicy
from cognition.domain.warming import WarmPlan
from cognition.errors import (
    BudgetExceeded,
    BudgetUnavailable,
    BulkheadFull,
    CacheError,
    CacheUnavailable,
    CallNotPermitted,
    CircuitOpen,
    CognitionError,
    ConfigurationError,
    EntryCorrupted,
    LedgerConflict,
    LedgerFull,
    OnlyCachedMiss,
    OutputInvalid,
    PriceUnknown,
    ProviderError,
    ProviderTimeout,
    ProviderUnavailable,
    QuotaExhausted,
    RateLimited,
    RequestRejected,
    RetryBudgetExhausted,
    RetryLater,
)
from cognition.resilience.policy import ResiliencePolicy
from cognition.runtime import Cognition
from cognition.settings import Settings

__version__ = "0.1.0"

__all__ = [
    "Attribution",
    "BreakerKey",
    "BreakerPolicy",
    "BreakerState",
    "Budget",
    "BudgetExceeded",
    "BudgetUnavailable",
    "BulkheadFull",
    "CacheError",
    "CachePolicy",
    "CacheUnavailable",
    "CallNotPermitted",
    "CircuitOpen",
    "Cognition",
    "CognitionError",
    "Completion",
    "CompletionRequest",
    "ConfigurationError",
    "Credentials",
    "EntryCorrupted",
    "Fallback",
    "LedgerConflict",
    "LedgerFull",
    "OnlyCachedMiss",
    "OutputInvalid",
    "PriceUnknown",
    "ProviderError",
    "ProviderTimeout",
    "ProviderUnavailable",
    "QuotaExhausted",
    "Rate",
    "RateLimited",
    "RequestRejected",
    "ResiliencePolicy",
    "RetryBudgetExhausted",
    "RetryLater",
    "SemanticPolicy",
    "Settings",
    "WarmPlan",
    "__version__",
]
