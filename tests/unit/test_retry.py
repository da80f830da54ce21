"""Asking again: when, how often, and after which wait."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cognition.errors import CognitionError, ConfigurationError, ProviderUnavailable, RateLimited, RequestRejected
from cognition.resilience.policy import ResiliencePolicy
from cognition.resilience.retry import retry

PLAIN = ResiliencePolicy(attempts=4, jitter=0)
PROVIDER: dict[str, Any] = {"provider": "openai", "model": "openai:gpt", "status": 503}


class Sleeper:
    """Stands for `asyncio.sleep` and the monotonic clock: time passes, nobody waits."""

    def __init__(self) -> None:
        self.waits: list[float] = []
        self.now = 1000.0

    async def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.waits.append(seconds)
        self.now += seconds

    def monotonic(self) -> float:
        """Return the time that has passed."""
        return self.now


@pytest.fixture
def sleeper(monkeypatch: pytest.MonkeyPatch) -> Sleeper:
    """Let time pass by the sleeper alone."""
    sleeper = Sleeper()
    # The modules as our retry and tenacity see them; the event loop keeps the real ones.
    monkeypatch.setattr("cognition.resilience.retry.asyncio", sleeper)
    monkeypatch.setattr("tenacity.time", sleeper)
    return sleeper


def unavailable() -> ProviderUnavailable:
    """Return an error that may pass."""
    return ProviderUnavailable("The provider is overloaded; try later.", **PROVIDER)


def limited(seconds: float | None) -> RateLimited:
    """Return a refusal that says when to come back."""
    return RateLimited("Too many calls; wait.", **PROVIDER, retry_after=seconds)


def failing(*errors: BaseException) -> Callable[[int], Awaitable[int]]:
    """Return an attempt that raises some errors in turn, then returns its number."""
    left = list(errors)

    async def attempt(number: int) -> int:
        if left:
            raise left.pop(0)
        return number

    return attempt


def run(
    attempt: Callable[[int], Awaitable[int]], policy: ResiliencePolicy = PLAIN
) -> tuple[int, list[tuple[int, float]]]:
    """Return the result, and what was told before each wait."""
    told: list[tuple[int, float]] = []

    def on_retry(number: int, wait: float, error: CognitionError) -> None:
        assert error.retryable
        told.append((number, wait))

    result = asyncio.run(_run(attempt, policy, on_retry))
    return result, told


async def _run(
    attempt: Callable[[int], Awaitable[int]],
    policy: ResiliencePolicy,
    on_retry: Callable[[int, float, CognitionError], None],
) -> int:
    return await retry(attempt, policy, on_retry)


def test_a_good_first_attempt_is_the_only_one(sleeper: Sleeper) -> None:
    """Nothing waits, nothing is told."""
    assert run(failing()) == (1, [])
    assert sleeper.waits == []


def test_waits_double(sleeper: Sleeper) -> None:
    """After 1, 2 and 4 seconds, each told before it begins."""
    assert run(failing(*[unavailable() for _ in range(3)])) == (4, [(1, 1.0), (2, 2.0), (3, 4.0)])
    assert sleeper.waits == [1.0, 2.0, 4.0]


def test_the_provider_may_ask_for_a_longer_wait_but_not_for_a_shorter(sleeper: Sleeper) -> None:
    """`retry_after` is a minimum."""
    run(failing(limited(30.0), limited(0.1), limited(None)))
    assert sleeper.waits == [30.0, 2.0, 4.0]


def test_the_last_error_is_raised_with_a_note(sleeper: Sleeper) -> None:
    """The caller sees what went wrong in the end, and that it was not the first time."""
    first, last = unavailable(), limited(None)
    with pytest.raises(RateLimited) as caught:
        run(failing(first, first, first, last))
    assert caught.value is last
    assert last.notes == ["This was attempt 4 of at most 4."]
    assert len(sleeper.waits) == 3


def test_what_does_not_pass_is_raised_at_once(sleeper: Sleeper) -> None:
    """A wrong key stays wrong; no note is needed."""
    error = RequestRejected("The key is wrong; set OPENAI_API_KEY.", **PROVIDER)
    with pytest.raises(RequestRejected) as caught:
        run(failing(error))
    assert caught.value.notes == []
    assert sleeper.waits == []


def test_what_does_not_pass_ends_a_series(sleeper: Sleeper) -> None:
    """The note tells that it was the second attempt."""
    with pytest.raises(RequestRejected) as caught:
        run(failing(unavailable(), RequestRejected("No.", **PROVIDER)))
    assert caught.value.notes == ["This was attempt 2 of at most 4."]
    assert len(sleeper.waits) == 1


def test_a_wait_that_would_pass_the_deadline_is_not_begun(sleeper: Sleeper) -> None:
    """The caller learns at once that waiting is no use."""
    with pytest.raises(RateLimited):
        run(failing(limited(200.0)))
    assert sleeper.waits == []


def test_the_deadline_counts_attempts_and_waits(sleeper: Sleeper) -> None:
    """Slow attempts leave less time for more."""

    async def slow(_: int) -> int:
        sleeper.now += 4
        raise unavailable()

    with pytest.raises(ProviderUnavailable) as caught:
        run(slow, replace(PLAIN, attempts=100, deadline=timedelta(seconds=11)))
    assert caught.value.notes == ["This was attempt 2 of at most 100."]
    assert sleeper.waits == [1.0]


@pytest.mark.parametrize("error", [asyncio.CancelledError(), ZeroDivisionError(), KeyboardInterrupt()], ids=repr)
def test_foreign_errors_are_not_retried(sleeper: Sleeper, error: BaseException) -> None:
    """A cancelled call ends, and a fault of ours is not asked again."""
    with pytest.raises(type(error)):
        run(failing(error))
    assert sleeper.waits == []


def test_one_attempt_means_no_retry(sleeper: Sleeper) -> None:
    """`attempts` counts the first."""
    with pytest.raises(ProviderUnavailable):
        run(failing(unavailable()), replace(PLAIN, attempts=1))
    assert sleeper.waits == []


@given(st.integers(1, 10_000), st.floats(0, 1, exclude_max=True), st.floats(0, 0.99))
def test_back_offs_are_spread_and_bounded(failed: int, share: float, jitter: float) -> None:
    """Each wait is its doubled value ± jitter, and never more than the maximum."""
    policy = replace(PLAIN, jitter=jitter)
    plain = min(2.0 ** min(failed - 1, 100), 1e9)
    seconds = policy.backoff_seconds(failed, share)
    assert 0 < seconds <= 60
    assert min(plain * (1 - jitter), 60) - 1e-6 <= seconds <= plain * (1 + jitter) + 1e-6


def test_draws_differ(sleeper: Sleeper) -> None:
    """Callers that failed together do not come back together."""
    for _ in range(20):
        run(failing(unavailable()), replace(PLAIN, jitter=0.1))
    assert len(set(sleeper.waits)) > 1
    assert all(0.9 <= wait <= 1.1 for wait in sleeper.waits)


@pytest.mark.parametrize(
    "wrong",
    [
        {"attempts": 0},
        {"max_concurrent": 0},
        {"attempt_timeout": timedelta(0)},
        {"deadline": timedelta(0)},
        {"initial_backoff": timedelta(0)},
        {"max_backoff": timedelta(seconds=-1)},
        {"jitter": 1.0},
        {"jitter": float("nan")},
    ],
)
def test_policies_that_cannot_be_meant_are_refused(wrong: dict[str, Any]) -> None:
    """The sentence names the class."""
    with pytest.raises(ConfigurationError, match="ResiliencePolicy"):
        ResiliencePolicy(**wrong)
