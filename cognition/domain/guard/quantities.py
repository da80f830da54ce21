# ruff: noqa
"""Numbers, with their units, dates and versions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from cognition.domain.guard.lexicon import Lexicon
from cognition.domain.guard.text import Kind, Token


class Amount(NamedTuple):
    """A number as it stands in a text.

    Attributes:
        value: The number; a version keeps its dots (`3.10` is not `3.1`).
        unit: Its unit, a month or a name of a day, or an empty string.
        ordinal: Whether it counts a place in an order.
    """

    value: str
    unit: str
    ordinal: bool = False

    def __str__(self) -> str:
        """Write it for people."""
        return f"{self.value} {self.unit}".strip()


def amounts_of(tokens: Sequence[Token], words: Lexicon) -> tuple[tuple[Amount, ...], frozenset[int]]:
    """Read the numbers of a text.

    Returns:
        The numbers in order, and the places of the words that belong to them.
    """
    found: list[Amount] = []
    taken: set[int] = set()
    place = 0
    while place < len(tokens):
        word = tokens[place].word
        value, ordinal, used = _value(tokens, place, words)
        if value is None:
            if word in words.calendar and _is_date(tokens, place):
                found.append(Amount(words.calendar[word], "date"))
                taken.add(place)
            place += 1
            continue
        taken.update(range(place, place + used))
        unit = ""
        after = place + used
        if after < len(tokens) and (name := words.units.get(tokens[after].word)) and name not in _CALENDAR_ONLY:
            unit = name
            taken.add(after)
        elif place and (name := words.units.get(tokens[place - 1].word)) in _BEFORE:
            unit = name or ""
            taken.add(place - 1)
        found.append(Amount(value, unit, ordinal))
        place = after
    return tuple(found), frozenset(taken)


_BEFORE = frozenset(["usd", "eur", "gbp", "inr", "version"])
_CALENDAR_ONLY = frozenset(["am"])


def _is_date(tokens: Sequence[Token], place: int) -> bool:
    return tokens[place].word != "may" or (tokens[place].surface[:1].isupper() and not tokens[place].opens)


def _value(tokens: Sequence[Token], place: int, words: Lexicon) -> tuple[str | None, bool, int]:
    """Return the number that begins at a place, whether it is an ordinal, and how many words it takes."""
    token = tokens[place]
    if token.kind is Kind.NUMBER:
        text = token.word
        if text[-2:] in {"st", "nd", "rd", "th"}:
            return text[:-2], True, 1
        if text.count(".") > 1 or (place and tokens[place - 1].word in {"version", "v", "python", "java"}):
            return text, False, 1
        return _scaled(float(text), tokens, place + 1, words)
    if token.kind is not Kind.WORD:
        return None, False, 0
    if token.word in words.ordinals:
        if token.word == "second" and place and tokens[place - 1].word in {"a", "per"}:
            return None, False, 0
        return f"{words.ordinals[token.word]:g}", True, 1
    number = words.numbers.get(token.word)
    if number is None or token.word in {"one", "single", "double", "half"}:
        return None, False, 0
    following = tokens[place + 1].word if place + 1 < len(tokens) else ""
    if number >= 20 and number % 10 == 0 and 0 < words.numbers.get(following, 0) < 10:
        return _scaled(number + words.numbers[following], tokens, place + 2, words, used=2)
    return _scaled(number, tokens, place + 1, words)


def _scaled(value: float, tokens: Sequence[Token], after: int, words: Lexicon, used: int = 1) -> tuple[str, bool, int]:
    while after < len(tokens) and (factor := words.multipliers.get(tokens[after].word)):
        value *= factor
        after += 1
        used += 1
    return f"{value:.12g}", False, used
