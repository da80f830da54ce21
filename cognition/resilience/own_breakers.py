"""What a worker decides by itself, beside the shared breakers and in their absence."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from cognition.domain.breaker import BreakerKey, BreakerPolicy, BreakerState, BreakerVerdict
from cognition.domain.breaker_standing import Admission, BreakerResult, Standing, Transition
from cognition.events import BreakerChanged, BreakerThresholdReached, Emit, WorkerHeldBack
from cognition.resilience.local_breakers import LocalBreakers

_BEGINNING = datetime(2000, 1, 1, tzinfo=UTC)  # of a monotonic clock, which has none


class OwnBreakers:
    """The state machine in this process alone.

    Beside a shared breaker that is closed it holds this worker back when its own calls fail: long before one worker's
    failures could open the breaker for everybody. Without the shared ones it is all there is.
    """

    def __init__(self, emit: Emit, worker: str, monotonic: Callable[[], float]) -> None:
        """Start without breakers.

        Args:
            emit: Told about transitions.
            worker: Names this process.
            monotonic: Returns the time in seconds, from any beginning.
        """
        self._emit = emit
        self._worker = worker
        self._breakers = LocalBreakers(lambda: _BEGINNING + timedelta(seconds=monotonic()))
        self._is_alone = False

    @property
    def is_alone(self) -> bool:
        """Whether the shared breakers cannot be asked."""
        return self._is_alone

    def knows(self, key: BreakerKey) -> bool:
        """Whether this worker has failures of its own to consider."""
        return self._breakers.knows(key)

    def look(self, key: BreakerKey) -> list[Standing]:
        """Return how this worker's own breaker stands, if it has anything to tell."""
        return self._breakers.look([key]) if self.knows(key) else []

    def admit(self, key: BreakerKey, policy: BreakerPolicy) -> Admission:
        """Say whether this worker may call."""
        admission = self._breakers.admit(key, self._policy(policy), self._worker)
        self._tell(admission.transition)
        return admission

    def record(self, key: BreakerKey, policy: BreakerPolicy, result: BreakerResult) -> None:
        """Take in how a call ended; beside shared breakers a success means nothing unless failures went before."""
        if not (self._is_alone or self.knows(key) or result.verdict is BreakerVerdict.FAILURE):
            return
        recorded = self._breakers.record(key, self._policy(policy), result)
        self._tell(recorded.transition)
        standing = recorded.standing
        if recorded.threshold_reached:
            self._emit(BreakerThresholdReached(key, standing.consecutive_failures))
        if not self._is_alone and standing.is_clean:
            self.forget(key)

    def cool_down(self, key: BreakerKey, duration: timedelta, reason: str) -> timedelta:
        """Let this worker not call for a while; return by how much that is longer than agreed before."""
        (known,) = self._breakers.look([key])
        self._breakers.cool_down(key, duration, reason)
        return duration - known.cooldown_left

    def go_alone(self, known: Sequence[Standing]) -> None:
        """Do without the shared breakers, from what they last said; this worker's own failures still count."""
        self._is_alone = True
        for standing in known:
            if standing.state is not BreakerState.CLOSED:
                self._breakers.adopt(standing)
            elif standing.cooldown_left:
                self._breakers.cool_down(standing.key, standing.cooldown_left, standing.cooldown_reason or "")

    def join(self) -> None:
        """Believe the shared breakers again, in everything."""
        self._is_alone = False
        self._breakers.forget_all()

    def forget_parent(self, worker: str) -> None:
        """Start anew after a fork, under another name."""
        self._worker = worker
        self.join()

    def forget(self, key: BreakerKey) -> None:
        """Consider no failures from before."""
        self._breakers.forget(key)

    def _policy(self, policy: BreakerPolicy) -> BreakerPolicy:
        return _alone(policy) if self._is_alone else _beside(policy)

    def _tell(self, transition: Transition | None) -> None:
        if transition is not None:
            self._emit(
                BreakerChanged(transition, shared=False) if self._is_alone else WorkerHeldBack(transition, self._worker)
            )


@lru_cache(maxsize=64)
def _alone(policy: BreakerPolicy) -> BreakerPolicy:
    """Return the numbers of a breaker whose one worker nobody can confirm."""
    return replace(policy, lone_worker_factor=1)


@lru_cache(maxsize=64)
def _beside(policy: BreakerPolicy) -> BreakerPolicy:
    """Return the numbers of one that hears nothing of calls while all is well, and so knows no shares."""
    return replace(_alone(policy), failure_rate=None, slow_call_rate=None)
