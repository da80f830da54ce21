"""What is known about the errors of the semantic layer, namespace by namespace."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

from cognition.domain.error_bound import WINDOW, Bar, Limit, bar_of
from cognition.domain.semantic import Label, LabelSource, Pair
from cognition.domain.semantic_policy import SemanticPolicy
from cognition.events import Emit, PairJudged
from cognition.ports import Clock, PairStore
from cognition.resilience.store_breaker import Guarded

# A bar is as old as this at most: other processes collect labels as well.
_SECONDS = 10.0

Key = tuple[str, str, str, Limit]


class SemanticTrust:
    """Keeps the pairs that were met and the verdicts on them, and derives how near a neighbour must be."""

    def __init__(self, pairs: Guarded[PairStore], clock: Clock, emit: Emit) -> None:
        """Know nothing yet.

        Args:
            pairs: Keeps pairs and verdicts.
            clock: Returns the present time.
            emit: Told about verdicts.
        """
        self._pairs = pairs
        self._clock = clock
        self._emit = emit
        self._bars: dict[Key, tuple[float, Bar]] = {}

    def bar(self, tenant: str, namespace: str, fingerprint: str, policy: SemanticPolicy) -> Bar:
        """Return the score that a neighbour must reach in a namespace."""
        limit = policy.limit_of(namespace)
        if limit.max_error is None:
            return bar_of((), limit)
        key = (tenant, namespace, fingerprint, limit)
        until, bar = self._bars.get(key, (0.0, None))
        if bar is None or time.monotonic() >= until:
            ask = partial(self._pairs.store.labels, tenant, namespace, fingerprint, WINDOW)
            bar = bar_of(self._pairs.call(ask, []), limit)
            self._bars[key] = (time.monotonic() + _SECONDS, bar)
        return bar

    def find(self, tenant: str, request_id: str) -> Pair | None:
        """Return the pair of one call.

        Raises:
            CacheUnavailable: The store does not answer.
        """
        return self._pairs.store.find(tenant, request_id)

    def find_served(self, tenant: str, asked_key: bytes) -> Pair | None:
        """Return the pair behind a copy of a semantic hit.

        Raises:
            CacheUnavailable: The store does not answer.
        """
        return self._pairs.store.find_served(tenant, asked_key)

    def judge(self, pair: Pair, source: LabelSource, *, right: bool) -> None:
        """Record a verdict; the namespace's bar follows at once here, and within seconds elsewhere."""
        label = Label(score=pair.score, right=right, source=source, at=self._clock())
        self._call(partial(self._pairs.store.judge, pair, label))
        self._bars = {key: kept for key, kept in self._bars.items() if key[:2] != (pair.tenant, pair.namespace)}
        self._emit(PairJudged(pair, label))

    def block(self, pair: Pair) -> None:
        """Never let these two questions share an answer again.

        Raises:
            CacheUnavailable: The store does not answer.
        """
        self._pairs.store.block(pair)

    def _call(self, use: Callable[[], None]) -> None:
        self._pairs.breaker.call(use, None)
