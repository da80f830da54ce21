"""Periods follow the calendar of their zone; the cases of `../shared/data/budget-cases` pass where they are present."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cognition.domain.budget import Budget, Period
from cognition.domain.budget_period import Span, period_at, window_at
from cognition.errors import ConfigurationError
from tests.unit.budget_cases import given_cases

WORDS: dict[str, Period] = {"day": "daily", "week": "weekly", "month": "monthly"}


def budget(period: Period, zone: str = "UTC", week_start: int = 1) -> Budget:
    """Return a budget of five dollars."""
    length = timedelta(hours=36) if period == "rolling" else timedelta(0)
    return Budget(scope="user", limit_usd="5", period=period, timezone=zone, week_start=week_start, length=length)


def utc(text: str) -> datetime:
    """Return a time of UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("given_budget", "at", "start", "end"),
    [
        (budget("daily"), "2026-08-19T00:00", "2026-08-19T00:00", "2026-08-20T00:00"),
        (budget("daily"), "2026-08-18T23:59:59.999999", "2026-08-18T00:00", "2026-08-19T00:00"),
        (budget("weekly"), "2026-08-23T23:59:59", "2026-08-17T00:00", "2026-08-24T00:00"),
        (budget("weekly", week_start=7), "2026-08-22T12:00", "2026-08-16T00:00", "2026-08-23T00:00"),
        (budget("weekly", week_start=7), "2026-08-23T00:00", "2026-08-23T00:00", "2026-08-30T00:00"),
        (budget("weekly"), "2027-01-01T00:00", "2026-12-28T00:00", "2027-01-04T00:00"),
        (budget("monthly"), "2026-01-31T23:00", "2026-01-01T00:00", "2026-02-01T00:00"),
        (budget("monthly"), "2026-02-28T12:00", "2026-02-01T00:00", "2026-03-01T00:00"),
        (budget("monthly"), "2028-02-29T12:00", "2028-02-01T00:00", "2028-03-01T00:00"),
        (budget("monthly"), "2026-12-25T12:00", "2026-12-01T00:00", "2027-01-01T00:00"),
        (budget("quarterly"), "2026-12-31T23:00", "2026-10-01T00:00", "2027-01-01T00:00"),
        (budget("quarterly"), "2026-02-28T00:00", "2026-01-01T00:00", "2026-04-01T00:00"),
        # Clocks go forward: 23 hours. Clocks go back: 25.
        (budget("daily", "Europe/Berlin"), "2026-03-29T12:00", "2026-03-28T23:00", "2026-03-29T22:00"),
        (budget("daily", "Europe/Berlin"), "2026-10-25T12:00", "2026-10-24T22:00", "2026-10-25T23:00"),
        (budget("weekly", "America/New_York"), "2026-03-08T12:00", "2026-03-02T05:00", "2026-03-09T04:00"),
        (budget("monthly", "America/New_York"), "2026-11-01T03:00", "2026-10-01T04:00", "2026-11-01T04:00"),
        # The clock of Beirut jumps from midnight to one: the day starts with the jump.
        (budget("daily", "Asia/Beirut"), "2026-03-29T12:00", "2026-03-28T22:00", "2026-03-29T21:00"),
        (budget("daily", "Asia/Beirut"), "2026-03-28T21:59:59", "2026-03-27T22:00", "2026-03-28T22:00"),
        # That of the Azores shows midnight twice: the day starts with the first and has 25 hours.
        (budget("daily", "Atlantic/Azores"), "2026-10-25T00:30", "2026-10-25T00:00", "2026-10-26T01:00"),
        (budget("daily", "Atlantic/Azores"), "2026-10-25T01:30", "2026-10-25T00:00", "2026-10-26T01:00"),
        (budget("daily", "Atlantic/Azores"), "2026-10-24T23:59", "2026-10-24T00:00", "2026-10-25T00:00"),
        # Samoa left out the 30th of December 2011.
        (budget("daily", "Pacific/Apia"), "2011-12-30T10:00", "2011-12-30T10:00", "2011-12-31T10:00"),
        (budget("daily", "Pacific/Apia"), "2011-12-30T09:59", "2011-12-29T10:00", "2011-12-30T10:00"),
        (budget("rolling", "Asia/Kolkata"), "2026-08-19T09:30", "2026-08-19T09:00", "2026-08-19T10:00"),
    ],
)
def test_a_period_follows_the_calendar_of_its_zone(given_budget: Budget, at: str, start: str, end: str) -> None:
    """The start belongs to it, the end does not; all given in UTC."""
    assert Span(utc(start), utc(end)) == period_at(given_budget, utc(at))


def test_a_lifetime_never_ends() -> None:
    """One counter for good."""
    span = period_at(budget("lifetime"), utc("2026-08-19T09:30"))

    assert span.end is None
    assert utc("9999-01-01T00:00") in span


def test_a_rolling_window_has_its_full_length() -> None:
    """36 hours are 36 hours, at whatever time of the day they are asked for."""
    at = utc("2026-11-22T22:10")

    window = window_at(budget("rolling"), at)

    assert (utc("2026-11-21T10:10"), utc("2026-11-22T23:00")) == (window.start, window.end)
    assert window_at(budget("daily"), at) == period_at(budget("daily"), at)


@given(
    st.sampled_from(["daily", "weekly", "monthly", "quarterly"]),
    st.sampled_from(
        ["UTC", "Europe/Berlin", "Asia/Beirut", "Atlantic/Azores", "America/Havana", "Australia/Lord_Howe"]
    ),
    st.integers(1, 7),
    st.datetimes(datetime(2000, 1, 1), datetime(2037, 12, 31), timezones=st.just(UTC)),  # noqa: DTZ001  bounds of UTC
)
def test_periods_have_no_gap_and_no_overlap(period: Period, zone: str, week_start: int, moment: datetime) -> None:
    """Every moment lies in its own period, and the next one starts where it ends."""
    one = budget(period, zone, week_start)
    span = period_at(one, moment)
    assert moment in span
    assert span.end is not None
    assert span == period_at(one, span.start)
    assert span.end == period_at(one, span.end).start
    assert span == period_at(one, span.end - timedelta(microseconds=1))


def test_any_number_of_missed_periods_is_one_new_period() -> None:
    """Nobody has to reset: after ten days away the period is today's, and asking twice changes nothing."""
    one = budget("daily")
    later = utc("2026-01-11T00:00:17")
    assert Span(utc("2026-01-11T00:00"), utc("2026-01-12T00:00")) == period_at(one, later)
    assert period_at(one, later) == period_at(one, later + timedelta(hours=3))


def test_the_windows_of_the_shared_cases() -> None:
    """Calendar windows in UTC, as they are in another gateway's tests."""
    for word, at, start, end in given_cases()["calendar_windows_otari_utc"]:
        assert Span(utc(start), utc(end)) == period_at(budget(WORDS[word]), utc(at))


def test_the_windows_of_the_shared_cases_in_their_zones() -> None:
    """23 and 25 hours, month ends at midnight of Tokyo, a midnight that does not exist."""
    for case in given_cases()["calendar_windows_tz_dst_verified"]:
        span = period_at(budget(WORDS[case["period"]], case["tz"]), datetime.fromisoformat(case["at"]))
        assert datetime.fromisoformat(case["start"]) == span.start
        assert "end" not in case or datetime.fromisoformat(case["end"]) == span.end
        assert "hours" not in case or timedelta(hours=case["hours"]) == _length(span)


def test_observed_defects_of_the_shared_cases_are_refused_or_right() -> None:
    """What another gateway makes of odd durations and zones."""
    for case in given_cases()["litellm_1_109_1_observed_reset_defects"]:
        if "tz" in case:
            with pytest.raises(ConfigurationError, match="no time zone"):
                replace(budget("daily"), timezone=case["tz"])
        elif case["duration"].endswith("h"):
            length = timedelta(hours=int(case["duration"][:-1]))
            now = datetime.fromisoformat(case["now"])
            one = Budget(scope="user", limit_usd="5", period="rolling", length=length)
            assert length == now - window_at(one, now).start
        else:
            with pytest.raises(ConfigurationError, match="period is"):
                replace(budget("daily"), period=case["duration"])


def test_months_are_calendar_months() -> None:
    """A month is not thirty days: nothing begins anew on the 31st of January, and nothing is stamped in the future."""
    one = budget("monthly")
    starts = [period_at(one, utc(f"2026-{month:02}-15T12:00")).start for month in range(1, 13)]
    assert [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30] == [(later - first).days for first, later in pairwise(starts)]
    assert utc("2026-01-01T00:00") == period_at(one, utc("2026-01-31T00:00")).start
    assert utc("2026-03-01T00:00") == period_at(one, utc("2026-03-02T00:00")).start


def _length(span: Span) -> timedelta:
    assert span.end is not None
    return span.end - span.start
