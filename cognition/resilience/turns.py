"""Waits for money that others have set aside and may give back."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from cognition.errors import BudgetExceeded, BulkheadFull
from cognition.resilience.timing import Deadline, Timing

T = TypeVar("T")

_FIRST_SECONDS = 0.02
_LONGEST_SECONDS = 1.0


async def in_turn(
    enter: Callable[[], Awaitable[T]],
    may_enter: Callable[[], Awaitable[bool]],
    deadline: Deadline,
    timing: Timing,
    *,
    outside: bool = False,
) -> T:
    """Return what entering returns, trying again while a budget is only full for now.

    Args:
        enter: Asks for room, and takes it; who is refused holds nothing while it waits.
        may_enter: Looks whether trying again is worth it, which costs less than trying.
        deadline: When nobody waits any more.
        timing: Where time comes from.
        outside: Whether those are waited for that are better waited for by whoever began the call.

    Raises:
        BudgetExceeded: There never will be room, or not in time.
    """
    wait, refused = _FIRST_SECONDS, None
    while True:
        try:
            return await enter()
        except BudgetExceeded as error:
            if not error.is_full_for_now or (error.waits_outside and not outside):
                raise
            refused = error
        except BulkheadFull:
            # The place that it had before it waited for money has been taken meanwhile.
            if refused is None:
                raise
        while True:
            # Random, so that those who were refused together do not come back together.
            seconds = wait * (0.5 + timing.draw())
            if seconds >= deadline.remaining:
                raise refused
            await timing.sleep(seconds)
            wait = min(wait * 1.5, _LONGEST_SECONDS)
            if await may_enter():
                break
