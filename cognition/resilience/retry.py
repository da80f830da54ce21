"""Asks again after errors that may pass."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_after_attempt, stop_before_delay

from cognition.errors import CognitionError, RateLimited
from cognition.resilience.policy import ResiliencePolicy

T = TypeVar("T")

OnRetry = Callable[[int, float, CognitionError], None]


async def retry(attempt: Callable[[int], Awaitable[T]], policy: ResiliencePolicy, on_retry: OnRetry) -> T:
    """Return the first good result, asking again after retryable errors with growing waits.

    Args:
        attempt: Makes one attempt; told its number, 1 for the first.
        policy: How often and how long to try.
        on_retry: Told the number of the failed attempt, the wait in seconds and the error, before each wait.

    Raises:
        CognitionError: The last error, with a note that says how many attempts were made.
    """
    wait = _Wait(policy)

    def before_sleep(state: RetryCallState) -> None:
        on_retry(state.attempt_number, state.upcoming_sleep, _error_of(state))

    retrying = AsyncRetrying(
        sleep=asyncio.sleep,
        stop=stop_after_attempt(policy.attempts) | stop_before_delay(policy.deadline.total_seconds()),
        wait=wait,
        retry=retry_if_exception(_is_retryable),
        before_sleep=before_sleep,
        reraise=True,
    )
    made = 0
    try:
        async for state in retrying:
            with state:
                made = state.retry_state.attempt_number
                return await attempt(made)
    except CognitionError as error:
        if made > 1:
            error.add_note(f"This was attempt {made} of at most {policy.attempts}.")
        raise
    raise AssertionError("tenacity ended without result or error")


class _Wait:
    """The policy's back-off, never shorter than what the provider asked for."""

    def __init__(self, policy: ResiliencePolicy) -> None:
        self._policy = policy

    def __call__(self, state: RetryCallState) -> float:
        # Jitter needs no secrecy, only spread.
        backoff = self._policy.backoff_seconds(state.attempt_number, random.random())  # noqa: S311
        error = _error_of(state)
        asked = error.retry_after if isinstance(error, RateLimited) else None
        return max(backoff, asked or 0.0)


def _is_retryable(error: BaseException) -> bool:
    return isinstance(error, CognitionError) and error.retryable


def _error_of(state: RetryCallState) -> CognitionError:
    error = state.outcome.exception() if state.outcome else None
    if not isinstance(error, CognitionError):
        raise TypeError("Only errors of the engine are retried.") from error
    return error
