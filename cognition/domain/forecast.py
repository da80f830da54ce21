"""When a budget's money is gone, if spending goes on as it did."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from cognition.domain.budget import HOUR
from cognition.domain.pricing import to_usd
from cognition.domain.reservation import Standing

METHOD = "mean hourly spend"
"""What the forecast goes by: the spend since the first hour of the period that had any, quiet hours included."""

FEWEST_HOURS = 2
"""With spend in fewer hours than this nothing is foretold: one busy hour says nothing about the next."""

_ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class HourlySpend:
    """What was spent in one hour.

    Attributes:
        hour: When the hour began, in UTC.
        spend_usd: How much was spent in it.
        attempts: How many attempts that paid for.
    """

    hour: datetime
    spend_usd: Decimal
    attempts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """When a budget's money is gone, if spending goes on as it did.

    Attributes:
        standing: How the budget stands.
        method: What the forecast goes by.
        hours: In how many hours of the period money was spent.
        attempts: How many attempts that paid for.
        hourly_usd: What is spent in an hour on average; None when there is too little to go by.
        exhausted_at: When the limit is reached, in UTC; None when money is freed before, or when there is too little to
            go by.
    """

    standing: Standing
    method: str
    hours: int
    attempts: int
    hourly_usd: Decimal | None
    exhausted_at: datetime | None


def forecast(standing: Standing, spent: Sequence[HourlySpend], now: datetime, length: timedelta) -> Forecast:
    """Foretell when a budget's money is gone.

    Args:
        standing: How it stands.
        spent: The hours of the period in which money was spent, oldest first; of a rolling budget, those of its window.
        now: The present time.
        length: Of a rolling budget; zero for the others.
    """
    rate = _rate(spent, now)
    left = standing.total_usd - standing.used_usd
    exhausted_at = now if left <= 0 else None
    if exhausted_at is None and rate:
        exhausted_at = _rolling(standing, spent, now, length) if length else _steady(standing, rate, now)
    return Forecast(
        standing=standing,
        method=METHOD,
        hours=len(spent),
        attempts=sum(one.attempts for one in spent),
        hourly_usd=None if rate is None else to_usd(rate),
        exhausted_at=exhausted_at,
    )


def _rate(spent: Sequence[HourlySpend], now: datetime) -> Decimal | None:
    """Return what is spent in an hour, or None when there is too little to go by."""
    if len(spent) < FEWEST_HOURS:
        return None
    return sum((one.spend_usd for one in spent), _ZERO) / _hours(now - spent[0].hour)


def _steady(standing: Standing, rate: Decimal, now: datetime) -> datetime | None:
    """Return when a steady spend reaches the limit, unless the period ends before."""
    left = _hours_later(now, (standing.total_usd - standing.used_usd) / rate)
    return None if left is None or (standing.resets_at is not None and left >= standing.resets_at) else left


def _rolling(standing: Standing, spent: Sequence[HourlySpend], now: datetime, length: timedelta) -> datetime | None:
    """Return when the limit is reached while old spend leaves the window, hour by hour, for as long as that goes on."""
    rate = _rate(spent, now) or _ZERO
    for step in range(1, int(length / HOUR) + 1):
        # What leaves the window within this hour is not free before its end.
        gone = sum((one.spend_usd for one in spent if one.hour + HOUR + length <= now + (step - 1) * HOUR), _ZERO)
        room = standing.total_usd - standing.used_usd + gone
        if rate * step >= room:
            return _hours_later(now, max(room / rate, Decimal(step - 1)))
    return None


def _hours(duration: timedelta) -> Decimal:
    return Decimal(duration // timedelta(microseconds=1)) / 3_600_000_000


def _hours_later(now: datetime, hours: Decimal) -> datetime | None:
    try:
        return now + timedelta(microseconds=round(hours * 3_600_000_000))
    except OverflowError:
        return None  # beyond the year 9999
