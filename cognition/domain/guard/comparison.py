"""All rules, applied to two texts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from cognition.domain.guard.features import Features
from cognition.domain.guard.lexicon import lexicon
from cognition.domain.guard.pair import Difference, Pair
from cognition.domain.guard.rules import (
    asked_for,
    language,
    literals,
    modality,
    names,
    numbers,
    order,
    person,
    polarity,
    roles,
)

_ARTICLES = frozenset(["a", "an", "the"])
_ASKERS = frozenset(["do", "does", "can", "could", "should", "i", "you", "we", "one"])
"""Words that a question for the way to do something may exchange (`How do I`, `How can one`)."""

Rule = Callable[[Pair], str | None]

EVERY_LANGUAGE: tuple[tuple[str, Rule], ...] = (
    ("language", language.differs),
    ("numbers", numbers.differs),
    ("literals", literals.differs),
    ("names", names.differs),
)
ENGLISH: tuple[tuple[str, Rule], ...] = (
    ("negation", polarity.negation),
    ("opposites", polarity.opposites),
    ("order", order.differs),
    ("roles", roles.differs),
    ("asked-for", asked_for.differs),
    ("modality", modality.differs),
    ("person", person.differs),
)


@dataclass(frozen=True, slots=True)
class Comparison:
    """What the guard says of two texts.

    Attributes:
        pair: The texts.
        differences: What forbids one answer for both; empty when nothing does.
        restated: Whether both are the same words in the same order but for synonyms and forms of a word.
    """

    pair: Pair
    differences: tuple[Difference, ...]
    restated: bool


def compare(cached: Features, asked: Features) -> Comparison:
    """Apply every rule to a cached and an asked text."""
    pair = Pair.of(cached, asked)
    rules = EVERY_LANGUAGE + (ENGLISH if cached.english and asked.english else ())
    found = ((name, rule(pair)) for name, rule in rules)
    differences = tuple(Difference(name, reason) for name, reason in found if reason)
    return Comparison(pair, differences, not differences and _is_restated(pair))


def _is_restated(pair: Pair) -> bool:
    alignment = pair.alignment
    if alignment.cached or alignment.asked:
        return False
    instead = {asked.place: cached.stem for cached, asked in alignment.near + alignment.opposite}
    return _skeleton(pair.cached, {}) == _skeleton(pair.asked, instead)


def _skeleton(text: Features, instead: Mapping[int, str]) -> list[str]:
    """Return the stems of a text without articles, fillers and who asks, some of them replaced."""
    left_out = lexicon().soft | (_ARTICLES | _ASKERS if text.question.kinds == ("manner",) else _ARTICLES)
    return [
        instead.get(place, stem)
        for place, (word, stem) in enumerate(zip(text.words, text.stems, strict=True))
        if word not in left_out
    ]
