"""Numbers, units, dates and versions: an answer for 2019 is none for 2020."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from cognition.domain.guard.pair import Pair
from cognition.domain.guard.quantities import Amount

_EMPHASIS = frozenset(["1", "2", "100"])
"""Numbers that only emphasise where the other text has none (`my first car`, `the two countries`, `100 % free`)."""


def differs(pair: Pair) -> str | None:
    """Refuse when the numbers of two texts differ, or their units, or their order."""
    cached, asked = pair.cached.amounts, pair.asked.amounts
    if cached == asked:
        return None
    ours, theirs = (Counter(amount.value for amount in amounts) for amounts in (cached, asked))
    only_ours, only_theirs = ours - theirs, theirs - ours
    # A text that says `one` has a number all the same, though mostly the word only stands for `a`.
    if (not ours and "one" not in pair.cached.words) or (not theirs and "one" not in pair.asked.words):
        only_ours, only_theirs = only_ours.keys() - _EMPHASIS, only_theirs.keys() - _EMPHASIS
    if only_ours or only_theirs:
        return f"numbers differ: {_list(only_ours)} / {_list(only_theirs)}"
    if ours != theirs:
        return None
    return _units(cached, asked) or _order(cached, asked)


def _units(cached: Iterable[Amount], asked: tuple[Amount, ...]) -> str | None:
    units = {amount.value: amount for amount in asked}
    for one in cached:
        other = units[one.value]
        if one.unit and other.unit and one.unit != other.unit:
            return f"units differ: {one} / {other}"
    return None


def _order(cached: Iterable[Amount], asked: Iterable[Amount]) -> str | None:
    ours, theirs = ([amount.value for amount in amounts] for amounts in (cached, asked))
    return None if ours == theirs else f"numbers stand in another order: {_list(ours)} / {_list(theirs)}"


def _list(values: Iterable[str]) -> str:
    return ", ".join(values) or "none"
