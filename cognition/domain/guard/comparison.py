"""All rules, applied to two texts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from cognition.domain.guard.features import Features
from cognition.domain.guard.pair import Difference, Pair
from cognition.domain.guard.rules import (
    asked_for,
    language,
    literals,
    modality,
    names,
    numbers,
    order,
    polarity,
    roles,
)

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
)


@dataclass(frozen=True, slots=True)
class Comparison:
    """What the guard says of two texts.

    Attributes:
        pair: The texts.
        differences: What forbids one answer for both; empty when nothing does.
    """

    pair: Pair
    differences: tuple[Difference, ...]


def compare(cached: Features, asked: Features) -> Comparison:
    """Apply every rule to a cached and an asked text."""
    pair = Pair.of(cached, asked)
    rules = EVERY_LANGUAGE + (ENGLISH if cached.english and asked.english else ())
    found = ((name, rule(pair)) for name, rule in rules)
    return Comparison(pair, tuple(Difference(name, reason) for name, reason in found if reason))
