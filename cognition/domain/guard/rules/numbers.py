# ruff: noqa
"""Numbers, units, dates and versions: an answer for 2019 is none for 2020."""

from __future__ import annotations

from collections import Counter

from cognition.domain.guard.pair import Pair
from cognition.domain.guard.quantities import Amount


def differs(pair: Pair) -> str | None:
    """Compare the amounts of two texts."""
    cached, asked = pair.cached.amounts, pair.asked.amounts
    if cached == asked:
        return None
    ours, theirs = _counted(cached), _counted(asked)
    if ours != theirs:
        return f"numbers differ: {_list(ours - theirs)} / {_list(theirs - ours)}"
    for one in cached:
        for other in asked:
            if one.value == other.value and one.unit and other.unit and one.unit != other.unit:
                return f"units differ: {one} / {other}"
    order = [amount.value for amount in cached], [amount.value for amount in asked]
    return (
        f"numbers stand in another order: {', '.join(order[0])} / {', '.join(order[1])}"
        if order[0] != order[1]
        else None
    )


def _counted(amounts: tuple[Amount, ...]) -> Counter[str]:
    """Count each value once; a first or second that only one text has is left to the other rules."""
    return Counter({amount.value for amount in amounts})


def _list(values: Counter[str]) -> str:
    return ", ".join(sorted(values)) or "none"
