"""How hard one call tries."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from cognition.domain.duration import Duration
from cognition.errors import ConfigurationError


@dataclass(frozen=True, slots=True, kw_only=True)
class ResiliencePolicy:
    """How hard one call tries.

    Attributes:
        attempts: How often the provider is asked at most, the first time included.
        attempt_timeout: How long one attempt may take.
        deadline: No further attempt begins so long after the first one began.
        initial_backoff: Wait after the first failed attempt; it doubles with each further one.
        max_backoff: The longest wait.
        jitter: Share by which each wait is shortened or lengthened at random; 0.1 is ±10 %.
        max_concurrent: How many calls of one batch ask the provider at the same time.
    """

    attempts: int = 3
    attempt_timeout: Duration = timedelta(seconds=60)
    deadline: Duration = timedelta(minutes=3)
    initial_backoff: Duration = timedelta(seconds=1)
    max_backoff: Duration = timedelta(seconds=60)
    jitter: float = 0.1
    max_concurrent: int = 8

    def __post_init__(self) -> None:
        """Refuse values that cannot be meant.

        Raises:
            ConfigurationError: A count or time is not above zero, or the jitter is out of range.
        """
        if self.attempts < 1 or self.max_concurrent < 1:
            raise ConfigurationError("The attempts and max_concurrent of a ResiliencePolicy must be at least 1.")
        if min(self.attempt_timeout, self.deadline, self.initial_backoff, self.max_backoff) <= timedelta(0):
            raise ConfigurationError(
                "The timeout, deadline and back-offs of a ResiliencePolicy must be longer than zero."
            )
        if not 0 <= self.jitter < 1:
            raise ConfigurationError(f"The jitter {self.jitter} of a ResiliencePolicy must be at least 0 and below 1.")

    def backoff_seconds(self, failed_attempts: int, random_share: float) -> float:
        """Return how many seconds to wait after some failed attempts.

        Args:
            failed_attempts: 1 after the first failure.
            random_share: A number in [0, 1): the caller's random draw, spread over ±`jitter`.
        """
        # The exponent is bounded, because 2**attempts overflows a float long after the maximum is reached.
        plain = self.initial_backoff.total_seconds() * 2 ** min(failed_attempts - 1, 32)
        return min(plain * (1 + self.jitter * (2 * random_share - 1)), self.max_backoff.total_seconds())
