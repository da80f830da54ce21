"""When the answer to a similar question may be given: what a look-up in the semantic layer ends with.

A cosine alone does not separate a negation from a paraphrase. A candidate may answer when its cosine reaches a floor,
the guard finds no difference, and its *score* reaches the threshold. The score grows with the probability that the
cached answer does for the asked question, and is scaled so that the default threshold of 0.92 answers about as many
questions as a cosine of 0.92 does, and nearly all of them rightly (`benchmarks/semantic_quality.py` prints how many).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from cognition.domain.guard import Difference, Features, analyse, compare, score_of

DEFAULT_THRESHOLD = 0.92
DEFAULT_FLOOR = 0.80
_SOME = 1e-9  # what lies below the floor has no score at all
NEIGHBOURS = 3
"""How many candidates a look-up asks the store for."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A cached question near the asked one.

    Attributes:
        text: The text that was embedded.
        similarity: Cosine of the two embeddings, at most 1.
    """

    text: str
    similarity: float


@dataclass(frozen=True, slots=True)
class Limits:
    """What a candidate must reach.

    Attributes:
        threshold: The lowest score, 0 to 1.
        floor: The lowest cosine; candidates below it are not looked at.
    """

    threshold: float = DEFAULT_THRESHOLD
    floor: float = DEFAULT_FLOOR


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was decided of one candidate.

    Attributes:
        candidate: The cached question.
        score: How likely its answer does, 0 to 1; 0 when the guard refused it.
        differences: What the guard found, in plain words.
        refusal: Why it may not answer, or None when it may.
    """

    candidate: Candidate
    score: float
    differences: tuple[Difference, ...]
    refusal: str | None


@dataclass(frozen=True, slots=True)
class Decision:
    """What was decided of all candidates.

    Attributes:
        chosen: The one that may answer, or None.
        verdicts: One for each candidate, in the order given.
    """

    chosen: Verdict | None
    verdicts: tuple[Verdict, ...]


def decide(asked: str, candidates: Sequence[Candidate], limits: Limits) -> Decision:
    """Choose the candidate that may answer: the one with the highest score among those that pass every limit.

    Args:
        asked: The question that was asked.
        candidates: Its nearest cached questions, best first.
        limits: What a candidate must reach.
    """
    if not candidates:
        return Decision(None, ())
    features = analyse(asked)
    verdicts = tuple(judge(features, candidate, limits) for candidate in candidates)
    allowed = [verdict for verdict in verdicts if verdict.refusal is None]
    return Decision(max(allowed, key=lambda verdict: verdict.score, default=None), verdicts)


def doubtful(decision: Decision, lowest: float) -> Verdict | None:
    """Return the best candidate that only lacks score, when none may answer.

    Args:
        decision: From `decide`.
        lowest: The lowest score that is worth a second look.
    """
    if decision.chosen is not None:
        return None
    near = (verdict for verdict in decision.verdicts if not verdict.differences and verdict.score >= max(lowest, _SOME))
    return max(near, key=lambda verdict: verdict.score, default=None)


def reconsider(decision: Decision, verdict: Verdict, score: float, limits: Limits) -> Decision:
    """Return a decision in which one candidate has the score that a verifier gave it."""
    refusal = None if score >= limits.threshold else f"the verifier's {score:.3f} is below {limits.threshold:g}"
    new = replace(verdict, score=score, refusal=refusal)
    verdicts = tuple(new if one is verdict else one for one in decision.verdicts)
    return Decision(new if refusal is None else decision.chosen, verdicts)


def judge(asked: Features, candidate: Candidate, limits: Limits) -> Verdict:
    """Decide about one candidate."""
    if candidate.similarity < limits.floor:
        return Verdict(candidate, 0.0, (), f"similarity {candidate.similarity:.3f} is below {limits.floor:g}")
    comparison = compare(analyse(candidate.text), asked)
    if comparison.differences:
        return Verdict(candidate, 0.0, comparison.differences, comparison.differences[0].reason)
    score = score_of(candidate.similarity, comparison)
    refusal = None if score >= limits.threshold else f"score {score:.3f} is below {limits.threshold:g}"
    return Verdict(candidate, score, (), refusal)
