"""What the semantic layer would do on logged traffic, at many thresholds at once.

Embedding, neighbours, guard, score and verifier do not depend on the threshold, so each is worked out once; a threshold
is then a pass over the log. In a pass a question that is answered by a neighbour is not kept, as in the cache itself,
so later questions meet other neighbours at other thresholds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

import numpy as np

from cognition.domain.error_bound import Bar, bar_of
from cognition.domain.replay import (
    Curve,
    Examples,
    LoggedCall,
    LoggedPair,
    Met,
    Method,
    Outcome,
    Report,
    examples_of,
    outcome_of,
)
from cognition.domain.semantic import Label, Vectors
from cognition.domain.semantic_policy import SemanticPolicy
from cognition.domain.similarity import Candidate
from cognition.ports import Embedder, Verifier
from cognition.services.replay_rules import Opinions, Rule
from cognition.services.replay_stream import Stream

Progress = Callable[[str, int, int], None]
"""Told what is being done, how much of it is done, and how much there is."""

_Walk = Callable[[Rule], Iterator[Met]]

_BATCH = 256  # texts embedded between two signs of progress
_NO_TIME = datetime.fromtimestamp(0, UTC)  # labels are in order, which is all that counts here


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to try.

    Attributes:
        thresholds: Lowest scores at which a neighbour may answer, in ascending order.
        policy: Floor, number of candidates, grey band, and the error to stay below.
        show: How many examples of each kind to choose.
    """

    thresholds: Sequence[float]
    policy: SemanticPolicy
    show: int = 0


class Replay:
    """Replays one log."""

    def __init__(self, embedder: Embedder, verifier: Verifier | None, plan: Plan, progress: Progress) -> None:
        """Prepare.

        Args:
            embedder: Turns questions into vectors.
            verifier: Decides about scores a little below the threshold; None leaves that method out.
            plan: What to try.
            progress: Told how far it is.
        """
        self._embedder = embedder
        self._plan = plan
        self._progress = progress
        self._limit = plan.policy.limit_of("")
        self._opinions = Opinions(plan.policy, verifier)
        self._methods: list[Method] = ["cosine", "guarded", "shipped"]
        if verifier is not None:
            self._methods.append("verified")

    def of_calls(self, calls: Sequence[LoggedCall]) -> Report:
        """Replay a stream of calls from an empty cache.

        In memory are the calls; a vector for each distinct text, twice while neighbours are looked for; 256 bytes of
        neighbours for each question; and what guard and verifier said of the pairs that met.

        Args:
            calls: In order of time, at least one.

        Raises:
            CacheUnavailable: The embedder or the verifier failed.
        """
        stream = Stream(calls)
        vectors = self._embed(stream.texts)
        self._progress("Finding neighbours", 0, 1)
        stream.find_neighbours(vectors, min(*self._plan.thresholds, self._plan.policy.floor, self._limit.lowest))

        def walk(rule: Rule) -> Iterator[Met]:
            choose = partial(self._opinions.choose, rule)
            return stream.walk(choose, self._plan.policy.candidates, shadow=rule.shadow)

        curves, examples = self._sweep(walk, len(calls), bounded=True)
        return Report(
            calls=len(calls),
            repeats=stream.repeats,
            repeats_saved_usd=stream.repeats_saved_usd,
            priced=any(call.cost_usd is not None for call in calls),
            scopes=stream.scopes,
            too_long=stream.too_long,
            curves=curves,
            examples=examples,
        )

    def of_pairs(self, pairs: Sequence[LoggedPair], stream_size: float | None = None) -> Report:
        """Decide about pairs, each by itself.

        Args:
            pairs: At least one.
            stream_size: How many calls they stand for, with those that met no neighbour; None: the sum of the weights.

        Raises:
            CacheUnavailable: The embedder or the verifier failed.
        """
        texts = {text: place for place, text in enumerate(dict.fromkeys(_texts(pairs)))}
        vectors = self._embed(list(texts))
        seen = [pair for pair in pairs if all(vectors[texts[text]].any() for text in _texts([pair]))]
        cosines = [float(vectors[texts[pair.cached]] @ vectors[texts[pair.asked]]) for pair in seen]

        def walk(rule: Rule) -> Iterator[Met]:
            for pair, cosine in zip(seen, cosines, strict=True):
                choice = self._opinions.choose(rule, pair.asked, [Candidate(pair.cached, cosine)])
                if choice is not None:
                    yield choice.met(pair.asked, right=pair.right, weight=pair.weight)

        calls = stream_size or sum(pair.weight for pair in pairs)
        # To the error bound each label is one look-up, which a pair that stands for several is not.
        curves, examples = self._sweep(walk, calls, bounded=len({pair.weight for pair in pairs}) == 1)
        return Report(calls=calls, too_long=len(pairs) - len(seen), curves=curves, examples=examples)

    def _embed(self, texts: Sequence[str]) -> Vectors:
        """Return a vector for each text; one of zeros for a text that the embedder does not see as a whole."""
        vectors = np.zeros((len(texts), self._embedder.identity.dimensions), np.float32)
        for start in range(0, len(texts), _BATCH):
            self._progress("Embedding", start, len(texts))
            batch = range(start, min(start + _BATCH, len(texts)))
            fitting = [place for place in batch if self._embedder.fits(texts[place])]
            if fitting:
                vectors[fitting] = self._embedder.embed([texts[place] for place in fitting])
        self._progress("Embedding", len(texts), len(texts))
        return vectors

    def _sweep(self, walk: _Walk, calls: float, *, bounded: bool) -> tuple[tuple[Curve, ...], Examples]:
        """Pass over the log with every method at every threshold."""
        passes = len(self._methods) * len(self._plan.thresholds)
        curves = list[Curve]()
        for method in self._methods:
            outcomes = list[Outcome]()
            for threshold in self._plan.thresholds:
                self._progress("Trying thresholds", len(curves) * len(self._plan.thresholds) + len(outcomes), passes)
                outcomes.append(outcome_of(threshold, list(walk(Rule(method, threshold))), calls))
            bar = self._bar(walk, method) if bounded and method != "verified" else None
            curves.append(Curve(method=method, outcomes=tuple(outcomes), bar=bar))
        self._progress("Trying thresholds", passes, passes)
        shown = min(self._plan.thresholds, key=lambda threshold: abs(threshold - self._limit.default))
        met = list(walk(Rule(self._methods[-1], shown)))
        return tuple(curves), examples_of(self._methods[-1], shown, met, self._plan.show)

    def _bar(self, walk: _Walk, method: Method) -> Bar | None:
        """Return the threshold that the labels support, as if the log had been met in shadow mode."""
        met = walk(Rule(method, self._limit.lowest, shadow=True))
        labels = [
            Label(one.score, one.right, "shadow", _NO_TIME)
            for one in met
            if one.refusal is None and one.right is not None
        ]
        return bar_of(labels[::-1], self._limit) if labels else None


def _texts(pairs: Sequence[LoggedPair]) -> Iterator[str]:
    for pair in pairs:
        yield pair.cached
        yield pair.asked
