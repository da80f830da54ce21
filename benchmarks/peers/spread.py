"""Medians with their spread, and how they are written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

_LARGE, _MEDIUM = 100, 10


@dataclass(frozen=True, slots=True)
class Spread:
    """What the rounds of a measure gave."""

    middle: float
    low: float
    high: float
    rounds: int

    def __str__(self) -> str:
        """Write the median, and what it lay between."""
        if self.rounds == 1:
            return number(self.middle)
        return f"{number(self.middle)} ({number(self.low)}–{number(self.high)})"  # noqa: RUF001  a range


def spread_of(values: Sequence[float]) -> Spread:
    """Return the median of some rounds, their smallest and their largest value.

    Raises:
        ValueError: There are no rounds.
    """
    if not values:
        raise ValueError("A spread needs at least one round.")
    return Spread(median(values), min(values), max(values), len(values))


def number(value: float) -> str:
    """Write a figure with about three digits."""
    if abs(value) >= _LARGE:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= _MEDIUM else f"{value:.2f}"
