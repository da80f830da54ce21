"""When a budget's spending begins anew: computed from the calendar, never stored, so that no job has to reset anything.

`budget_period_v2` in the database says the same; a test compares the two.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from cognition.domain.budget import HOUR, Budget, zone_of

_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of time; the start belongs to it, the end does not.

    Attributes:
        start: In UTC.
        end: In UTC; None when it never ends.
    """

    start: datetime
    end: datetime | None

    def __contains__(self, moment: datetime) -> bool:
        """Whether a time lies in it."""
        return self.start <= moment and (self.end is None or moment < self.end)

    def overlaps(self, other: Span) -> bool:
        """Whether two stretches have a moment in common."""
        return (other.end is None or self.start < other.end) and (self.end is None or other.start < self.end)


def period_at(budget: Budget, moment: datetime) -> Span:
    """Return the period that contains a moment; of a rolling budget, the bucket of one hour.

    A day is a day of the zone's calendar, so it has 23 or 25 hours when the clocks change, and starts with its first
    moment even where midnight does not exist or comes twice.

    Args:
        budget: Whose period.
        moment: With a time zone.
    """
    if budget.period == "lifetime":
        return Span(_BEGINNING, None)
    if budget.period == "rolling":
        start = moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
        return Span(start, start + HOUR)
    zone = zone_of(budget.timezone)
    first, following = _days(budget, moment.astimezone(zone).date())
    return Span(_start_of(first, zone), _start_of(following, zone))


def window_at(budget: Budget, moment: datetime) -> Span:
    """Return the time whose spend counts at a moment: the period, or a rolling budget's length up to now."""
    period = period_at(budget, moment)
    if budget.period != "rolling":
        return period
    return Span(moment.astimezone(UTC) - budget.length, period.end)


def _days(budget: Budget, today: date) -> tuple[date, date]:
    """Return the first day of the period and the first one after it."""
    match budget.period:
        case "daily":
            return today, today + timedelta(days=1)
        case "weekly":
            first = today - timedelta(days=(today.isoweekday() - budget.week_start) % 7)
            return first, first + timedelta(days=7)
        case "monthly":
            return _months(today, 1)
        case _:
            return _months(today, 3)


def _months(today: date, count: int) -> tuple[date, date]:
    """Return the first days of a month, or a quarter, and of the one after it."""
    index = (today.month - 1) // count * count
    years, month = divmod(index + count, 12)
    return date(today.year, index + 1, 1), date(today.year + years, month + 1, 1)


def _start_of(day: date, zone: ZoneInfo) -> datetime:
    # `fold=0` is the first of two midnights, and a midnight that is skipped is read with the offset before it, which
    # makes it the very moment at which the clock jumps (PEP 495).
    return datetime.combine(day, time(), zone).astimezone(UTC)
