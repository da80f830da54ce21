"""Asking again: when, how often, and after which wait."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cognition.errors import (
    BulkheadFull,
    CircuitOpen,
    CognitionError,
    ConfigurationError,
    ProviderTimeout,
    ProviderUnavailable,
    QuotaExhausted,
    RateLimited,
    RequestRejected,
    RetryLater,
)
from cognition.resilience.policy import ResiliencePolicy
from cognition.resilience.retry import Retry
from cognition.resilience.retry_budget import RetryBudget
from cognition.resilience.timing import Deadline
from tests.unit.passing_time import FIRST, PassingTime, Told

PLAIN = ResiliencePolicy(attempts=4, jitter=0)
PROVIDER: dict[str, Any] = {"provider": "openai", "model": "openai:gpt", "status": 503}


@dataclass
class Series:
    """The attempts of one call; the errors are raised in turn, then the number of the attempt is returned."""

    policy: ResiliencePolicy = PLAIN
    time: PassingTime = field(default_factory=PassingTime)
    budget: RetryBudget = field(default_factory=lambda: RetryBudget("openai"))
    others: int = 0
    seconds: float = 0.0
    told: Told = field(default_factory=Told)
    refused: CircuitOpen | None = None
    made: int = 0

    def run(self, *errors: BaseException) -> int:
        """Make attempts, each of which takes some seconds."""
        left = list(errors)
        timing = self.time.timing
        deadline = Deadline(self.policy.deadline, timing.monotonic)

        async def attempt() -> int:
            self.made += 1
            deadline.seconds_for(self.policy.attempt_timeout)
            self.time.let_pass(self.seconds)
            if left:
                raise left.pop(0)
            return self.made

        retry = Retry(FIRST, self.policy, timing, self.budget, deadline, self.others, self.told, lambda: self.refused)
        return asyncio.run(retry.run(attempt))


@pytest.fixture
def series() -> Series:
    """Return a series under the plain policy."""
    return Series()


def unavailable(seconds: float | None = None) -> ProviderUnavailable:
    """Return an error that may pass."""
    return ProviderUnavailable("The provider is overloaded; try later.", **PROVIDER, retry_after=seconds)


def limited(seconds: float | None) -> RateLimited:
    """Return a refusal that says when to come back."""
    return RateLimited("Too many calls; wait.", **PROVIDER, retry_after=seconds)


def timeout() -> ProviderTimeout:
    """Return a silence."""
    return ProviderTimeout("No answer; try later.", **PROVIDER)


def test_a_good_first_attempt_is_the_only_one(series: Series) -> None:
    """Nothing waits, nothing is told."""
    assert 1 == series.run()
    assert ([], []) == (series.time.waits, series.told.what)


def test_waits_double(series: Series) -> None:
    """After 1, 2 and 4 seconds, each told before it begins; `attempts` counts the first call."""
    assert 4 == series.run(*[unavailable() for _ in range(3)])

    assert [1.0, 2.0, 4.0] == series.time.waits
    assert [("retrying", wait, "ProviderUnavailable") for wait in "124"] == series.told.what


@pytest.mark.parametrize("error", [unavailable, limited])
def test_the_provider_may_ask_for_a_longer_wait_but_not_for_a_shorter(
    series: Series, error: Callable[[float | None], CognitionError]
) -> None:
    """`retry_after` is a minimum, whatever status it came with."""
    series.run(error(30.0), error(0.1), error(None))
    assert [30.0, 2.0, 4.0] == series.time.waits


def test_callers_who_were_told_the_same_time_come_back_spread_and_never_early() -> None:
    """The jitter of a wait that was asked for goes upwards only."""
    series = Series(policy=replace(PLAIN, jitter=0.1), time=PassingTime(draw=0.999))
    series.run(limited(10.0))
    assert 10.9 < series.time.waits[0] < 11.0


def test_jitter_does_not_lengthen_the_longest_wait() -> None:
    """It is added before the clamp."""
    policy = replace(PLAIN, jitter=0.5, initial_backoff=timedelta(seconds=50))
    series = Series(policy=policy, time=PassingTime(draw=0.999))
    series.run(unavailable())
    assert [60.0] == series.time.waits


def test_the_last_error_is_raised_with_a_note_and_nobody_sleeps_after_it(series: Series) -> None:
    """The caller sees what went wrong in the end, and that it was not the first time."""
    first, last = unavailable(), limited(None)
    with pytest.raises(RateLimited) as caught:
        series.run(first, first, first, last)
    assert last is caught.value
    assert ["This was attempt 4 of at most 4."] == last.notes
    assert 3 == len(series.time.waits)


@pytest.mark.parametrize("kind", [RequestRejected, QuotaExhausted, BulkheadFull])
def test_what_does_not_pass_is_raised_at_once(series: Series, kind: type[CognitionError]) -> None:
    """A wrong key stays wrong, an empty account empty; no note is needed."""
    with pytest.raises(kind) as caught:
        series.run(kind("No.", **PROVIDER))
    assert ([], []) == (caught.value.notes, series.time.waits)


def test_what_does_not_pass_ends_a_series(series: Series) -> None:
    """The note tells that it was the second attempt."""
    with pytest.raises(RequestRejected) as caught:
        series.run(unavailable(), RequestRejected("No.", **PROVIDER))
    assert ["This was attempt 2 of at most 4."] == caught.value.notes


def test_a_timeout_is_retried_once(series: Series) -> None:
    """Who is slow twice is slow."""
    with pytest.raises(ProviderTimeout):
        series.run(timeout(), timeout(), timeout())
    assert 2 == series.made


def test_a_timeout_is_not_retried_where_another_model_can_be_asked() -> None:
    """The fallback is faster than a second wait."""
    series = Series(others=1)
    with pytest.raises(ProviderTimeout):
        series.run(timeout())
    assert (1, []) == (series.made, series.time.waits)


@pytest.mark.parametrize(("asked", "deadline"), [(121.0, 1000), (60.0, 59)])
def test_a_wait_that_is_too_long_is_a_time_to_come_back(series: Series, asked: float, deadline: int) -> None:
    """Longer than 120 s or than the time that is left: the caller learns at once when to run again."""
    series.policy = replace(PLAIN, deadline=timedelta(seconds=deadline))
    error = limited(asked)
    with pytest.raises(RetryLater) as caught:
        series.run(error)
    assert series.time.clock.now + timedelta(seconds=asked) == caught.value.at
    assert error is caught.value.__cause__
    assert ([], [("not retrying", "RetryLater")]) == (series.time.waits, series.told.what)


def test_a_wait_that_is_just_short_enough_is_waited_for(series: Series) -> None:
    """120 seconds are no more than 120 seconds."""
    assert 2 == series.run(limited(120.0))
    assert [120.0] == series.time.waits


def test_the_time_to_come_back_is_told_after_the_last_attempt_too() -> None:
    """One attempt at most, and still the flow run knows when to be rescheduled."""
    series = Series(policy=replace(PLAIN, attempts=1))
    with pytest.raises(RetryLater):
        series.run(limited(300.0))


def test_the_deadline_counts_attempts_and_waits() -> None:
    """Slow attempts leave less time for more."""
    series = Series(policy=replace(PLAIN, attempts=100, deadline=timedelta(seconds=11)), seconds=4.0)
    with pytest.raises(ProviderUnavailable) as caught:
        series.run(*[unavailable() for _ in range(9)])
    assert ["This was attempt 2 of at most 100."] == caught.value.notes
    assert [1.0] == series.time.waits


def test_jitter_does_not_push_a_wait_beyond_the_deadline() -> None:
    """The provider asked for 9.8 of the 10 seconds that are left; a tenth more would make the wait useless."""
    series = Series(policy=ResiliencePolicy(attempts=2, deadline=timedelta(seconds=10)), time=PassingTime(draw=0.9))
    assert 2 == series.run(limited(9.8))
    assert [pytest.approx(9.9)] == series.time.waits  # pyright: ignore[reportUnknownMemberType]


def test_a_cool_down_of_the_breaker_is_waited_for(series: Series) -> None:
    """Another call was told to wait; this one waits as long."""
    cooling = CircuitOpen("It cools down; wait.", breaker="b", state="cooling_down", retry_after=7.0)
    assert 2 == series.run(cooling)
    assert [7.0] == series.time.waits
    assert 500 == series.budget.tokens


def test_another_model_is_asked_instead_of_waiting_for_the_end_of_a_cool_down(series: Series) -> None:
    """It was another call that met the limit; this one need not wait for it."""
    series.others = 1
    with pytest.raises(CircuitOpen):
        series.run(CircuitOpen("It cools down; wait.", breaker="b", state="cooling_down", retry_after=7.0))
    assert (1, []) == (series.made, series.time.waits)


@pytest.mark.parametrize("seconds", [60.0, None])
def test_nobody_waits_for_a_breaker_that_stays_open(series: Series, seconds: float | None) -> None:
    """This failure has opened it: the caller is told at once, with what went before."""
    series.refused = CircuitOpen("It is open; wait.", breaker="b", state="open", retry_after=seconds)
    with pytest.raises(CircuitOpen) as caught:
        series.run(unavailable())
    assert (1, []) == (series.made, series.time.waits)
    assert isinstance(caught.value.__cause__, ProviderUnavailable)
    assert "The attempt before failed: The provider is overloaded; try later." in caught.value.notes
    assert [("not retrying", "CircuitOpen")] == series.told.what


def test_a_breaker_that_may_admit_by_then_is_tried(series: Series) -> None:
    """Its open time ends before the back-off does."""
    series.refused = CircuitOpen("It is open; wait.", breaker="b", state="open", retry_after=0.5)
    assert 2 == series.run(unavailable())
    assert [1.0] == series.time.waits


@pytest.mark.parametrize(("state", "seconds"), [("open", 7.0), ("forced_open", None), ("cooling_down", 300.0)])
def test_an_open_breaker_is_not_waited_for(series: Series, state: str, seconds: float | None) -> None:
    """The caller, or the fallback, learns of it at once; so it does of a cool-down that takes too long."""
    with pytest.raises(CircuitOpen):
        series.run(CircuitOpen("It is open; wait.", breaker="b", state=state, retry_after=seconds))
    assert [] == series.time.waits


@pytest.mark.parametrize("error", [asyncio.CancelledError(), ZeroDivisionError(), KeyboardInterrupt()], ids=repr)
def test_foreign_errors_are_not_retried(series: Series, error: BaseException) -> None:
    """A cancelled call ends, and a fault of ours is not asked again."""
    with pytest.raises(type(error)):
        series.run(error)
    assert [] == series.time.waits


def test_an_exhausted_budget_allows_no_retry() -> None:
    """The first attempt is always made; the reason stands in a note and is told."""
    series = Series(budget=RetryBudget("openai", tokens=13))
    with pytest.raises(ProviderUnavailable) as caught:
        series.run(unavailable())
    assert 1 == series.made
    assert "The retry budget of openai is spent" in caught.value.notes[0]
    assert [("not retrying", "RetryBudgetExhausted")] == series.told.what


def test_the_budget_pays_for_retries() -> None:
    """A retry that succeeds gives back its own price; one that failed gave nothing back."""
    series = Series()
    series.run(unavailable(), limited(None))
    assert 500 - 14 == series.budget.tokens


@given(st.integers(1, 10_000), st.floats(0, 1, exclude_max=True), st.floats(0, 0.99))
def test_back_offs_are_spread_and_bounded(failed: int, share: float, jitter: float) -> None:
    """Each wait is its doubled value ± jitter, and never more than the maximum."""
    policy = replace(PLAIN, jitter=jitter)
    plain = min(2.0 ** min(failed - 1, 100), 1e9)
    seconds = policy.backoff_seconds(failed, share)
    assert 0 < seconds <= 60
    assert min(plain * (1 - jitter), 60) - 1e-6 <= seconds <= plain * (1 + jitter) + 1e-6


@pytest.mark.parametrize(
    "wrong",
    [
        {"attempts": 0},
        {"max_concurrent": 0},
        {"max_waiting": -1},
        {"attempt_timeout": timedelta(0)},
        {"deadline": timedelta(0)},
        {"initial_backoff": timedelta(0)},
        {"max_backoff": timedelta(seconds=-1)},
        {"longest_retry_after": timedelta(0)},
        {"quota_pause": timedelta(0)},
        {"jitter": 1.0},
        {"jitter": float("nan")},
    ],
)
def test_policies_that_cannot_be_meant_are_refused(wrong: dict[str, Any]) -> None:
    """The sentence names the class."""
    with pytest.raises(ConfigurationError, match="ResiliencePolicy"):
        ResiliencePolicy(**wrong)
