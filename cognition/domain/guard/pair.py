"""Two texts side by side, and what a rule says of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from cognition.domain.guard.alignment import Alignment, align
from cognition.domain.guard.features import Features


class Difference(NamedTuple):
    """Why the answer to one text may not serve the other.

    Attributes:
        rule: Name of the rule that found it.
        reason: What differs, in plain words.
    """

    rule: str
    reason: str

    def __str__(self) -> str:
        """Write it for people."""
        return self.reason


@dataclass(frozen=True, slots=True)
class Pair:
    """A cached text, an asked text and their words side by side."""

    cached: Features
    asked: Features
    alignment: Alignment

    @classmethod
    def of(cls, cached: Features, asked: Features) -> Pair:
        """Put two texts side by side."""
        return cls(cached, asked, align(cached, asked))
