"""What a circuit breaker is about: its key, its numbers, its states and the verdicts it hears."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Self

from cognition.domain.completion import CompletionRequest
from cognition.domain.duration import Duration
from cognition.errors import ConfigurationError

_DEFAULT_SCOPE = "default"
_SCOPE_DIGITS = 12  # 48 bits: enough to tell one's own credentials apart, useless for guessing them
_LARGEST_POWER = 32  # the maximum is reached long before, and 2**n must stay a float


class BreakerState(StrEnum):
    """What a breaker does with calls; the last three are set by people, for all processes."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"
    FORCED_OPEN = "forced_open"
    DISABLED = "disabled"
    METRICS_ONLY = "metrics_only"

    @property
    def is_forced(self) -> bool:
        """Whether a person set it and only a person ends it."""
        return self in FORCED_STATES

    @property
    def admits_all(self) -> bool:
        """Whether a person decided that calls go through whatever happens."""
        return self in (BreakerState.DISABLED, BreakerState.METRICS_ONLY)


FORCED_STATES = (BreakerState.FORCED_OPEN, BreakerState.DISABLED, BreakerState.METRICS_ONLY)


class BreakerVerdict(StrEnum):
    """What a call says about its provider; an ignored one says nothing."""

    SUCCESS = "success"
    FAILURE = "failure"
    IGNORED = "ignored"


@dataclass(frozen=True, slots=True, order=True)
class BreakerKey:
    """Who shares a breaker: calls to one model through one account.

    Attributes:
        provider: Name of the provider, such as `openai-chat`.
        model: Name of the model without its provider.
        credential_scope: A digest of the key and the address in use, never the key itself; `default` stands for the
            key that the SDK finds in the environment. Which one that is differs from SDK to SDK and is not looked at,
            so that `breaker force provider:model` names it on any machine: processes with different keys in their
            environments share such a breaker, and those that must not pass `credentials`.
    """

    provider: str
    model: str
    credential_scope: str = _DEFAULT_SCOPE

    @classmethod
    def of(cls, request: CompletionRequest) -> Self:
        """Return the key of the breaker that guards a request's provider."""
        provider, _, model = request.model.partition(":")
        secret, address = request.credentials.api_key, request.endpoint or request.credentials.base_url
        if secret is None and address is None:
            return cls(provider, model)
        # A fixed prefix, so that the digest equals none that somebody made of the bare key for another purpose.
        digest = hashlib.sha256(f"cognition breaker\0{secret or ''}\0{address or ''}".encode()).hexdigest()
        return cls(provider, model, digest[:_SCOPE_DIGITS])

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the key that a text such as `openai-chat:gpt-5-mini@default` names.

        Without an at-sign the scope is `default`.

        Raises:
            ConfigurationError: It names no provider or no model.
        """
        # Names of models hold colons and at-signs, scopes hold neither.
        named, at, scope = text.rpartition("@")
        if not at:
            named, scope = text, _DEFAULT_SCOPE
        provider, _, model = named.partition(":")
        if not (provider and model and scope):
            raise ConfigurationError(
                f"{text!r} names no breaker; write provider:model@scope as 'cognition breaker list' prints it."
            )
        return cls(provider, model, scope)

    def __str__(self) -> str:
        """Return the text that `parse` reads."""
        return f"{self.provider}:{self.model}@{self.credential_scope}"


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerPolicy:
    """When a breaker opens, for how long, and how it probes.

    Attributes:
        failure_threshold: It opens after so many failures without a success between them.
        success_threshold: It closes after so many successful probes.
        open_for: How long it stays open the first time; twice as long after each probe that fails.
        max_open: The longest it stays open, unless the provider itself asks for longer.
        open_jitter: Share by which open times are lengthened at random, so that breakers do not probe together.
        half_open_permits: How many probes run at once, in all processes together.
        permit_lease: After this time a permit is free again, its holder has died; longer than an attempt may take.
        lone_worker_factor: A worker whose failures nobody else confirms needs so many times the usual number.
        failure_rate: It also opens at this share of failures in a window, from 0 to 1; None to look at no shares.
        slow_call_rate: It also opens at this share of slow calls in a window, from 0 to 1; None for never.
        slow_after: A call that takes longer is slow.
        window: How long calls are counted for the shares, then counting begins anew.
        minimum_calls: Shares of fewer calls mean nothing.
    """

    failure_threshold: int = 5
    success_threshold: int = 2
    open_for: Duration = timedelta(seconds=60)
    max_open: Duration = timedelta(minutes=10)
    open_jitter: float = 0.1
    half_open_permits: int = 3
    permit_lease: Duration = timedelta(seconds=75)
    lone_worker_factor: int = 2
    failure_rate: float | None = None
    slow_call_rate: float | None = None
    slow_after: Duration = timedelta(seconds=30)
    window: Duration = timedelta(seconds=60)
    minimum_calls: int = 20

    def __post_init__(self) -> None:
        """Refuse values that cannot be meant.

        Raises:
            ConfigurationError: A number or time is not above zero, or a share is out of range.
        """
        counts = (self.failure_threshold, self.success_threshold, self.half_open_permits, self.lone_worker_factor)
        if min(*counts, self.minimum_calls) < 1:
            raise ConfigurationError(
                "The thresholds, half_open_permits, lone_worker_factor and minimum_calls of a BreakerPolicy must be at"
                " least 1."
            )
        times = (self.open_for, self.max_open, self.permit_lease, self.slow_after, self.window)
        if min(times) <= timedelta(0) or self.max_open < self.open_for:
            raise ConfigurationError(
                "The times of a BreakerPolicy must be longer than zero, and max_open at least as long as open_for."
            )
        if not 0 <= self.open_jitter < 1:
            raise ConfigurationError(f"The open_jitter {self.open_jitter} must be at least 0 and below 1.")
        if any(share is not None and not 0 < share <= 1 for share in (self.failure_rate, self.slow_call_rate)):
            raise ConfigurationError("The failure_rate and slow_call_rate must be above 0 and at most 1, or None.")

    @property
    def counts_shares(self) -> bool:
        """Whether successes must be counted as well."""
        return self.failure_rate is not None or self.slow_call_rate is not None

    def open_time(self, opens: int, draw: float, asked: timedelta | None = None) -> timedelta:
        """Return how long to stay open.

        Args:
            opens: How often it has opened since it was last closed, 1 for the first time.
            draw: A random number from 0 to 1.
            asked: How long the provider asked to be left alone; wins when it is longer.
        """
        plain = self.open_for.total_seconds() * 2.0 ** min(opens - 1, _LARGEST_POWER)
        seconds = min(plain * (1 + self.open_jitter * draw), self.max_open.total_seconds())
        return max(timedelta(seconds=seconds), asked or timedelta(0))
