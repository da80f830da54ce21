"""From the fields of a block to policies.

Each is made once for each combination of fields: it is asked for by every call, and checking values takes longer than
finding the ones that were checked.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
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


@dataclass(frozen=True, slots=True, kw_only=True)
class ResilienceFields:
    """What a block says about how hard to try; None leaves the default."""

    attempts: int | None = None
    attempt_timeout_seconds: float | None = None
    deadline_seconds: float | None = None
    max_concurrent: int | None = None
    max_waiting: int | None = None
    failure_threshold: int | None = None
    open_seconds: float | None = None


@lru_cache(maxsize=64)
def resilience_policy(default: ResiliencePolicy, fields: ResilienceFields) -> ResiliencePolicy:
    """Return how hard to try, with other limits where they are given."""
    breaker = replace(
        default.breaker,
        **_given(failure_threshold=fields.failure_threshold),
        **_durations(open_for=fields.open_seconds),
        max_open=max(default.breaker.max_open, timedelta(seconds=fields.open_seconds or 0)),
    )
    return replace(
        default,
        breaker=breaker,
        **_given(attempts=fields.attempts, max_concurrent=fields.max_concurrent, max_waiting=fields.max_waiting),
        **_durations(attempt_timeout=fields.attempt_timeout_seconds, deadline=fields.deadline_seconds),
    )


@lru_cache(maxsize=64)
def credentials_of(api_key: SecretStr | None, base_url: str | None) -> Credentials:
    """Return how to reach the provider; what is empty is left to the environment."""
    key = api_key.get_secret_value() if api_key else None
    return Credentials(api_key=key or None, base_url=base_url or None)


def _given(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _durations(**seconds: float | None) -> dict[str, Any]:
    return {name: timedelta(seconds=value) for name, value in _given(**seconds).items()}
