"""What a replay of logged calls works with, and what it finds out."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from cognition.domain.error_bound import Bar

Method = Literal["cosine", "guarded", "shipped", "verified"]
"""What decides about a neighbour.

`cosine`: its similarity alone. `guarded`: its similarity, unless the guard refuses it. `shipped`: guard and score, as
the semantic layer does. `verified`: the same, and a verifier decides about scores a little below the threshold.
"""

SCORE = "score"
"""Why a neighbour was refused that the guard had nothing against: its score is below the threshold."""

_NORMAL = 1.959964  # 97.5 % of a normal distribution lie below it


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedCall:
    """One call of a log.

    Attributes:
        text: The text of the last user message.
        scope: Everything else that answers depend on: only calls of equal scope may share one.
        truth: Equal for two calls that may share an answer; None when nobody knows.
        cost_usd: What it cost, or None.
    """

    text: str
    scope: tuple[str, ...] = ()
    truth: tuple[str, str] | None = None
    cost_usd: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedPair:
    """An asked question with the one cached question that is near.

    Attributes:
        cached: The question that had been answered.
        asked: The one that was asked.
        right: Whether the answer does; None when nobody knows.
        weight: How many pairs of the traffic it stands for.
    """

    cached: str
    asked: str
    right: bool | None = None
    weight: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Met:
    """A question that was asked, and the neighbour that answers it or comes nearest to it.

    Attributes:
        asked: What was asked.
        cached: What had been answered.
        similarity: Cosine of the two.
        score: What is compared with the threshold: similarity or score, depending on the method.
        refusal: The rule that refused it, or `SCORE`; None when its answer is given.
        reason: The same in plain words.
        right: Whether the answer does; None when nobody knows.
        weight: How many questions it stands for.
        cost_usd: What the asked question's own answer cost, or None.
    """

    asked: str
    cached: str
    similarity: float
    score: float
    refusal: str | None
    reason: str
    right: bool | None
    weight: float = 1.0
    cost_usd: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a method does at one threshold; numbers are weighted where pairs have weights.

    Attributes:
        threshold: The lowest score that may answer.
        hits: Questions answered by a neighbour.
        hit_rate: Share of all calls.
        right: Hits whose answer does.
        wrong: Hits whose answer does not; right and wrong ones are fewer than the hits where labels are missing.
        interval: Of the precision, with 95 % confidence; None without labels.
        saved_usd: What the hits would have cost, as far as it is known.
        refusals: How many questions were refused, by the rule that refused the nearest neighbour.
    """

    threshold: float
    hits: float
    hit_rate: float
    right: float
    wrong: float
    interval: tuple[float, float] | None
    saved_usd: Decimal
    refusals: Mapping[str, float]

    @property
    def precision(self) -> float | None:
        """Share of right answers among the hits with labels; None without any."""
        return self.right / (self.right + self.wrong) if self.right + self.wrong else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """What a method does at each threshold.

    Attributes:
        method: What decides.
        outcomes: Lowest threshold first.
        bar: The threshold that the labels support; None where they cannot say.
    """

    method: Method
    outcomes: tuple[Outcome, ...]
    bar: Bar | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Examples:
    """Pairs to look at.

    Attributes:
        method: What decided.
        threshold: At which threshold.
        wrong: Wrong hits, the most confident first.
        refused: Refusals by a rule of the guard, the most similar first.
    """

    method: Method
    threshold: float
    wrong: tuple[Met, ...]
    refused: tuple[Met, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a replay found out.

    Attributes:
        calls: Calls of the log, or what its pairs stand for.
        repeats: Calls whose very text had been asked before in their scope: exact hits, whatever the method.
        repeats_saved_usd: What those would have cost, as far as it is known.
        priced: Whether any cost is known.
        scopes: How many scopes never share answers.
        too_long: Questions that the embedder does not see as a whole; the semantic layer leaves them alone.
        curves: One for each method.
        examples: Pairs to look at.
    """

    calls: float
    repeats: int = 0
    repeats_saved_usd: Decimal = Decimal(0)
    priced: bool = False
    scopes: int = 1
    too_long: int = 0
    curves: tuple[Curve, ...]
    examples: Examples

    @property
    def labelled(self) -> bool:
        """Whether the precision of any hit is known."""
        return any(outcome.precision is not None for curve in self.curves for outcome in curve.outcomes)


def outcome_of(threshold: float, met: Sequence[Met], calls: float) -> Outcome:
    """Sum up what was met at one threshold.

    Args:
        threshold: The threshold.
        met: One for each question that had a neighbour worth considering.
        calls: Number of all calls.
    """
    hits = [one for one in met if one.refusal is None]
    known = [one for one in hits if one.right is not None]
    right, labelled = (sum(one.weight for one in some) for some in ([one for one in known if one.right], known))
    refusals: defaultdict[str, float] = defaultdict(float)
    for one in met:
        if one.refusal is not None:
            refusals[one.refusal] += one.weight
    answered = sum(one.weight for one in hits)
    return Outcome(
        threshold=threshold,
        hits=answered,
        hit_rate=answered / calls,
        right=right,
        wrong=labelled - right,
        interval=wilson(right / labelled, labelled**2 / sum(one.weight**2 for one in known)) if known else None,
        saved_usd=sum((one.cost_usd for one in hits if one.cost_usd is not None), Decimal(0)),
        refusals=dict(sorted(refusals.items(), key=lambda item: -item[1])),
    )


def wilson(share: float, size: float) -> tuple[float, float]:
    """Return the interval that holds the true share with 95 % confidence (Wilson 1927).

    Args:
        share: What was observed.
        size: In a sample of this size; for weighted ones the effective size, (sum w)^2 / sum w^2 (Kish 1965).
    """
    shrink = 1 + _NORMAL**2 / size
    centre = (share + _NORMAL**2 / (2 * size)) / shrink
    half = _NORMAL / shrink * math.sqrt(share * (1 - share) / size + _NORMAL**2 / (4 * size**2))
    return max(0.0, centre - half), min(1.0, centre + half)


def examples_of(method: Method, threshold: float, met: Sequence[Met], most: int) -> Examples:
    """Choose the pairs that are worth a look.

    Args:
        method: What decided.
        threshold: At which threshold.
        met: What was met there.
        most: How many of each kind.
    """
    wrong = [one for one in met if one.refusal is None and one.right is False]
    refused = [one for one in met if one.refusal not in {None, SCORE}]
    return Examples(
        method=method,
        threshold=threshold,
        wrong=tuple(sorted(wrong, key=lambda one: -one.score)[:most]),
        refused=tuple(sorted(refused, key=lambda one: -one.similarity)[:most]),
    )
