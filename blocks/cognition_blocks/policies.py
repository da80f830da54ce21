"""From the fields of a block to policies.

Each is made once for each combination of fields: it is asked for by every call, and checking values takes longer than
finding the ones that were checked.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from functools import lru_cache
from typing import Any

from pydantic import SecretStr

from cognition import CachePolicy, Credentials, ResiliencePolicy, SemanticPolicy
from cognition.domain.semantic_policy import SemanticMode


@lru_cache(maxsize=64)
def cache_policy(
    default: CachePolicy, l1_seconds: float | None, l2_seconds: float | None, l3_seconds: float | None
) -> CachePolicy:
    """Return how to use the cache, with other lives where they are given."""
    return replace(default, **_durations(l1_ttl=l1_seconds, l2_ttl=l2_seconds, l3_ttl=l3_seconds))


@lru_cache(maxsize=64)
def semantic_policy(
    default: SemanticPolicy, mode: SemanticMode | None, threshold: float | None, max_error: float | None
) -> SemanticPolicy:
    """Return when similar prompts may share an answer, with other limits where they are given."""
    return replace(default, **_given(mode=mode, threshold=threshold, max_error=max_error))


@lru_cache(maxsize=64)
def resilience_policy(
    default: ResiliencePolicy, attempts: int | None, timeout_seconds: float | None
) -> ResiliencePolicy:
    """Return how hard to try, with other limits where they are given."""
    return replace(default, **_given(attempts=attempts), **_durations(attempt_timeout=timeout_seconds))


@lru_cache(maxsize=64)
def credentials_of(api_key: SecretStr | None, base_url: str | None) -> Credentials:
    """Return how to reach the provider; what is empty is left to the environment."""
    key = api_key.get_secret_value() if api_key else None
    return Credentials(api_key=key or None, base_url=base_url or None)


def _given(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _durations(**seconds: float | None) -> dict[str, Any]:
    return {name: timedelta(seconds=value) for name, value in _given(**seconds).items()}
