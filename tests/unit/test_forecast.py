"""When a budget's money is gone, if spending goes on as it did."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cognition.domain.forecast import HourlySpend, forecast
from cognition.domain.reservation import Standing

MIDNIGHT = datetime(2026, 11, 22, tzinfo=UTC)
NOON = MIDNIGHT + timedelta(hours=12)
DAY = timedelta(days=1)
ROLLING = timedelta(hours=6)


def standing(limit: str = "10", used: str = "6", **fields: object) -> Standing:
    """Return how a daily budget stands."""
    one = Standing(
        budget_id=UUID(int=1),
        scope="user",
        subject="alice",
        period="daily",
        limit_usd=Decimal(limit),
        credit_usd=Decimal(0),
        used_usd=Decimal(used),
        reserved_usd=Decimal(0),
        soft_limit=Decimal("0.8"),
        on_soft="warn",
        on_hard="block",
        downgrade_to=None,
        period_start=MIDNIGHT,
        resets_at=MIDNIGHT + DAY,
    )
    return replace(one, **fields)  # pyright: ignore[reportArgumentType]  fields of Standing


def spent(*hours: tuple[int, str]) -> list[HourlySpend]:
    """Return what was spent in some hours of the day, three attempts each."""
    return [HourlySpend(MIDNIGHT + timedelta(hours=hour), Decimal(usd), 3) for hour, usd in hours]


def test_a_steady_spend_reaches_the_limit() -> None:
    """Six dollars since six o'clock are a dollar an hour, so that four are left for four hours."""
    told = forecast(standing(), spent((6, "2"), (7, "1"), (11, "3")), NOON, timedelta(0))

    assert NOON + timedelta(hours=4) == told.exhausted_at
    assert ("mean hourly spend", 3, 9, Decimal(1)) == (told.method, told.hours, told.attempts, told.hourly_usd)


def test_a_period_that_ends_before_is_not_used_up() -> None:
    """Money is freed at midnight; the rate is told all the same."""
    told = forecast(standing("100"), spent((6, "3"), (7, "3")), NOON, timedelta(0))

    assert (None, Decimal(1)) == (told.exhausted_at, told.hourly_usd)


def test_a_lifetime_is_used_up_some_day() -> None:
    """Nothing is freed before; what would take longer than the calendar lasts is never."""
    for_life = standing("100", resets_at=None)
    hours = spent((6, "3"), (7, "3"))

    assert NOON + timedelta(hours=94) == forecast(for_life, hours, NOON, timedelta(0)).exhausted_at
    endless = standing("99999999999", resets_at=None)
    assert forecast(endless, spent((6, "0.000000001"), (7, "0.000000001")), NOON, timedelta(0)).exhausted_at is None


@pytest.mark.parametrize("hours", [[], spent((11, "6"))])
def test_one_hour_tells_nothing(hours: list[HourlySpend]) -> None:
    """There is too little to go by, and the count says so."""
    told = forecast(standing(), hours, NOON, timedelta(0))

    assert (None, None, len(hours)) == (told.exhausted_at, told.hourly_usd, told.hours)


def test_what_is_used_up_is_used_up_now() -> None:
    """However little is known."""
    assert NOON == forecast(standing(used="10"), [], NOON, timedelta(0)).exhausted_at


def test_credit_lasts_longer() -> None:
    """What adjustments gave may be spent too."""
    more = standing(credit_usd=Decimal(2))

    assert NOON + timedelta(hours=6) == forecast(more, spent((6, "3"), (7, "3")), NOON, timedelta(0)).exhausted_at


def test_a_rolling_budget_frees_what_it_lets_go() -> None:
    """A dollar an hour never reaches ten dollars in six hours, though four would be gone in four."""
    rolling = standing(period="rolling", resets_at=NOON)
    hours = spent(*((hour, "1") for hour in range(6, 12)))

    told = forecast(rolling, hours, NOON, ROLLING)

    assert (None, Decimal(1)) == (told.exhausted_at, told.hourly_usd)


def test_a_rolling_budget_is_used_up_before_the_first_spend_leaves() -> None:
    """Three dollars in the last two hours: two are left, and nothing leaves for five hours."""
    rolling = standing("5", "3", period="rolling", resets_at=None)

    told = forecast(rolling, spent((10, "1"), (11, "2")), NOON, ROLLING)

    assert NOON + timedelta(hours=1, minutes=20) == told.exhausted_at


@given(st.lists(st.integers(0, 500), min_size=12, max_size=12), st.integers(1, 3000), st.booleans())
def test_a_foretold_time_lies_in_the_period_and_not_in_the_past(cents: list[int], limit: int, rolling: bool) -> None:  # noqa: FBT001
    """Whatever was spent."""
    hours = spent(*((hour, str(Decimal(usd) / 100)) for hour, usd in enumerate(cents) if usd))
    used = sum(cents[6:] if rolling else cents)
    one = standing(str(Decimal(limit) / 100), str(Decimal(used) / 100), period="rolling" if rolling else "daily")
    told = forecast(one, hours, NOON, ROLLING if rolling else timedelta(0))
    assert told.exhausted_at is None or NOON <= told.exhausted_at <= NOON + (ROLLING if rolling else DAY / 2)
    assert (told.exhausted_at == NOON) == (used >= limit)
