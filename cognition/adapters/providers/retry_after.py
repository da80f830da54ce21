"""How long a provider asks to be left alone, in each form in which providers say it."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

# Beyond this (2**32 ms, 49 days) a number is a mistake and not a wait; the Anthropic SDK's limit as well.
_LONGEST_SECONDS = 4_294_967.0
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|[smhd]))+")
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|[smhd])")
_OPENAI_RESET = "x-ratelimit-reset-"
_ANTHROPIC = "anthropic-ratelimit-"


def retry_after(headers: Mapping[str, str], now: datetime, *, throttled: bool) -> float | None:
    """Return how many seconds the provider asked to wait, or None when it did not say anything usable.

    `retry-after-ms` is the most exact and comes first, then `retry-after` in seconds or as a date of HTTP (RFC 9110).
    Answers to too many calls may instead say when their limits start anew: `x-ratelimit-reset-requests: 1m3.2s`
    (OpenAI) and `anthropic-ratelimit-tokens-reset: 2026-11-26T04:00:00Z`.

    Args:
        headers: Of the provider's answer, names in lower case.
        now: The present time, with a time zone.
        throttled: Whether the answer was that there are too many calls; limits are named in every answer.
    """
    said = (
        _usable(_number(headers.get("retry-after-ms"), 0.001)),
        _usable(_number(headers.get("retry-after"), 1.0)),
        _usable(_until(headers.get("retry-after"), now)),
    )
    plain = next((seconds for seconds in said if seconds is not None), None)
    return _reset(headers, now) if plain is None and throttled else plain


def _reset(headers: Mapping[str, str], now: datetime) -> float | None:
    """Return when the limits that are used up start anew; when none says that it is, the earliest of all.

    The earliest, because a wait is a minimum: too short a one costs a call, too long a one the caller's time.
    """
    limits = [(seconds, empty) for seconds, empty in _limits(headers, now) if _usable(seconds) is not None]
    used_up = [seconds for seconds, empty in limits if empty]
    return max(used_up) if used_up else min((seconds for seconds, _ in limits), default=None)


def _limits(headers: Mapping[str, str], now: datetime) -> Iterator[tuple[float, bool]]:
    """Return for each limit in how many seconds it starts anew, and whether it is used up."""
    for name, value in headers.items():
        if name.startswith(_OPENAI_RESET):
            seconds = _duration(value)
            remaining = headers.get(name.replace("-reset-", "-remaining-"))
        elif name.startswith(_ANTHROPIC) and name.endswith("-reset"):
            seconds = _until(value, now)
            remaining = headers.get(name.removesuffix("-reset") + "-remaining")
        else:
            continue
        if seconds is not None:
            yield seconds, remaining is not None and remaining.strip() == "0"


def _usable(seconds: float | None) -> float | None:
    """Return a wait only if it is one: providers send zeros, negative numbers and times that have passed."""
    return seconds if seconds is not None and 0 < seconds <= _LONGEST_SECONDS else None


def _number(text: str | None, unit: float) -> float | None:
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number * unit if math.isfinite(number) else None


def _duration(text: str) -> float | None:
    """Read `1m3.2s`, `20ms`, or a bare number of seconds."""
    text = text.strip()
    if _DURATION.fullmatch(text):
        return sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text))
    return _number(text, 1.0)


def _until(text: str | None, now: datetime) -> float | None:
    """Read a date of HTTP, or one of RFC 3339."""
    for parse in (parsedate_to_datetime, datetime.fromisoformat):
        try:
            moment = parse(text or "")
            # A date of HTTP in its old form (asctime) has no zone and means UTC.
            return ((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - now).total_seconds()
        except (ValueError, TypeError, OverflowError, IndexError):
            continue
    return None
