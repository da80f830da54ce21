"""Whole days, weeks and months of a time zone: a report of yesterday is the same whenever it is made today."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from cognition.errors import ConfigurationError

Period = Literal["day", "week", "month"]


def previous(period: Period, timezone: str, now: datetime) -> tuple[datetime, datetime]:
    """Return the start and the end of the last whole period before a time.

    Args:
        period: A day, a week from Monday on, or a month.
        timezone: Whose midnights count, such as Europe/Berlin.
        now: The present time.

    Raises:
        ConfigurationError: There is no such time zone.
    """
    zone = zone_of(timezone)
    end = now.astimezone(zone).date()
    if period == "month":
        end = end.replace(day=1)
        start = (end - timedelta(days=1)).replace(day=1)
    elif period == "week":
        end -= timedelta(days=end.weekday())
        start = end - timedelta(weeks=1)
    else:
        start = end - timedelta(days=1)
    return _midnight(start, zone), _midnight(end, zone)


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=zone)


def zone_of(name: str) -> ZoneInfo:
    """Return a time zone.

    Raises:
        ConfigurationError: There is none of this name.
    """
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, LookupError):
        # ZoneInfoNotFoundError is a KeyError; a name such as "../x" is a ValueError, a folder's an OSError.
        raise ConfigurationError(f"There is no time zone {name!r}; write one such as Europe/Berlin or UTC.") from None
