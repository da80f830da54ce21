"""The last whole day, week or month of a time zone, whenever the report runs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from cognition.errors import ConfigurationError
from cognition_flows.periods import Period, previous

BERLIN = "Europe/Berlin"


@pytest.mark.parametrize(
    ("period", "now", "start", "end"),
    [
        ("day", "2026-11-26T07:00+00:00", "2026-11-25T00:00+01:00", "2026-11-26T00:00+01:00"),
        ("day", "2026-11-26T23:30+00:00", "2026-11-26T00:00+01:00", "2026-11-27T00:00+01:00"),
        ("week", "2026-11-26T07:00+00:00", "2026-11-16T00:00+01:00", "2026-11-23T00:00+01:00"),
        ("week", "2026-11-23T00:00+01:00", "2026-11-16T00:00+01:00", "2026-11-23T00:00+01:00"),
        ("month", "2026-01-31T07:00+00:00", "2025-12-01T00:00+01:00", "2026-01-01T00:00+01:00"),
        ("month", "2026-03-31T23:00+00:00", "2026-03-01T00:00+01:00", "2026-04-01T00:00+02:00"),
    ],
)
def test_a_period_has_ended(period: Period, now: str, start: str, end: str) -> None:
    """From midnight to midnight there, however late the run is."""
    assert (datetime.fromisoformat(start), datetime.fromisoformat(end)) == previous(
        period, BERLIN, datetime.fromisoformat(now)
    )


@pytest.mark.parametrize(("now", "hours"), [("2026-03-30T08:00+00:00", 23), ("2026-10-26T08:00+00:00", 25)])
def test_days_of_23_and_25_hours(now: str, hours: int) -> None:
    """When the clocks change, a day is as long as it is."""
    start, end = previous("day", BERLIN, datetime.fromisoformat(now))
    assert timedelta(hours=hours) == end.astimezone(UTC) - start.astimezone(UTC)


@pytest.mark.parametrize("timezone", ["Mars/Olympus", "", "../etc", "Europe"])
def test_no_time_zone(timezone: str) -> None:
    """One sentence."""
    with pytest.raises(ConfigurationError, match="There is no time zone"):
        previous("day", timezone, datetime.now(UTC))
