"""How hard one call tries."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, field, replace
from datetime import timedelta

from cognition.domain.breaker import BreakerPolicy
from cognition.domain.duration import Duration
from cognition.errors import ConfigurationError
from cognition.resilience.timing import Deadline

_LEASE_MARGIN = timedelta(seconds=15)  # for what comes before and after the attempt itself

Gate = Callable[[], AbstractAsyncContextManager[object]]
"""Makes what is entered before an attempt and left after it, for a limit that many processes share."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResiliencePolicy:
    """How hard one call tries.

    Attributes:
        attempts: How often a model is asked at most, the first time included.
        attempt_timeout: How long one attempt may take.
        deadline: How long all attempts and waits together may take, over the whole chain of models.
        initial_backoff: Wait after the first failed attempt; it doubles with each further one.
        max_backoff: The longest wait, unless the provider asks for a longer one.
        jitter: Share by which each wait is shortened or lengthened at random; 0.1 is ±10 %.
        max_concurrent: How many calls of this process may be at one service at the same time.
        max_waiting: How many more may wait for their turn; further ones are refused at once.
        service: Name under which models share these places; None counts each model on its own.
        longest_retry_after: A longer wait than this is not waited for, whatever the deadline: see `RetryLater`.
        quota_pause: How long an account without credit or quota is left alone.
        breaker: When a model's circuit breaker opens; its `permit_lease` is lengthened to outlast `attempt_timeout`.
    """

    attempts: int = 3
    attempt_timeout: Duration = timedelta(seconds=60)
    deadline: Duration = timedelta(minutes=3)
    initial_backoff: Duration = timedelta(seconds=1)
    max_backoff: Duration = timedelta(seconds=60)
    jitter: float = 0.1
    max_concurrent: int = 32
    max_waiting: int = 1000
    service: str | None = None
    longest_retry_after: Duration = timedelta(seconds=120)
    quota_pause: Duration = timedelta(hours=1)
    breaker: BreakerPolicy = field(default_factory=BreakerPolicy)

    def __post_init__(self) -> None:
        """Refuse values that cannot be meant.

        Raises:
            ConfigurationError: A count or time is not above zero, or the jitter is out of range.
        """
        if self.attempts < 1 or self.max_concurrent < 1:
            raise ConfigurationError("The attempts and max_concurrent of a ResiliencePolicy must be at least 1.")
        if self.max_waiting < 0:
            raise ConfigurationError("The max_waiting of a ResiliencePolicy must not be below zero.")
        times = (self.attempt_timeout, self.deadline, self.initial_backoff, self.max_backoff)
        if min(*times, self.longest_retry_after, self.quota_pause) <= timedelta(0):
            raise ConfigurationError("The times of a ResiliencePolicy must be longer than zero.")
        if not 0 <= self.jitter < 1:
            raise ConfigurationError(f"The jitter {self.jitter} of a ResiliencePolicy must be at least 0 and below 1.")
        lease = self.attempt_timeout + _LEASE_MARGIN
        if self.breaker.permit_lease < lease:
            # One that ended while its probe still runs would admit one more than may probe.
            object.__setattr__(self, "breaker", replace(self.breaker, permit_lease=lease))

    def backoff_seconds(self, failed_attempts: int, random_share: float) -> float:
        """Return how many seconds to wait after some failed attempts: `min(initial * 2^failed ± jitter, max)`.

        Args:
            failed_attempts: 1 after the first failure.
            random_share: A number in [0, 1): the caller's random draw, spread over ±`jitter`.
        """
        # The exponent is bounded, because 2**attempts overflows a float long after the maximum is reached.
        plain = self.initial_backoff.total_seconds() * 2 ** min(failed_attempts - 1, 32)
        return min(plain * (1 + self.jitter * (2 * random_share - 1)), self.max_backoff.total_seconds())


@dataclass(frozen=True, slots=True)
class Rules:
    """What the pipeline keeps to in one call.

    Attributes:
        policy: How hard to try.
        gate: A limit that many processes share.
        deadline: When the call must have ended, where it has begun before; otherwise by the policy.
    """

    policy: ResiliencePolicy
    gate: Gate = nullcontext
    deadline: Deadline | None = None
