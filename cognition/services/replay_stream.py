"""A log of calls as a cache meets it: one after the other, each among the ones before it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal

import numpy as np

from cognition.domain.nearest import nearest_earlier
from cognition.domain.replay import LoggedCall, Met
from cognition.domain.semantic import Vectors
from cognition.domain.similarity import Candidate
from cognition.services.replay_rules import Choice

_MOST = 32
"""How many earlier neighbours of a question are remembered; where they do not suffice, all are compared again."""

Choose = Callable[[str, Sequence[Candidate]], Choice | None]


class Stream:
    """The questions of a log: calls without those whose text had been asked before in their scope.

    Attributes:
        texts: Each text once; scopes share them.
        scopes: How many scopes there are.
        repeats: How many calls repeat a question.
        repeats_saved_usd: What those cost.
    """

    def __init__(self, calls: Sequence[LoggedCall]) -> None:
        """Sort out repeats.

        Args:
            calls: In order of time.
        """
        texts: dict[str, int] = {}
        scopes: dict[tuple[str, ...], int] = {}
        seen: set[tuple[int, int]] = set()
        self._calls: list[LoggedCall] = []
        self._places: list[tuple[int, int]] = []  # of scope and text of each question
        self.repeats = 0
        self.repeats_saved_usd = Decimal(0)
        for call in calls:
            place = scopes.setdefault(call.scope, len(scopes)), texts.setdefault(call.text, len(texts))
            if place in seen:
                self.repeats += 1
                self.repeats_saved_usd += call.cost_usd or 0
                continue
            seen.add(place)
            self._calls.append(call)
            self._places.append(place)
        self.texts = list(texts)
        self.scopes = len(scopes)

    def __len__(self) -> int:
        """Return how many questions there are."""
        return len(self._calls)

    @property
    def too_long(self) -> int:
        """How many questions have no vector, once neighbours have been looked for."""
        return len(self) - len(self._seen)

    def find_neighbours(self, vectors: Vectors, lowest: float) -> None:
        """Remember the earlier neighbours of each question.

        Args:
            vectors: One for each of `texts`; zeros where there is none, which is near to nothing.
            lowest: Neighbours of a lower similarity are never asked for.
        """
        self._vectors, self._lowest = vectors, lowest
        visible: list[bool] = np.any(vectors, axis=1).tolist()
        self._seen = [number for number, (_, text) in enumerate(self._places) if visible[text]]
        self._similarities = np.zeros((len(self), _MOST), np.float32)
        self._neighbours = np.zeros((len(self), _MOST), np.int32)
        self._counts = np.zeros(len(self), np.int32)
        by_scope: defaultdict[int, list[int]] = defaultdict(list)
        for number in self._seen:
            by_scope[self._places[number][0]].append(number)
        for members in by_scope.values():
            nearest = nearest_earlier(vectors[[self._places[number][1] for number in members]], lowest, _MOST)
            self._similarities[members] = nearest.similarities
            self._neighbours[members] = np.array(members, np.int32)[nearest.positions]
            self._counts[members] = nearest.counts

    def walk(self, choose: Choose, limit: int, *, shadow: bool) -> Iterator[Met]:
        """Ask one question after the other, from an empty cache; keep those that nothing answers.

        Args:
            choose: Decides about a question's nearest kept neighbours.
            limit: How many neighbours it gets.
            shadow: Keep those that are answered as well.
        """
        kept = bytearray(len(self))
        by_scope: defaultdict[int, list[int]] = defaultdict(list)
        for number in self._seen:
            asked = self._calls[number]
            same_scope = by_scope[self._places[number][0]]
            near = self._nearest_kept(number, kept, same_scope, limit)
            candidates = [Candidate(self._calls[other].text, similarity) for other, similarity in near]
            choice = choose(asked.text, candidates) if candidates else None
            if choice is not None:
                right = _right(asked, self._calls[near[choice.place][0]])
                yield choice.met(asked.text, right=right, cost_usd=asked.cost_usd)
            if shadow or choice is None or choice.refusal is not None:
                kept[number] = True
                same_scope.append(number)

    def _nearest_kept(
        self, number: int, kept: bytearray, same_scope: Sequence[int], limit: int
    ) -> list[tuple[int, float]]:
        """Return the nearest kept questions with their similarities, nearest first."""
        count = self._counts[number]
        if not count:
            return []
        neighbours = self._neighbours[number, :count].tolist()
        similarities = self._similarities[number, :count].tolist()
        near = [pair for pair in zip(neighbours, similarities, strict=True) if kept[pair[0]]][:limit]
        if len(near) == limit or count < _MOST:
            return near
        # Too many of the remembered ones were answered themselves, and there may be more than were remembered.
        texts = [self._places[other][1] for other in same_scope]
        products = self._vectors[texts] @ self._vectors[self._places[number][1]]
        order = np.argsort(-products, kind="stable")[:limit].tolist()
        return [(same_scope[place], float(products[place])) for place in order if products[place] >= self._lowest]


def _right(asked: LoggedCall, cached: LoggedCall) -> bool | None:
    """Whether two calls may share an answer; None when that is unknown, as between a label and a mere answer."""
    if asked.truth is None or cached.truth is None or asked.truth[0] != cached.truth[0]:
        return None
    return asked.truth[1] == cached.truth[1]
