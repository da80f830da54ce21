"""Much work in small steps."""

from __future__ import annotations

from collections.abc import Callable


def in_batches(step: Callable[[int], int], most: int, size: int) -> int:
    """Repeat a step until it finds less than it may take, or has taken enough; return how much it took in all.

    Args:
        step: Takes at most so many things and returns how many it took.
        most: How many at most in all.
        size: How many at most in one step.
    """
    done = 0
    while done < most:
        wanted = min(size, most - done)
        taken = step(wanted)
        done += taken
        if taken < wanted:
            break
    return done
