"""The database and Python agree on when a budget's period begins and ends."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import available_timezones

import pytest
from sqlalchemy import Engine, text

from cognition.domain.budget import Budget, Period
from cognition.domain.budget_period import Span, period_at

_PERIODS = text("""
    SELECT p.* FROM unnest(CAST(:moments AS timestamptz[])) WITH ORDINALITY AS m (moment, place)
    CROSS JOIN LATERAL budget_period_v2(:period, :timezone, :week_start, m.moment) AS p
    ORDER BY m.place
""")
_DAYS = text("""
    SELECT z.name, p.period_start, p.period_end
    FROM unnest(CAST(:zones AS text[])) AS z (name)
    CROSS JOIN LATERAL budget_period_v2('daily', z.name, 1, :moment) AS p
""")

# Days on which clocks change somewhere: midnight is skipped in Beirut and comes twice in the Azores and Havana.
CHANGES = [
    datetime(2026, 3, 8, tzinfo=UTC),
    datetime(2026, 3, 28, 20, tzinfo=UTC),
    datetime(2026, 10, 24, 20, tzinfo=UTC),
    datetime(2026, 10, 31, 20, tzinfo=UTC),
    datetime(2026, 12, 31, 12, tzinfo=UTC),
    datetime(2011, 12, 29, 22, tzinfo=UTC),
]
ZONES = (
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "America/Havana",
    "Asia/Beirut",
    "Asia/Kathmandu",
    "Atlantic/Azores",
    "Australia/Lord_Howe",
    "Pacific/Apia",
)


def of_database(engine: Engine, budget: Budget, moments: list[datetime]) -> list[Span]:
    """Return the periods that the database computes."""
    parameters = {"period": budget.period, "timezone": budget.timezone, "week_start": budget.week_start}
    with engine.connect() as connection:
        rows = connection.execute(_PERIODS, {**parameters, "moments": moments})
        return [Span(start.astimezone(UTC), end.astimezone(UTC)) for start, end in rows]


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("period", ["daily", "weekly", "monthly", "quarterly"])
def test_periods_are_the_same_around_every_change_of_clocks(template_engine: Engine, period: Period, zone: str) -> None:
    """Each half hour of the days around a change."""
    budget = Budget(scope="user", limit_usd="5", period=period, timezone=zone, week_start=3)
    moments = [day + timedelta(minutes=30 * step) for day in CHANGES for step in range(40)]
    assert [period_at(budget, moment) for moment in moments] == of_database(template_engine, budget, moments)


def test_the_buckets_of_a_rolling_budget_are_the_same(template_engine: Engine) -> None:
    """Hours of UTC, whatever the zone."""
    budget = Budget(
        scope="user", limit_usd="5", period="rolling", length=timedelta(hours=36), timezone="Asia/Kathmandu"
    )
    moments = [CHANGES[0] + timedelta(minutes=7 * step) for step in range(20)]
    assert [period_at(budget, moment) for moment in moments] == of_database(template_engine, budget, moments)


@pytest.mark.parametrize("moment", [CHANGES[1] + timedelta(hours=2), CHANGES[2] + timedelta(hours=5)])
def test_days_are_the_same_in_every_zone(template_engine: Engine, moment: datetime) -> None:
    """On the days on which Europe changes its clocks; the names with a slash are those that a budget accepts."""
    with template_engine.connect() as connection:
        known = set(connection.scalars(text("SELECT name FROM pg_timezone_names")))
        zones = sorted(name for name in known & available_timezones() if "/" in name)
        rows = connection.execute(_DAYS, {"zones": zones, "moment": moment})
        found = {name: Span(start.astimezone(UTC), end.astimezone(UTC)) for name, start, end in rows}
    expected = {
        name: period_at(Budget(scope="user", limit_usd="5", period="daily", timezone=name), moment) for name in zones
    }
    assert expected == found
    assert len(found) > 400
