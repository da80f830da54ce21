"""Numbers with their units, dates and versions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from cognition.domain.guard.lexicon import Lexicon
from cognition.domain.guard.text import Kind, Token

_BEFORE = frozenset(["usd", "eur", "gbp", "inr", "version"])
"""Units that stand before their number."""
_VERSIONED = frozenset(["version", "v", "python", "java", "node", "postgres", "postgresql", "django", "release"])
"""Words after which `3.10` is not `3.1`."""
_NOT_ALONE = frozenset(["one", "single", "double", "half"])
"""Number words that count only before a unit."""
_ORDINAL = ("st", "nd", "rd", "th")
_LONGEST = 5
"""Words that one number takes at most."""
_TENS = range(20, 100, 10)
_ONES = range(1, 10)


class Amount(NamedTuple):
    """A number as it stands in a text, or a month or a day of the week.

    Attributes:
        value: The number, or the month or day; a version keeps its dots.
        unit: Its unit, `date` for a month or a day, or an empty string.
    """

    value: str
    unit: str

    def __str__(self) -> str:
        """Write it for people."""
        return self.value if self.unit == "date" else f"{self.value} {self.unit}".strip()


def amounts_of(tokens: Sequence[Token], words: Lexicon) -> tuple[tuple[Amount, ...], frozenset[int]]:
    """Read the numbers of a text.

    Returns:
        The numbers in order, and the places of the words that belong to them.
    """
    found: list[Amount] = []
    taken: set[int] = set()
    place = 0
    while place < len(tokens):
        value, used = _value(tokens, place, words)
        if not used:
            place += 1
            continue
        after = place + used
        taken.update(range(place, after))
        unit = "date" if value in words.calendar.values() else ""
        if not unit and after < len(tokens) and (name := words.units.get(tokens[after].word)):
            unit = name
            taken.add(after)
        elif not unit and place and (name := words.units.get(tokens[place - 1].word, "")) in _BEFORE:
            unit = name
            taken.add(place - 1)
        found.append(Amount(value, unit))
        place = after
    return tuple(found), frozenset(taken)


def _value(tokens: Sequence[Token], place: int, words: Lexicon) -> tuple[str, int]:
    """Return the number that begins at a place and how many words it takes, 0 where there is none."""
    token = tokens[place]
    if token.kind is Kind.NUMBER:
        return _digits(tokens, place, words)
    if token.kind is not Kind.WORD or token.word not in words.countable:
        return "", 0
    if month := words.calendar.get(token.word):
        is_month = token.word != "may" or (token.surface[0].isupper() and not token.opens)
        return month, int(is_month)
    if ordinal := words.ordinals.get(token.word):
        is_unit = token.word == "second" and place > 0 and tokens[place - 1].word in {"a", "per", "one"}
        return f"{ordinal:g}", int(not is_unit)
    return _spelled(tokens, place, words)


def _spelled(tokens: Sequence[Token], place: int, words: Lexicon) -> tuple[str, int]:
    word = tokens[place].word
    following = tokens[place + 1].word if place + 1 < len(tokens) else ""
    if word in _NOT_ALONE and following not in words.units:
        return "", 0
    number, more = words.numbers[word], words.numbers.get(following, 0)
    if number in _TENS and more in _ONES:
        return _scaled(number + more, tokens[place : place + _LONGEST], words, used=2)
    return _scaled(number, tokens[place : place + _LONGEST], words)


def _digits(tokens: Sequence[Token], place: int, words: Lexicon) -> tuple[str, int]:
    text = tokens[place].word
    if text.endswith(_ORDINAL):
        return text[:-2], 1
    if text.count(".") > 1 or (place and tokens[place - 1].word in _VERSIONED):
        return text, 1
    return _scaled(float(text), tokens[place : place + _LONGEST], words)


def _scaled(value: float, tokens: Sequence[Token], words: Lexicon, used: int = 1) -> tuple[str, int]:
    """Multiply a number by the words after it (`15 k`, `two hundred thousand`)."""
    while used < len(tokens) and (factor := words.multipliers.get(tokens[used].word)):
        value *= factor
        used += 1
    return f"{value:.12g}", used
