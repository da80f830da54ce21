"""How likely one answer does for two questions that no rule tells apart.

A logistic regression over few features with a meaning, so that it holds for questions of other kinds too. Its weights
are data (`data/score.json`), made by `benchmarks/semantic/train.py`.
"""

from __future__ import annotations

import json
import math
from functools import lru_cache
from importlib.resources import files
from typing import NamedTuple

from cognition.domain.guard.comparison import Comparison
from cognition.domain.guard.features import GENERIC
from cognition.domain.guard.pair import Pair

_TELLING = 0.3
"""Words of more weight than this make a difference."""
_MOST_NEAR = 2
RESTATED = 0.95
"""The least score of the same words in the same order: cosines of single synonyms lie anywhere between 0.6 and 1."""


class Evidence(NamedTuple):
    """What speaks for and against one answer for two questions.

    Attributes:
        similarity: Cosine of the two embeddings.
        spelling: Share of letter triples in common; what a cosine owes to spelling says less about the meaning.
        extra: Weight of the most telling word that only one text has.
        added_name: Whether only the asked text has a certain name, and the cached one nothing in its place.
        focus: Whether `What ...?` asks for another noun.
        near: Words that have a synonym or relative in the other text, or an opposite turned round, at most 2.
        paraphrase: Whether such words are all that differs.
    """

    similarity: float
    spelling: float
    extra: float
    added_name: float
    focus: float
    near: float
    paraphrase: float


class _Weights(NamedTuple):
    intercept: float
    weights: tuple[float, ...]


def evidence_of(similarity: float, comparison: Comparison) -> Evidence:
    """Collect what speaks for and against one answer.

    Args:
        similarity: Cosine of the two embeddings.
        comparison: What the guard found.
    """
    pair, alignment = comparison.pair, comparison.pair.alignment
    cached, asked = alignment.cached, alignment.asked
    ours, theirs = pair.cached.grams, pair.asked.grams
    near = len(alignment.near) + len(alignment.opposite)
    extra = max((term.weight for term in cached + asked), default=0.0)
    return Evidence(
        similarity=similarity,
        spelling=len(ours & theirs) / max(1, len(ours | theirs)),
        extra=extra,
        added_name=float(any(term.named for term in asked) and not any(term.weight > _TELLING for term in cached)),
        focus=float(_focus_differs(pair)),
        near=float(min(_MOST_NEAR, near)),
        paraphrase=float(near > 0 and extra <= GENERIC),
    )


def score_of(similarity: float, comparison: Comparison) -> float:
    """Return how well the cached answer is estimated to do, 0 to 1: see `cognition.domain.similarity`.

    Args:
        similarity: Cosine of the two embeddings.
        comparison: What the guard found.
    """
    trained = _trained()
    evidence = evidence_of(similarity, comparison)
    total = trained.intercept + sum(weight * value for weight, value in zip(trained.weights, evidence, strict=True))
    score = 1 / (1 + math.exp(-total))
    return max(score, RESTATED) if comparison.restated else score


def _focus_differs(pair: Pair) -> bool:
    ours, theirs = pair.cached.question, pair.asked.question
    return ours.kind == theirs.kind == "what" and ours.focus != theirs.focus


@lru_cache(maxsize=1)
def _trained() -> _Weights:
    table = json.loads((files("cognition.domain.guard") / "data" / "score.json").read_text(encoding="utf-8"))
    return _Weights(table["intercept"], tuple(table["weights"][name] for name in Evidence._fields))
