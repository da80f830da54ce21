"""What `benchmarks.semantic_quality` computes: precision against hit rate, with intervals, and acceptance."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from benchmarks.semantic.data import (
    JudgedPair,
    LabelledPair,
    MinimalPair,
    connected,
    hit_rate_of,
    precision_of,
)
from benchmarks.semantic.train import train, weighed
from cognition.domain.guard import analyse, compare, evidence_of
from cognition.domain.similarity import NEIGHBOURS, Candidate, Limits, decide, judge
from cognition.ports import Embedder

HIT_RATES = (0.05, 0.07, 0.084, 0.09, 0.10, 0.12)
FOLDS, RESAMPLES, SEED = 10, 1000, 7
NEGATIVES, POSITIVES = 2700, 1600
"""Pairs of the hard stream, as the README of the data says."""
BATCH = 512

Vectors = NDArray[np.float32]
Scorer = Callable[[JudgedPair], float]
Decider = Callable[[str, Sequence[Candidate]], Candidate | None]


class Verifier(Protocol):
    """Says how likely one answer does for both questions of a pair."""

    def verify(self, pairs: Sequence[tuple[str, str]]) -> Sequence[float]:
        """Return a probability for each pair of a cached and an asked question, in order."""
        ...


@dataclass(frozen=True, slots=True)
class Point:
    """One point of a curve: what is answered, and how much of it rightly.

    Attributes:
        hit_rate: Share of the stream that is answered.
        precision: Share of the hits that are right, doubtful ones left out.
        low: Lower end of the 95 % bootstrap interval of the precision.
        high: Upper end.
        strict: Precision with doubtful hits counted as wrong.
    """

    hit_rate: float
    precision: float
    low: float
    high: float
    strict: float


def shipped(limits: Limits) -> Scorer:
    """Score a pair by exactly the function that ships; 0 where the guard or the floor refuses."""

    def score(pair: JudgedPair) -> float:
        return judge(analyse(pair.asked), Candidate(pair.cached, pair.cosine), limits).score

    return score


def verified(limits: Limits, verifier: Verifier, grey: float) -> Scorer:
    """Let a verifier order what the shipped score leaves above a lower limit."""
    plain = shipped(limits)

    def score(pair: JudgedPair) -> float:
        first = plain(pair)
        return float(verifier.verify([(pair.cached, pair.asked)])[0]) if first >= grey else 0.0

    return score


def cross_validated(pairs: Sequence[JudgedPair]) -> Scorer:
    """Score each pair by weights trained without it and without every pair that shares a question with it."""
    groups = connected(pairs)
    shuffled: list[int] = np.random.default_rng(SEED).permutation(max(groups) + 1).tolist()
    fold_of = {group: place % FOLDS for place, group in enumerate(shuffled)}
    scores: dict[tuple[str, str], float] = {}
    for fold in range(FOLDS):
        trained = train([pair for pair, group in zip(pairs, groups, strict=True) if fold_of[group] != fold])
        for pair, group in zip(pairs, groups, strict=True):
            if fold_of[group] == fold:
                found = compare(analyse(pair.cached), analyse(pair.asked))
                score = weighed(trained, evidence_of(pair.cosine, found), restated=found.restated)
                scores[pair.cached, pair.asked] = 0.0 if found.differences else score
    return lambda pair: scores[pair.cached, pair.asked]


def curve(pairs: Sequence[JudgedPair], scorer: Scorer) -> dict[float, Point | None]:
    """Return the point at each hit rate, None where so many are never answered."""
    ordered = _ordered(pairs, scorer)
    points: dict[float, Point | None] = {}
    for wanted in HIT_RATES:
        hits = _until(ordered, wanted)
        points[wanted] = point(hits) if hits else None
    return points


def at_threshold(pairs: Sequence[JudgedPair], scorer: Scorer, threshold: float) -> Point:
    """Return what a threshold gives."""
    return point([pair for pair in pairs if scorer(pair) >= threshold])


def point(hits: Sequence[JudgedPair]) -> Point:
    """Sum up some hits; the interval is a bootstrap over pairs."""
    drawn = np.random.default_rng(SEED).integers(0, max(1, len(hits)), (RESAMPLES if hits else 0, len(hits)))
    rows: list[list[int]] = drawn.tolist()
    resampled = sorted(precision_of([hits[place] for place in row], doubtful_is_wrong=False) for row in rows)
    low, high = (resampled[int(share * len(resampled))] if resampled else 1.0 for share in (0.025, 0.975))
    precision, strict = (precision_of(hits, doubtful_is_wrong=wrong) for wrong in (False, True))
    return Point(hit_rate_of(hits), precision, low, high, strict)


def hard_stream(
    pairs: Sequence[LabelledPair], embedder: Embedder, limits: Limits
) -> dict[str, list[JudgedPair | None]]:
    """Look every question of the hard stream up, insert it on a miss, and collect what was answered by whom.

    Returns:
        For plain cosine at the same number of hits, and for us, one entry a look-up: the hit, or None.
    """
    stream = stream_of(pairs)
    rows = embedded(list(stream.classes), embedder)
    deciders = {"us": by_guard(limits), "cosine >= 0.92": by_cosine(0.92), "cosine >= 0.95": by_cosine(0.95)}
    return {name: play(stream, rows, one) for name, one in deciders.items()}


@dataclass(frozen=True, slots=True)
class Stream:
    """Questions in the order in which they are asked, and the class of each text."""

    questions: list[str]
    classes: dict[str, str]

    def judged(self, asked: str, cached: str, similarity: float) -> JudgedPair:
        """Return a hit; it is right when the classes are equal."""
        right = self.classes[cached] == self.classes[asked]
        return JudgedPair(cached, asked, right, similarity, 1.0, len(self.questions))


def stream_of(pairs: Sequence[LabelledPair]) -> Stream:
    """Lay out the hard stream: both members of near-misses and of true pairs, shuffled."""
    drawn = np.random.default_rng(SEED)
    negatives = [pair for pair in pairs if not pair.duplicates and pair.class_a != pair.class_b]
    positives = [pair for pair in pairs if pair.duplicates]
    chosen: list[LabelledPair] = []
    for group, size in ((negatives, NEGATIVES), (positives, POSITIVES)):
        chosen += [group[place] for place in drawn.permutation(len(group))[:size].tolist()]
    classes = {text: kind for pair in chosen for text, kind in ((pair.a, pair.class_a), (pair.b, pair.class_b))}
    members = [text for pair in chosen for text in (pair.a, pair.b)]
    order: list[int] = drawn.permutation(len(members)).tolist()
    return Stream([members[place] for place in order], classes)


def by_guard(limits: Limits) -> Decider:
    """Decide as we ship."""

    def decider(asked: str, near: Sequence[Candidate]) -> Candidate | None:
        chosen = decide(asked, near, limits).chosen
        return chosen.candidate if chosen else None

    return decider


def by_cosine(threshold: float) -> Decider:
    """Take the nearest from a similarity on."""
    return lambda _, near: near[0] if near and near[0].similarity >= threshold else None


def play(stream: Stream, rows: Mapping[str, Vectors], decider: Decider) -> list[JudgedPair | None]:
    """Ask every question of a stream, and store it where nothing answers."""
    stored: list[str] = []
    matrix = np.zeros((len(stream.questions), next(iter(rows.values())).shape[0]), np.float32)
    outcomes: list[JudgedPair | None] = []
    for asked in stream.questions:
        similarities = matrix[: len(stored)] @ rows[asked]
        best: list[int] = np.argsort(-similarities)[:NEIGHBOURS].tolist()
        hit = decider(asked, [Candidate(stored[place], float(similarities[place])) for place in best])
        if hit is None:
            matrix[len(stored)] = rows[asked]
            stored.append(asked)
            outcomes.append(None)
        else:
            outcomes.append(stream.judged(asked, hit.text, hit.similarity))
    return outcomes


def acceptance(
    pairs: Sequence[MinimalPair], embedder: Embedder, limits: Limits
) -> dict[tuple[str, bool], tuple[int, int]]:
    """Return for each capability, and for what must and must not match: how many there are and how many we accept."""
    texts = list({text for pair in pairs for text in (pair.cached, pair.asked)})
    rows = embedded(texts, embedder)
    counts: dict[tuple[str, bool], tuple[int, int]] = {}
    for pair in pairs:
        candidate = Candidate(pair.cached, float(rows[pair.cached] @ rows[pair.asked]))
        accepted = decide(pair.asked, [candidate], limits).chosen is not None
        seen, taken = counts.get((pair.capability, pair.same), (0, 0))
        counts[pair.capability, pair.same] = seen + 1, taken + accepted
    return counts


def microseconds(pairs: Sequence[JudgedPair]) -> dict[str, float]:
    """Return the median time of one analysis, of one comparison with its score, and of a whole pair."""
    times: dict[str, list[float]] = {"analyse a text": [], "compare and score": [], "pair, one text analysed": []}
    for pair in pairs:
        started = time.perf_counter()
        cached = analyse(pair.cached)
        between = time.perf_counter()
        asked = analyse(pair.asked)
        analysed = time.perf_counter()
        evidence_of(pair.cosine, compare(cached, asked))
        ended = time.perf_counter()
        times["analyse a text"].append(between - started)
        times["compare and score"].append(ended - analysed)
        times["pair, one text analysed"].append(ended - between)
    return {name: median(values) * 1e6 for name, values in times.items()}


def embedded(texts: Sequence[str], embedder: Embedder) -> dict[str, Vectors]:
    """Return a vector a text; that of a text which does not fit is zero, because the engine never compares it."""
    vectors = np.zeros((len(texts), embedder.identity.dimensions), np.float32)
    fitting = [number for number, text in enumerate(texts) if embedder.fits(text)]
    for start in range(0, len(fitting), BATCH):
        part = fitting[start : start + BATCH]
        vectors[part] = embedder.embed([texts[number] for number in part])
    return dict(zip(texts, vectors, strict=True))


def _ordered(pairs: Sequence[JudgedPair], scorer: Scorer) -> list[JudgedPair]:
    scored = [(scorer(pair), pair) for pair in pairs]
    return [pair for score, pair in sorted(scored, key=lambda both: -both[0]) if score > 0]


def _until(ordered: Sequence[JudgedPair], wanted: float) -> list[JudgedPair]:
    """Return the best pairs that together are a share of the stream, or nothing where there are too few."""
    needed = wanted * ordered[0].stream_size if ordered else 0.0
    for place, pair in enumerate(ordered):
        needed -= pair.weight
        if needed <= 0:
            return list(ordered[: place + 1])
    return []
