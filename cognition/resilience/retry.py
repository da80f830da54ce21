"""Asks a model again after errors that may pass."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Protocol, TypeVar

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception

from cognition.domain.routing import Target
from cognition.errors import CircuitOpen, CognitionError, ProviderError, RetryBudgetExhausted, RetryLater
from cognition.resilience.policy import ResiliencePolicy
from cognition.resilience.retry_budget import RetryBudget
from cognition.resilience.timing import Deadline, Timing

T = TypeVar("T")

# A breaker in this state is not open: it keeps calls back for as long as the provider asked.
_COOLING = "cooling_down"


class Witness(Protocol):
    """Who is told what happens to one call."""

    def retrying(self, wait_seconds: float, error: CognitionError) -> None:
        """Another attempt follows after a wait."""
        ...

    def not_retrying(self, reason: CognitionError) -> None:
        """Another attempt would follow, had something not stood against it."""
        ...

    async def may_enter(self) -> bool:
        """Whether money may have come back that a budget refused the call for."""
        ...

    def falling_back(self, target: Target, follower: Target, error: CognitionError) -> None:
        """The next model of the chain is asked."""
        ...


@dataclass(slots=True)
class Retry:
    """The attempts of one call at one model; tenacity drives them.

    Attributes:
        model: The model.
        policy: How often and how long to try.
        timing: Where time comes from.
        budget: Pays for retries.
        deadline: Of the whole call.
        others: How many models can be asked after this one.
        witness: Told before each wait.
        refusal: Returns the error that the breaker will refuse calls with for a while, None when it may admit them.
    """

    model: str
    policy: ResiliencePolicy
    timing: Timing
    budget: RetryBudget
    deadline: Deadline
    others: int
    witness: Witness
    refusal: Callable[[], CircuitOpen | None] = lambda: None
    _taken: int | None = field(default=None, init=False)
    _timeouts: int = field(default=0, init=False)

    async def run(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Return the first good result, asking again after retryable errors with growing waits.

        Raises:
            RetryLater: The provider asks for a longer wait than may be waited for.
            CognitionError: The last error, with a note that says how many attempts were made.
        """
        try:
            result = await attempt()
        except CognitionError as error:
            if not _may_pass(error):
                raise
            return await self._go_on(attempt, error)
        self.budget.succeeded(None)
        return result

    async def _go_on(self, attempt: Callable[[], Awaitable[T]], first: CognitionError) -> T:
        """Let tenacity go on after the first attempt; most calls need no second, and it costs 150 µs a call."""
        retrying = AsyncRetrying(
            sleep=self.timing.sleep,
            stop=self._stop,
            wait=self._wait,
            retry=retry_if_exception(_may_pass),
            before_sleep=self._before_sleep,
            reraise=True,
        )
        made = 0
        try:
            async for state in retrying:
                with state:
                    made = state.retry_state.attempt_number
                    if made == 1:
                        raise first
                    result = await attempt()
                    self.budget.succeeded(self._taken)
                    return result
        except CognitionError as error:
            if made > 1:
                error.add_note(f"This was attempt {made} of at most {self.policy.attempts}.")
            raise
        raise AssertionError("tenacity ended without result or error")

    def _wait(self, state: RetryCallState) -> float:
        """Return the back-off, never shorter than what the provider asked for."""
        backoff = self.policy.backoff_seconds(state.attempt_number, self.timing.draw())
        asked = _asked_by(_error_of(state))
        # Upwards only, so that those who were told the same time do not come back together; but not beyond the deadline
        # where what was asked for still fits.
        spread = asked * self.policy.jitter * self.timing.draw()
        return max(backoff, asked + max(0.0, min(spread, (self.deadline.remaining - asked) / 2)))

    def _stop(self, state: RetryCallState) -> bool:
        """Say whether this was the last attempt; tenacity has worked out the wait before."""
        error = _error_of(state)
        self._timeouts += error.verdict == "timeout"
        if isinstance(error, ProviderError) and self._asks_too_much(error):
            later = RetryLater.of(self.model, self.timing.clock() + timedelta(seconds=_asked_by(error)))
            self.witness.not_retrying(later)
            raise later from error
        if state.attempt_number >= self.policy.attempts or self._is_useless(error, state.upcoming_sleep):
            return True
        refused = self.refusal()
        if refused is not None and (refused.retry_after is None or refused.retry_after >= state.upcoming_sleep):
            # Perhaps opened by this very failure: a wait would only put off what comes behind it.
            refused.add_note(f"The attempt before failed: {error.message}")
            self.witness.not_retrying(refused)
            raise refused from error
        try:
            self._taken = self.budget.take(error)
        except RetryBudgetExhausted as spent:
            error.add_note(spent.message)
            self.witness.not_retrying(spent)
            return True
        return False

    def _asks_too_much(self, error: CognitionError) -> bool:
        longest = min(self.deadline.remaining, self.policy.longest_retry_after.total_seconds())
        return _asked_by(error) > max(longest, 0.0)

    def _is_useless(self, error: CognitionError, wait_seconds: float) -> bool:
        """Whether no attempt could begin in time, or another model helps sooner: who is slow once is slow again."""
        if self.others > 0 and (error.verdict == "timeout" or isinstance(error, CircuitOpen)):
            return True
        if error.verdict == "timeout" and self._timeouts > 1:
            return True
        return wait_seconds >= self.deadline.remaining or self._asks_too_much(error)

    def _before_sleep(self, state: RetryCallState) -> None:
        self.witness.retrying(state.upcoming_sleep, _error_of(state))


def _may_pass(error: BaseException) -> bool:
    if isinstance(error, CircuitOpen):
        return error.state == _COOLING and error.retry_after is not None
    return isinstance(error, CognitionError) and error.retryable


def _asked_by(error: CognitionError) -> float:
    """Return how many seconds the provider asked to be left alone, 0 when it did not say."""
    return (error.retry_after or 0.0) if isinstance(error, ProviderError | CircuitOpen) else 0.0


def _error_of(state: RetryCallState) -> CognitionError:
    error = state.outcome.exception() if state.outcome else None
    if not isinstance(error, CognitionError):
        raise TypeError("Only errors of the engine are retried.") from error
    return error
