"""How near a neighbour must be, given what is known about earlier ones.

Each label says whether a neighbour with some score gave a right answer. Lowering the threshold brings more hits and
more wrong ones; what is wanted is the lowest threshold at which the share of wrong hits stays below a limit, with
confidence. Thresholds are tested from the highest one that has enough labels downwards, and the first that fails ends
the search: tested in a fixed order, no correction for many tests is needed (fixed sequence testing, as in "Learn then
Test", Angelopoulos et al. 2021, arXiv:2110.01052). One test asks whether so few wrong labels would be unlikely if the
share were at the limit, which is the exact binomial test behind the interval of Clopper and Pearson (1934).

Until a threshold is proven the default one holds, unless the labels contradict it, over the whole window or over its
newest part: then the lowest one that they do not contradict takes its place. So drift tightens by itself.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from cognition.domain.semantic import Label

Basis = Literal["trusted", "default", "proven", "raised", "closed"]

WINDOW = 1000
"""How many of the newest labels count: older ones may speak of other traffic."""

_NEWEST = 50
_FEW = 10  # fewer labels contradict nothing: the first one reported is no sample
_STEPS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """What is asked for.

    Attributes:
        default: The threshold while there are too few labels.
        lowest: No threshold below this is considered.
        max_error: The share of wrong hits that is tolerated, or None to trust the default.
        confidence: How sure to be.
    """

    default: float
    lowest: float
    max_error: float | None
    confidence: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """What a neighbour's score must reach, and what is known about those that do.

    Attributes:
        threshold: The lowest score that may answer; infinite when none may.
        basis: `trusted`: no limit is asked for. `default`: the labels neither prove nor contradict it. `proven`: the
            share of wrong answers is below the limit, with the confidence asked for. `raised`: the labels contradict
            the default, but not this. `closed`: they contradict every threshold, so nothing may answer.
        labels: How many labels reach the threshold.
        wrong: How many of those were wrong.
        error_bound: The share of wrong answers is below this, with confidence; 1 without labels.
    """

    threshold: float
    basis: Basis
    labels: int = 0
    wrong: int = 0
    error_bound: float = 1.0


def bar_of(labels: Sequence[Label], limit: Limit) -> Bar:
    """Return the threshold that the labels support.

    Args:
        labels: Newest first; a sample of all neighbours considered, whatever their score. Labels that users report are
            all negative, and make the result safer than asked for.
        limit: What is asked for.
    """
    window = labels[:WINDOW]
    if limit.max_error is None:
        return _bar(limit.default, "trusted", window, limit)
    proven = _lowest_proven(window, limit, limit.max_error)
    if proven is not None and not _contradicted(window, proven, limit, limit.max_error):
        return _bar(proven, "proven", window, limit)
    for threshold in sorted(threshold for threshold in _grid(limit) if threshold >= limit.default):
        if not _contradicted(window, threshold, limit, limit.max_error):
            return _bar(threshold, "default" if threshold == limit.default else "raised", window, limit)
    return _bar(math.inf, "closed", window, limit)


def error_bound(wrong: int, total: int, confidence: float) -> float:
    """Return what the share of wrong ones is below, with confidence: the one-sided bound of Clopper and Pearson."""
    if wrong >= total:
        return 1.0
    low, high = wrong / total, 1.0
    for _ in range(40):  # halved so often, the interval is shorter than any figure shown
        middle = (low + high) / 2
        low, high = (middle, high) if _at_most(wrong, total, middle) > 1 - confidence else (low, middle)
    return high


def _lowest_proven(window: Sequence[Label], limit: Limit, max_error: float) -> float | None:
    enough, proven = _enough(max_error, limit.confidence), None
    for threshold in sorted(_grid(limit), reverse=True):
        total, wrong = _tally(window, threshold)
        if total < enough:
            continue
        if _at_most(wrong, total, max_error) > 1 - limit.confidence:
            break
        proven = threshold
    return proven


def _contradicted(window: Sequence[Label], threshold: float, limit: Limit, max_error: float) -> bool:
    """Whether the labels speak against a threshold, in the whole window or in its newest part.

    Few labels must be very bad to say so: so many wrong ones would be unlikely at the limit. Labels that could have
    proven the limit say so when the share of wrong ones is above it.
    """
    for part in (window, window[:_NEWEST]):
        total, wrong = _tally(part, threshold)
        if total >= _enough(max_error, limit.confidence) and wrong > max_error * total:
            return True
        if total >= _FEW and wrong and 1 - _at_most(wrong - 1, total, max_error) < 1 - limit.confidence:
            return True
    return False


def _grid(limit: Limit) -> set[float]:
    """Return the thresholds that are tested, fixed before any label is seen."""
    first = math.ceil(limit.lowest * _STEPS)
    return {step / _STEPS for step in range(first, _STEPS + 1)} | {limit.default}


def _enough(max_error: float, confidence: float) -> int:
    """Return how many labels would prove the limit if none were wrong."""
    return math.ceil(math.log(1 - confidence) / math.log(1 - max_error))


def _tally(labels: Sequence[Label], threshold: float) -> tuple[int, int]:
    """Return how many labels reach a threshold, and how many of those are wrong."""
    reaching = [label for label in labels if label.score >= threshold]
    return len(reaching), sum(not label.right for label in reaching)


def _at_most(most: int, total: int, share: float) -> float:
    """Return the probability of at most so many wrong ones among some, when each is wrong with a given probability."""
    if share >= 1:
        return float(most >= total)
    odds = math.log(share) - math.log1p(-share)
    logarithm = total * math.log1p(-share)
    summed = math.exp(logarithm)
    for wrong in range(1, most + 1):
        logarithm += math.log(total - wrong + 1) - math.log(wrong) + odds
        summed += math.exp(logarithm)
    return min(summed, 1.0)


def _bar(threshold: float, basis: Basis, window: Sequence[Label], limit: Limit) -> Bar:
    total, wrong = _tally(window, min(threshold, limit.default))
    bound = error_bound(wrong, total, limit.confidence) if total else 1.0
    return Bar(threshold=threshold, basis=basis, labels=total, wrong=wrong, error_bound=bound)
