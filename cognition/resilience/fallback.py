"""Asks the next model of a chain when one does not answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from cognition.domain.routing import Target
from cognition.errors import CognitionError, RetryLater
from cognition.resilience.retry import Witness
from cognition.resilience.timing import Deadline

T = TypeVar("T")


async def fall_back(
    chain: Sequence[Target], ask: Callable[[Target, int], Awaitable[T]], deadline: Deadline, witness: Witness
) -> T:
    """Return the first answer of a chain of models.

    Args:
        chain: The models in order.
        ask: Asks one, told how many follow.
        deadline: When no further model is asked.
        witness: Told whenever the next one is asked.

    Raises:
        RetryLater: None answered, and one of them said when to come back.
        CognitionError: The last error, with notes of those before it.
    """
    failed: list[tuple[Target, CognitionError]] = []
    for position, target in enumerate(chain, start=1):
        others = chain[position:]
        try:
            return await ask(target, len(others))
        except CognitionError as error:
            failed.append((target, error))
            if not others or not error.elsewhere or deadline.remaining <= 0:
                final = _the_error(failed)
                if final is error:
                    raise
                raise final  # noqa: B904  it has a cause of its own
            witness.falling_back(target, others[0], error)
    raise AssertionError("a chain holds at least one model")


def _the_error(failed: Sequence[tuple[Target, CognitionError]]) -> CognitionError:
    """Return the error that tells most: when to come back if any model said so and the last one might answer then."""
    told = failed[-1]
    waits = [(error.at, one) for one in failed if isinstance(error := one[1], RetryLater)]
    if waits and told[1].elsewhere:
        told = min(waits, key=lambda wait: wait[0])[1]
    for target, error in failed:
        if error is not told[1]:
            told[1].add_note(f"{target.model} did not answer either: {error.message}")
    return told[1]
