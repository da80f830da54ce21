"""How each method of a replay decides about one question's neighbours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from cognition.domain.guard import analyse
from cognition.domain.replay import SCORE, Met, Method
from cognition.domain.semantic_policy import SemanticPolicy
from cognition.domain.similarity import Candidate, Limits, Verdict, judge
from cognition.ports import Verifier

# A verdict without limits, so that one serves for every threshold.
_NO_LIMITS = Limits(threshold=0.0, floor=-1.0)


@dataclass(frozen=True, slots=True)
class Rule:
    """What decides in one pass over a log.

    Attributes:
        method: What decides.
        threshold: The lowest score that may answer.
        shadow: Only compare: nothing is answered, so every question is kept.
    """

    method: Method
    threshold: float
    shadow: bool = False


@dataclass(frozen=True, slots=True)
class Choice:
    """The neighbour that may answer, or the nearest one and why it may not.

    Attributes:
        place: Which of the candidates it is.
        candidate: The candidate itself.
        score: What was compared with the threshold.
        refusal: The rule that refused it, or `SCORE`; None when it may answer.
        reason: The same in plain words.
    """

    place: int
    candidate: Candidate
    score: float
    refusal: str | None = None
    reason: str = ""

    def met(self, asked: str, *, right: bool | None, weight: float = 1.0, cost_usd: Decimal | None = None) -> Met:
        """Return what is counted of it."""
        return Met(
            asked=asked,
            cached=self.candidate.text,
            similarity=self.candidate.similarity,
            score=self.score,
            refusal=self.refusal,
            reason=self.reason,
            right=right,
            weight=weight,
            cost_usd=cost_usd,
        )


class Opinions:
    """What guard, score and verifier say of two questions; each pair is looked at once."""

    def __init__(self, policy: SemanticPolicy, verifier: Verifier | None) -> None:
        """Know nothing yet.

        Args:
            policy: Floor and grey band.
            verifier: Asked only by the method `verified`.
        """
        self._policy = policy
        self._verifier = verifier
        self._verdicts: dict[tuple[str, str], Verdict] = {}
        self._probabilities: dict[tuple[str, str], float] = {}

    def choose(self, rule: Rule, asked: str, candidates: Sequence[Candidate]) -> Choice | None:
        """Return the neighbour that may answer, or the nearest one that may not; None when none is near enough.

        Args:
            rule: What decides.
            asked: The question that was asked.
            candidates: Its nearest cached questions, best first.

        Raises:
            CacheUnavailable: The verifier failed.
        """
        by_similarity = rule.method in {"cosine", "guarded"}
        floor = rule.threshold if by_similarity else self._policy.floor
        near = [candidate for candidate in candidates if candidate.similarity >= floor]
        if not near:
            return None
        if rule.method == "cosine":
            return Choice(0, near[0], near[0].similarity)
        verdicts = self._judged(asked, near)
        allowed = [
            Choice(place, one.candidate, one.candidate.similarity if by_similarity else one.score)
            for place, one in enumerate(verdicts)
            if not one.differences
        ]
        best = max(allowed, key=lambda choice: choice.score, default=None)
        if best is not None and best.score >= rule.threshold:
            return best
        verified = self._verified(rule, asked, allowed) if rule.method == "verified" else None
        return verified or _refused(verdicts[0], rule.threshold)

    def _judged(self, asked: str, candidates: Sequence[Candidate]) -> list[Verdict]:
        """Return what guard and score say of each candidate."""
        unseen = [one for one in candidates if (one.text, asked) not in self._verdicts]
        if unseen:
            features = analyse(asked)
            for one in unseen:
                self._verdicts[one.text, asked] = judge(features, one, _NO_LIMITS)
        return [self._verdicts[one.text, asked] for one in candidates]

    def _verified(self, rule: Rule, asked: str, allowed: Sequence[Choice]) -> Choice | None:
        """Return the choice in the grey band whose probability is highest and reaches the threshold."""
        grey = [choice for choice in allowed if choice.score >= rule.threshold - self._policy.grey_band]
        pairs = [(choice.candidate.text, asked) for choice in grey]
        unseen = [pair for pair in pairs if pair not in self._probabilities]
        if unseen and self._verifier is not None:
            self._probabilities.update(zip(unseen, self._verifier.verify(unseen), strict=True))
        choices = [
            Choice(choice.place, choice.candidate, self._probabilities[pair])
            for choice, pair in zip(grey, pairs, strict=True)
        ]
        best = max(choices, key=lambda choice: choice.score, default=None)
        return best if best is not None and best.score >= rule.threshold else None


def _refused(nearest: Verdict, threshold: float) -> Choice:
    if nearest.differences:
        first = nearest.differences[0]
        return Choice(0, nearest.candidate, nearest.score, first.rule, first.reason)
    reason = f"score {nearest.score:.3f} is below {threshold:g}"
    return Choice(0, nearest.candidate, nearest.score, SCORE, reason)
