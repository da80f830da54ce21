"""Waits for something that others hold for a moment."""

from __future__ import annotations

import asyncio
import random
import time
from datetime import timedelta

_FIRST_SECONDS = 0.02
_LONGEST_SECONDS = 1.0


class Turns:
    """Waits that grow from one turn to the next, up to a deadline; random, so that not all come back together."""

    def __init__(self, deadline: timedelta) -> None:
        """Begin to count the time.

        Args:
            deadline: How long all waits together may take.
        """
        self._ends = time.monotonic() + deadline.total_seconds()
        self._seconds = _FIRST_SECONDS

    async def another(self) -> bool:
        """Wait for the next turn; return False, without a wait, when none is left before the deadline."""
        wait = self._seconds * (0.5 + random.random())  # noqa: S311  jitter needs no secrecy
        if time.monotonic() + wait > self._ends:
            return False
        await asyncio.sleep(wait)
        self._seconds = min(self._seconds * 1.5, _LONGEST_SECONDS)
        return True
