"""What shared circuit breakers need of a store.

A port like those of `cognition.ports`, kept here because the breaker that uses it lives here.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Protocol

from cognition.domain.breaker import BreakerKey, BreakerPolicy
from cognition.domain.breaker_standing import Admission, BreakerResult, Order, Recorded, Standing, Transition


class BreakerStore(Protocol):
    """Keeps the breakers of one tenant for all processes; each method is one atomic step on the store's own clock.

    Synchronous and safe to use from any thread; raises `CacheUnavailable` when it does not answer.
    """

    @property
    def name(self) -> str:
        """Name of the store in messages."""
        ...

    def look(self, keys: Sequence[BreakerKey]) -> list[Standing]:
        """Return how breakers stand, in order, with one round trip for all; unknown ones are closed."""
        ...

    def admit(self, key: BreakerKey, policy: BreakerPolicy, worker: str) -> Admission:
        """Say whether a call may be made, and grant a permit where it needs one."""
        ...

    def record(self, key: BreakerKey, policy: BreakerPolicy, result: BreakerResult) -> Recorded:
        """Take in how a call ended, and take its permit back."""
        ...

    def cool_down(self, key: BreakerKey, duration: timedelta, reason: str) -> Standing:
        """Let nobody call for a while; a longer time that was agreed before stays."""
        ...

    def obey(self, key: BreakerKey, order: Order) -> Transition:
        """Set the state that a person orders; CLOSED resets.

        Raises:
            ConfigurationError: Nobody can order that state, or nobody or no reason is named.
        """
        ...

    def standings(self) -> list[Standing]:
        """Return how every breaker stands that ever had something to tell, ordered by key."""
        ...

    def history(self, key: BreakerKey | None, limit: int) -> list[Transition]:
        """Return the latest transitions of one breaker, or of all, newest first."""
        ...

    def forget_history(self, age: timedelta, limit: int) -> int:
        """Delete up to `limit` transitions that are at least so old; return how many."""
        ...

    def ping(self) -> None:
        """Return when the store answers."""
        ...
