"""What the contracts of shared circuit breakers have in common."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

from cognition.domain.breaker import BreakerKey, BreakerPolicy, BreakerState, BreakerVerdict
from cognition.domain.breaker_standing import Admission, BreakerResult, Recorded, Standing, Transition
from cognition.resilience.breaker_store import BreakerStore

Wait = Callable[[float], None]

KEY = BreakerKey("openai-chat", "gpt-5-mini")
OTHER = BreakerKey("openai-chat", "gpt-5-mini", "0123456789ab")
SHORT = 0.2
OPEN = timedelta(seconds=SHORT)
POLICY = BreakerPolicy(open_for=OPEN, max_open=timedelta(seconds=60), open_jitter=0)
RATES = replace(POLICY, failure_threshold=1000, failure_rate=0.5, slow_call_rate=0.8, minimum_calls=10)


class BreakerTeller:
    """Workers that tell a store how their calls ended."""

    def __init__(self, store: BreakerStore, policy: BreakerPolicy = POLICY) -> None:
        """Tell a store, about `KEY`."""
        self.store = store
        self.policy = policy

    def standing(self) -> Standing:
        """Return how the breaker stands."""
        (standing,) = self.store.look([KEY])
        return standing

    def admit(self, worker: str = "a") -> Admission:
        """Ask for leave."""
        return self.store.admit(KEY, self.policy, worker)

    def tell(self, result: BreakerResult) -> Recorded:
        """Tell a result."""
        return self.store.record(KEY, self.policy, result)

    def fail(self, worker: str = "a", generation: int | None = None, **fields: object) -> Recorded:
        """Tell a failure, by default of a call that was admitted just now."""
        return self.tell(self.result(BreakerVerdict.FAILURE, worker, generation, error="ProviderTimeout", **fields))

    def succeed(self, worker: str = "a", generation: int | None = None, **fields: object) -> Recorded:
        """Tell a success, by default of a call that was admitted just now."""
        return self.tell(self.result(BreakerVerdict.SUCCESS, worker, generation, **fields))

    def result(self, verdict: BreakerVerdict, worker: str, generation: int | None, **fields: object) -> BreakerResult:
        """Return a result of the present generation unless another one is named."""
        now = self.standing().generation if generation is None else generation
        return replace(BreakerResult(verdict=verdict, generation=now, worker=worker), **fields)  # pyright: ignore[reportArgumentType]

    def trip(self) -> Recorded:
        """Let two workers see as many failures as it takes."""
        told = [self.fail(worker) for worker in "abababab"[: self.policy.failure_threshold]]
        assert BreakerState.OPEN is told[-1].standing.state
        return told[-1]


def change(transition: Transition) -> tuple[object, ...]:
    """Return from what to what a breaker went, and its new generation."""
    return transition.from_state, transition.to_state, transition.generation
