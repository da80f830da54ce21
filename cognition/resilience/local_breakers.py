"""Breakers of this process alone, for the time that the shared ones cannot be asked."""

from __future__ import annotations

import random
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import uuid4

from cognition.domain.breaker import BreakerKey, BreakerPolicy, BreakerState
from cognition.domain.breaker_standing import Admission, BreakerResult, Order, Recorded, Standing, Transition, Window
from cognition.resilience import circuit_breaker

_MOST_TRANSITIONS = 1000


class LocalBreakers:
    """The state machine over a dictionary; keeps the contract of `BreakerStore` among the threads of one process."""

    name = "memory"

    def __init__(self, clock: Callable[[], datetime], draw: Callable[[], float] = random.random) -> None:
        """Start without breakers.

        Args:
            clock: Decides when open times and leases end.
            draw: Returns random numbers from 0 to 1, for jitter.
        """
        self._clock = clock
        self._draw = draw
        self._lock = threading.Lock()
        self._standings: dict[BreakerKey, Standing] = {}
        self._history: deque[Transition] = deque(maxlen=_MOST_TRANSITIONS)

    def look(self, keys: Sequence[BreakerKey]) -> list[Standing]:
        """Return how breakers stand, in order; unknown ones are closed."""
        with self._lock:
            return [self._now(key) for key in keys]

    def admit(self, key: BreakerKey, policy: BreakerPolicy, worker: str) -> Admission:
        """Say whether a call may be made, and grant a permit where it needs one."""
        with self._lock:
            admission = circuit_breaker.admit(self._now(key), policy, worker, self._clock(), uuid4())
            if admission.permit is not None or admission.transition is not None:
                self._keep(admission.standing, admission.transition)
            return admission

    def record(self, key: BreakerKey, policy: BreakerPolicy, result: BreakerResult) -> Recorded:
        """Take in how a call ended, and take its permit back."""
        with self._lock:
            recorded = circuit_breaker.record(self._now(key), policy, result, self._clock(), self._draw())
            self._keep(recorded.standing, recorded.transition)
            return recorded

    def cool_down(self, key: BreakerKey, duration: timedelta, reason: str) -> Standing:
        """Let nobody call for a while; a longer time that was agreed before stays."""
        with self._lock:
            return self._keep(circuit_breaker.cool_down(self._now(key), duration, reason, self._clock()))

    def obey(self, key: BreakerKey, order: Order) -> Transition:
        """Set the state that a person orders; CLOSED resets.

        Raises:
            ConfigurationError: Nobody can order that state, or nobody or no reason is named.
        """
        with self._lock:
            standing, transition = circuit_breaker.obey(self._now(key), order, self._clock())
            self._keep(standing, transition)
            return transition

    def standings(self) -> list[Standing]:
        """Return how every breaker stands that ever had something to tell, ordered by key."""
        with self._lock:
            return [self._now(key) for key in sorted(self._standings)]

    def history(self, key: BreakerKey | None, limit: int) -> list[Transition]:
        """Return the latest transitions of one breaker, or of all, newest first."""
        with self._lock:
            found = [one for one in reversed(self._history) if key is None or one.key == key]
            return found[:limit]

    def forget_history(self, age: timedelta, limit: int) -> int:
        """Delete up to `limit` transitions that are at least so old; return how many."""
        with self._lock:
            until, forgotten = self._clock() - age, 0
            while self._history and self._history[0].at <= until and forgotten < limit:
                self._history.popleft()
                forgotten += 1
            return forgotten

    def ping(self) -> None:
        """Return; memory always answers."""

    def knows(self, key: BreakerKey) -> bool:
        """Whether a breaker has anything to tell."""
        return key in self._standings

    def adopt(self, standing: Standing) -> None:
        """Go on from what a shared breaker last said.

        Its probes cannot be counted from here, so that a half-open one is tried anew; so can't the failures of others.
        """
        with self._lock:
            now = self._clock()
            if standing.state is BreakerState.HALF_OPEN:
                standing = replace(standing, state=BreakerState.OPEN, open_until=standing.as_of)
            # Both clocks may differ by anything: only times that remain can be carried over.
            self._standings[standing.key] = replace(
                standing,
                as_of=now,
                consecutive_failures=0,
                failures_by_worker={},
                open_until=now + standing.open_left if standing.state is BreakerState.OPEN else None,
                cooldown_until=now + standing.cooldown_left if standing.cooldown_left else None,
                window=Window(),
                last_failure_at=None,
                permits=(),
            )

    def forget(self, key: BreakerKey) -> None:
        """Know nothing of a breaker any more."""
        with self._lock:
            self._standings.pop(key, None)

    def forget_all(self) -> None:
        """Know nothing any more, also after a fork: the lock may have been held by a thread of the parent."""
        self._lock = threading.Lock()
        self._standings.clear()

    def _now(self, key: BreakerKey) -> Standing:
        now = self._clock()
        known = self._standings.get(key)
        return Standing(key=key, as_of=now) if known is None else circuit_breaker.at(known, now)

    def _keep(self, standing: Standing, transition: Transition | None = None) -> Standing:
        self._standings[standing.key] = standing
        if transition is not None:
            self._history.append(transition)
        return standing
