"""How likely one answer does for two questions that no rule tells apart."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from functools import lru_cache
from importlib.resources import files

from cognition.domain.guard.comparison import Comparison


def score_of(similarity: float, comparison: Comparison) -> float:
    """Estimate the probability that the cached answer does for the asked question.

    Args:
        similarity: Cosine of the two embeddings.
        comparison: What the guard found.
    """
    weights = _weights()
    evidence = {"similarity": similarity} | evidence_of(comparison)
    total = weights["intercept"] + sum(weights[name] * value for name, value in evidence.items())
    return 1 / (1 + math.exp(-total))


def evidence_of(comparison: Comparison) -> dict[str, float]:
    """Return what the words of two texts say, as numbers."""
    alignment = comparison.pair.alignment
    shared = sum(one.weight for one, _ in alignment.same)
    near = sum(one.weight for one, _ in alignment.near)
    cached, asked = (sum(term.weight for term in left) for left in (alignment.cached, alignment.asked))
    return {"overlap": (shared + near + 0.1) / (shared + near + cached + asked + 0.1)}


@lru_cache(maxsize=1)
def _weights() -> Mapping[str, float]:
    return json.loads((files("cognition.domain.guard") / "data" / "score.json").read_text(encoding="utf-8"))
