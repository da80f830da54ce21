"""What the pipeline needs from circuit breakers, and what it tells them."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from typing import Protocol

from cognition.domain.breaker import BreakerKey, BreakerPolicy
from cognition.domain.routing import Target
from cognition.errors import CircuitOpen, CognitionError, ProviderError, ProviderTimeout
from cognition.resilience.policy import ResiliencePolicy
from cognition.resilience.timing import Deadline


class Passage(Protocol):
    """One call that a breaker let through; without a verdict it counts for nothing."""

    async def begin(self) -> None:
        """Say that the provider is asked now, perhaps after waiting for one's turn.

        Raises:
            CircuitOpen: The breaker has opened meanwhile.
        """
        ...

    def success(self) -> None:
        """Say that the provider answered."""
        ...

    def failure(self, error: str, /, retry_after: timedelta | None = None) -> None:
        """Say that the provider failed, and how long it asked to be left alone."""
        ...

    def ignore(self) -> None:
        """Say that the call tells nothing about the provider."""
        ...


class Breakers(Protocol):
    """Circuit breakers, shared by all processes."""

    def passage(self, key: BreakerKey, policy: BreakerPolicy, /) -> AbstractAsyncContextManager[Passage]:
        """Let a call through.

        Raises:
            CircuitOpen: Not now.
        """
        ...

    def refusal(self, key: BreakerKey, /) -> CircuitOpen | None:
        """Return the error that calls get for a while because it is open; None when the next one may get through."""
        ...

    async def cool_down(self, key: BreakerKey, duration: timedelta, reason: str, /) -> None:
        """Let no call through for some time, without a verdict about the provider."""
        ...


@asynccontextmanager
async def recorded(
    breakers: Breakers, passage: Passage, target: Target, policy: ResiliencePolicy, deadline: Deadline
) -> AsyncGenerator[None]:
    """Tell the breaker how the attempt inside ended; errors that are not the engine's and cancelling tell nothing.

    Nor does silence until a deadline that left the attempt less time than the first one had.
    """
    try:
        yield
    except CognitionError as error:
        if isinstance(error, ProviderTimeout) and error.status is None and deadline.cuts_short:
            passage.ignore()
        else:
            await _record(error, breakers, passage, target, policy)
        raise
    passage.success()


async def _record(
    error: CognitionError, breakers: Breakers, passage: Passage, target: Target, policy: ResiliencePolicy
) -> None:
    asked = error.retry_after if isinstance(error, ProviderError) else None
    pause = None if asked is None else timedelta(seconds=asked)
    if error.verdict in {"transient", "timeout"}:
        passage.failure(type(error).__name__, pause)
        return
    passage.ignore()
    if error.verdict == "quota":
        await breakers.cool_down(target.breaker, max(pause or policy.quota_pause, policy.quota_pause), "quota")
    elif error.verdict == "throttled" and pause:
        await breakers.cool_down(target.breaker, pause, "rate limited")
