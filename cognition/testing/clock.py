"""A clock that stands still until it is told otherwise."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

_START = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


class FakeClock:
    """A `Clock` for tests: no test has to sleep until something expires."""

    def __init__(self, now: datetime = _START) -> None:
        """Show a time.

        Args:
            now: With a time zone.
        """
        self.now = now

    def __call__(self) -> datetime:
        """Return the time shown."""
        return self.now

    def advance(self, duration: timedelta) -> datetime:
        """Show a later time and return it."""
        self.now += duration
        return self.now
