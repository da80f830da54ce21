"""One call's way through a circuit breaker."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from types import TracebackType
from typing import Protocol, Self
from uuid import UUID

from cognition.domain.breaker import BreakerKey, BreakerPolicy, BreakerVerdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """In what a call was admitted, and what it has to give back.

    Attributes:
        generation: That of the shared breaker; of the local one, when the ticket is `alone`.
        permit: Of a probe.
        own_generation: That of this worker's own breaker, which holds it back when it alone fails.
        own_permit: Of a probe of that one.
        alone: Whether the shared breakers could not be asked.
        counts: Whether its result is of interest.
    """

    generation: int
    permit: UUID | None = None
    own_generation: int = 1
    own_permit: UUID | None = None
    alone: bool = False
    counts: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a call ended.

    Attributes:
        verdict: What it says about the provider.
        slow: Whether it took too long.
        error: Name of the error of a failure.
        retry_after: How long the provider asked to be left alone.
    """

    verdict: BreakerVerdict = BreakerVerdict.IGNORED
    slow: bool = False
    error: str | None = None
    retry_after: timedelta | None = None


class Gatekeeper(Protocol):
    """Admits calls and takes their results in."""

    def monotonic(self) -> float:
        """Return the time in seconds, from any beginning."""
        ...

    async def enter(self, key: BreakerKey, policy: BreakerPolicy) -> Ticket:
        """Return a ticket.

        Raises:
            CircuitOpen: The call may not be made.
        """
        ...

    def holds(self, key: BreakerKey, ticket: Ticket) -> bool:
        """Whether a ticket would be given again without a question."""
        ...

    async def leave(self, key: BreakerKey, policy: BreakerPolicy, ticket: Ticket, outcome: Outcome) -> None:
        """Take a ticket back."""
        ...


class Passage:
    """Admits one call and takes its verdict; without one, or when cancelled, the call says nothing."""

    __slots__ = ("_gate", "_key", "_outcome", "_policy", "_started", "_ticket")

    def __init__(self, gate: Gatekeeper, key: BreakerKey, policy: BreakerPolicy) -> None:
        """Prepare, ask nothing yet."""
        self._gate = gate
        self._key = key
        self._policy = policy
        self._outcome = _SAYS_NOTHING
        self._started = 0.0
        self._ticket: Ticket | None = None

    def success(self, *, slow: bool | None = None) -> None:
        """Say that the provider answered.

        Args:
            slow: Whether it took too long; by default measured against the policy's `slow_after`.
        """
        self._outcome = _SUCCEEDED_SLOWLY if self._slow(said=slow) else SUCCEEDED

    def failure(self, cause: str, retry_after: timedelta | None = None, *, slow: bool | None = None) -> None:
        """Say that the provider failed.

        Args:
            cause: Name of the error.
            retry_after: How long the provider asked to be left alone.
            slow: Whether it took too long; by default measured against the policy's `slow_after`.
        """
        self._outcome = Outcome(
            verdict=BreakerVerdict.FAILURE, slow=self._slow(said=slow), error=cause, retry_after=retry_after
        )

    def ignore(self) -> None:
        """Say that the call says nothing about the provider: it is the default, and takes back what was said."""
        self._outcome = _SAYS_NOTHING

    async def begin(self) -> None:
        """Say that the provider is asked now; whoever waited for that is admitted anew if the breaker has changed.

        Raises:
            CircuitOpen: The call may not be made any more.
        """
        waited = self._gate.monotonic() - self._started
        ticket = self._ticket
        if ticket is not None and waited > _WAITED_SECONDS and not self._gate.holds(self._key, ticket):
            self._ticket = None
            await self._gate.leave(self._key, self._policy, ticket, _SAYS_NOTHING)
            self._ticket = await self._gate.enter(self._key, self._policy)
        self._started = self._gate.monotonic()

    async def __aenter__(self) -> Self:
        """Be admitted.

        Raises:
            CircuitOpen: The call may not be made.
        """
        self._ticket = await self._gate.enter(self._key, self._policy)
        self._started = self._gate.monotonic()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the ticket back with what was said."""
        ticket, self._ticket = self._ticket, None
        if ticket is not None:
            await self._gate.leave(self._key, self._policy, ticket, self._outcome)

    def _slow(self, *, said: bool | None) -> bool:
        if said is not None:
            return said
        return self._gate.monotonic() - self._started > self._policy.slow_after.total_seconds()


_WAITED_SECONDS = 0.01  # less is no waiting, but the way from one line to the next
SUCCEEDED = Outcome(verdict=BreakerVerdict.SUCCESS)
_SUCCEEDED_SLOWLY = Outcome(verdict=BreakerVerdict.SUCCESS, slow=True)
_SAYS_NOTHING = Outcome()
