"""Pairs of similar questions in memory."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from itertools import islice

from cognition.domain.semantic import Label, LabelSource, Pair, hash_of


class MemoryPairs:
    """What is known about similar questions, for one process."""

    def __init__(self) -> None:
        """Start without pairs."""
        self._lock = threading.Lock()
        self._pairs: dict[tuple[str, str, bytes], Pair] = {}
        self._labels: dict[tuple[str, str, bytes, LabelSource], tuple[Pair, Label]] = {}
        self._blocked: set[tuple[str, frozenset[bytes]]] = set()

    def note(self, pairs: Sequence[Pair]) -> None:
        """Remember pairs, so that they can be judged and reported later; a pair noted again changes nothing."""
        with self._lock:
            for pair in pairs:
                self._pairs.setdefault(_identity(pair), pair)

    def find(self, tenant: str, request_id: str) -> Pair | None:
        """Return the pair of one call: the served one, or the one with the highest score."""
        with self._lock:
            own = [pair for pair in self._pairs.values() if (pair.tenant, pair.request_id) == (tenant, request_id)]
        return max(own, key=lambda pair: (pair.served, pair.score), default=None)

    def find_served(self, tenant: str, asked_key: bytes) -> Pair | None:
        """Return the latest pair that was served under an exact key, for a call that got a copy of a semantic hit."""
        with self._lock:
            served = [
                pair
                for pair in self._pairs.values()
                if pair.served and (pair.tenant, pair.asked_key) == (tenant, asked_key)
            ]
        return max(served, key=lambda pair: pair.at, default=None)

    def judge(self, pair: Pair, label: Label) -> None:
        """Record a verdict on a pair, whether the pair was noted or not; a later verdict of one source replaces it."""
        with self._lock:
            self._labels[*_identity(pair), label.source] = (pair, label)

    def block(self, pair: Pair) -> None:
        """Never again let one of two texts be answered by the answer to the other, for this tenant."""
        with self._lock:
            self._blocked.add((pair.tenant, frozenset({hash_of(pair.asked_text), hash_of(pair.cached_text)})))

    def is_blocked(self, tenant: str, one: bytes, other: bytes) -> bool:
        """Whether two texts, given by their hashes, may not answer each other."""
        return (tenant, frozenset({one, other})) in self._blocked

    def labels(self, tenant: str, namespace: str, fingerprint: str, limit: int) -> list[Label]:
        """Return the latest verdicts of a namespace, newest first."""
        wanted = (tenant, namespace, fingerprint)
        with self._lock:
            held = [
                label
                for pair, label in self._labels.values()
                if (pair.tenant, pair.namespace, pair.fingerprint) == wanted
            ]
        return list(islice(sorted(held, key=lambda label: label.at, reverse=True), limit))


def _identity(pair: Pair) -> tuple[str, str, bytes]:
    """Return what a pair is known by: the call that asked, and the question it met."""
    return pair.tenant, pair.request_id, pair.cached_key
