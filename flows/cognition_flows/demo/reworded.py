"""What the semantic layer decides about the reworded prompts, asked before they are sent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cognition import Cognition
from cognition.domain.explanation import Explanation
from cognition_flows.demo.flow import (
    NAMESPACE,
    Category,
    Summary,
    longer_summary,
    reworded_category,
    reworded_summary,
    worst_category,
)

_SAME = ((reworded_summary, Summary), (reworded_category, Category))
_OTHER = ((longer_summary, Summary), (worst_category, Category))


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """What L3 decided about one prompt.

    Attributes:
        prompt: What was asked.
        answered: Whether an answer to a similar question was given.
        similarity: Cosine similarity to the nearest question, None when nothing was near.
        score: How likely its answer does, 0 to 1.
        reason: Why it was given or refused.
    """

    prompt: str
    answered: bool
    similarity: float | None
    score: float | None
    reason: str


def explain_reworded(engine: Cognition, texts: Sequence[str], others: Sequence[str]) -> list[Decided]:
    """Return what L3 would do about every reworded prompt.

    Args:
        engine: The engine of the demo.
        texts: What is asked the same in other words.
        others: What is asked something else in almost the same words.
    """
    asked = [(prompt(text), output) for prompt, output in _SAME for text in texts]
    asked += [(prompt(text), output) for prompt, output in _OTHER for text in others]
    return [_decided(prompt, _explain(engine, prompt, output)) for prompt, output in asked]


def _explain(engine: Cognition, prompt: str, output: Any) -> Explanation:
    return engine.cache.explain(prompt, namespace=NAMESPACE, output=output)


def _decided(prompt: str, explanation: Explanation) -> Decided:
    nearest = next(iter(explanation.nearby), None)
    if nearest is None:
        return Decided(prompt=prompt, answered=False, similarity=None, score=None, reason=explanation.semantic)
    return Decided(
        prompt=prompt,
        answered=nearest.answers,
        similarity=round(nearest.similarity, 3),
        score=round(nearest.score, 3),
        reason="; ".join(nearest.reasons) or "no difference that matters",
    )
