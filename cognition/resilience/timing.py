"""Time as the pipeline sees it; tests let it pass without waiting."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from cognition.errors import CallNotPermitted


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Where time comes from.

    Attributes:
        clock: Returns the present time, with a time zone; for what others are told.
        monotonic: Returns seconds that never run backwards; for how long something takes.
        sleep: Waits some seconds.
        draw: Returns a random number in [0, 1); it needs no secrecy, only spread.
    """

    clock: Callable[[], datetime]
    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    draw: Callable[[], float] = random.random


class Deadline:
    """How long one call may try; it runs from the first attempt, because waiting for one's turn is not trying."""

    def __init__(self, duration: timedelta, monotonic: Callable[[], float]) -> None:
        """Prepare; time does not run yet.

        Args:
            duration: How long all attempts and waits may take.
            monotonic: Returns seconds that never run backwards.
        """
        self._seconds = duration.total_seconds()
        self._monotonic = monotonic
        self._ends: float | None = None
        self._first: float | None = None
        self._latest = 0.0

    def begin(self, seconds_ago: float = 0.0) -> Deadline:
        """Let the time run, as if it had begun some time ago; return the deadline."""
        self._ends = self._monotonic() + self._seconds - seconds_ago
        return self

    @property
    def remaining(self) -> float:
        """Seconds that are left; below zero when it has passed."""
        return self._seconds if self._ends is None else self._ends - self._monotonic()

    @property
    def cuts_short(self) -> bool:
        """Whether the latest attempt was given less time than the first: silence tells little then."""
        return self._first is not None and self._latest < self._first

    def seconds_for(self, longest: timedelta) -> float:
        """Return how many seconds an attempt may take that begins now, starting the time if it is the first.

        Raises:
            CallNotPermitted: None is left; a provider must not be blamed for a wait in this process.
        """
        if self._ends is None:
            self.begin()
        if self.remaining <= 0:
            raise CallNotPermitted(
                f"The {self._seconds:g} seconds of this call ran out while it waited for its turn; make fewer calls at"
                " a time, or raise the deadline."
            )
        self._latest = min(longest.total_seconds(), self.remaining)
        if self._first is None:
            self._first = self._latest
        return self._latest
