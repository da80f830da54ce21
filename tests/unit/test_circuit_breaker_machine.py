"""The circuit breaker under any order of events: calls, results, deaths, time, cool-downs and orders."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,  # pyright: ignore[reportUnknownVariableType]  untyped in part
)

from cognition.domain.breaker import FORCED_STATES, BreakerKey, BreakerPolicy, BreakerState, BreakerVerdict
from cognition.domain.breaker_standing import BreakerResult, Order, Standing, Transition
from cognition.resilience import circuit_breaker

POLICY = BreakerPolicy(failure_threshold=3, open_jitter=0.5)
MOST = 60
CHOICES = st.integers(0, MOST)
WORKERS = st.sampled_from(["a", "b", "c"])
STEPS = 10_000
CLOSED, OPEN, HALF_OPEN = BreakerState.CLOSED, BreakerState.OPEN, BreakerState.HALF_OPEN

# What calls and time may do; people may do more.
ALLOWED = {(CLOSED, OPEN), (OPEN, HALF_OPEN), (HALF_OPEN, OPEN), (HALF_OPEN, CLOSED)}
RARE = (*(f"{before} -> {after}" for before, after in sorted(ALLOWED)), "deaths")
_COUNT = Counter[str]()


@dataclass(frozen=True)
class Running:
    """A call that was admitted."""

    worker: str
    generation: int
    permit: UUID | None
    lease_until: datetime


def _has_calls(machine: Breaker) -> bool:
    return bool(machine.running)


class Breaker(RuleBasedStateMachine):
    """One breaker, three workers, and a model that knows only what was admitted and told."""

    def __init__(self) -> None:
        super().__init__()
        self.now = datetime(2026, 11, 22, tzinfo=UTC)
        self.standing = Standing(key=BreakerKey("openai-chat", "gpt-5-mini"), as_of=self.now)
        self.run: list[str] = []  # workers of the failures since the last success, while closed
        self.good_probes = 0
        self.running: list[Running] = []

    @rule(seconds=st.sampled_from([0.001, 1, 59.999, 60, 75, 91, 700]))
    def time_passes(self, seconds: float) -> None:
        """Open times, leases and cool-downs end."""
        _COUNT["steps"] += 1
        self.now += timedelta(seconds=seconds)

    @rule(worker=WORKERS)
    def call(self, worker: str) -> None:
        """A call begins."""
        self.running.append(self.call_of(worker))

    @precondition(_has_calls)
    @rule(which=CHOICES, verdict=st.sampled_from(BreakerVerdict), draw=CHOICES)
    def result(self, which: int, verdict: BreakerVerdict, draw: int) -> None:
        """A call ends."""
        self.result_of(self.running.pop(which % len(self.running)), verdict, draw / MOST)

    def call_of(self, worker: str) -> Running:
        """Ask for leave; the model knows when it must be given."""
        _COUNT["steps"] += 1
        before = self.standing
        living = [one for one in before.permits if one.lease_until > self.now]
        cooling = before.cooldown_until is not None and before.cooldown_until > self.now
        waiting = before.state is OPEN and before.open_until is not None and before.open_until > self.now
        answer = circuit_breaker.admit(before, POLICY, worker, self.now, uuid4())
        self.standing = answer.standing
        self._check_transition(before, answer.transition)
        if before.state.admits_all or (before.state is CLOSED and not cooling):
            expected = True
        elif before.state is BreakerState.FORCED_OPEN or cooling or waiting:
            expected = False
        else:
            expected = len(living) < POLICY.half_open_permits
        assert expected == answer.admitted
        assert (answer.permit is not None) == (answer.admitted and self.standing.state is HALF_OPEN)
        assert (answer.retry_after is not None) == (
            (cooling or waiting) and not answer.admitted and not _forced(before)
        )
        generation = self.standing.generation if answer.admitted else -1  # one that was never admitted counts nowhere
        return Running(worker, generation, answer.permit, self.now + POLICY.permit_lease)

    def result_of(self, call: Running, verdict: BreakerVerdict, draw: float) -> None:
        """Tell how a call ended; only one that belongs to the present state changes anything."""
        _COUNT["steps"] += 1
        _COUNT[verdict.value] += 1
        before = self.standing
        told = BreakerResult(
            verdict=verdict, generation=call.generation, worker=call.worker, permit=call.permit, error="ProviderTimeout"
        )
        recorded = circuit_breaker.record(before, POLICY, told, self.now, draw)
        self.standing = recorded.standing
        self._check_transition(before, recorded.transition)
        expected = self._expected(before, call, verdict)
        assert expected == self.standing.state
        if self.standing.state is OPEN and before.state is not OPEN:
            plain = min(60 * 2 ** (self.standing.consecutive_opens - 1), 600)
            assert plain <= self.standing.open_left.total_seconds() <= min(plain * 1.5, 600) + 1e-6

    @rule(workers=st.lists(WORKERS, min_size=1, max_size=6), verdict=st.sampled_from(BreakerVerdict))
    def calls_in_a_row(self, workers: list[str], verdict: BreakerVerdict) -> None:
        """Calls that end before the next one begins, all alike: an outage, or its end."""
        for worker in workers:
            self.result_of(self.call_of(worker), verdict, 0.0)

    @precondition(_has_calls)
    @rule(which=CHOICES)
    def death(self, which: int) -> None:
        """A worker dies without a word."""
        _COUNT["steps"] += 1
        self.mourn(self.running.pop(which % len(self.running)))

    @rule(workers=st.lists(WORKERS, min_size=1, max_size=6))
    def deaths_in_a_row(self, workers: list[str]) -> None:
        """Workers that ask for leave once an open time has ended, and die: what they hold is a lease, not a place."""
        self.time_passes(700)
        for worker in workers:
            self.mourn(self.call_of(worker))

    def mourn(self, call: Running) -> None:
        """Count those that held something."""
        _COUNT["deaths"] += call.permit is not None

    @rule(seconds=st.sampled_from([1, 30, 300]))
    def cool_down(self, seconds: float) -> None:
        """A provider asks for a pause; nothing else changes."""
        _COUNT["steps"] += 1
        before = circuit_breaker.at(self.standing, self.now)
        self.standing = circuit_breaker.cool_down(self.standing, timedelta(seconds=seconds), "rate limited", self.now)
        same = {"cooldown_until": before.cooldown_until, "cooldown_reason": before.cooldown_reason}
        assert before == replace(self.standing, **same)
        assert self.standing.cooldown_left >= max(before.cooldown_left, timedelta(seconds=seconds))

    @rule(state=st.sampled_from([*FORCED_STATES, CLOSED, CLOSED]), busy=st.integers(0, 5))
    def order(self, state: BreakerState, busy: int) -> None:
        """A person forces a state, or resets; not so often that nothing else happens."""
        _COUNT["steps"] += 1
        if busy and not self.standing.state.is_forced:
            return
        before = self.standing
        self.standing, transition = circuit_breaker.obey(before, Order(state, "alice", "trial"), self.now)
        assert (before.state, state) == (transition.from_state, transition.to_state)
        assert before.generation + 1 == self.standing.generation
        self.run, self.good_probes = [], 0

    @invariant()
    def permits_belong_to_half_open(self) -> None:
        """Never more than the maximum, each in a slot of its own, and none in another state."""
        slots = [one.slot for one in self.standing.permits]
        assert len(set(slots)) == len(slots) <= POLICY.half_open_permits
        assert not slots or self.standing.state is HALF_OPEN

    @invariant()
    def times_and_names_fit_the_state(self) -> None:
        """What only one state has, no other one has."""
        assert (self.standing.open_until is not None) == (self.standing.state is OPEN)
        assert (self.standing.forced is not None) == self.standing.state.is_forced
        assert self.standing.state in (OPEN, HALF_OPEN) or self.standing.consecutive_opens == 0

    def teardown(self) -> None:
        """Whatever happened: when the provider is well again, so is the breaker, unless a person holds it."""
        self.now += timedelta(hours=1)
        if self.standing.state in (OPEN, HALF_OPEN):
            needed = POLICY.success_threshold - self.standing.half_open_successes
            for _ in range(needed):
                answer = circuit_breaker.admit(self.standing, POLICY, "a", self.now, uuid4())
                assert answer.admitted
                told = BreakerResult(
                    verdict=BreakerVerdict.SUCCESS,
                    generation=answer.standing.generation,
                    worker="a",
                    permit=answer.permit,
                )
                self.standing = circuit_breaker.record(answer.standing, POLICY, told, self.now).standing
            assert self.standing.state is CLOSED

    def _expected(self, before: Standing, call: Running, verdict: BreakerVerdict) -> BreakerState:
        """Return the state that must follow a result, by the model."""
        counts = call.generation == before.generation and verdict is not BreakerVerdict.IGNORED
        if not counts or (before.state is HALF_OPEN and call.lease_until <= self.now):
            return before.state
        if before.state is HALF_OPEN:
            self.good_probes += verdict is BreakerVerdict.SUCCESS
            if verdict is BreakerVerdict.FAILURE:
                self.good_probes = 0
                return OPEN
            if self.good_probes < POLICY.success_threshold:
                return HALF_OPEN
            self.good_probes, self.run = 0, []
            return CLOSED
        if before.state is CLOSED:
            self.run = [*self.run, call.worker] if verdict is BreakerVerdict.FAILURE else []
            enough = POLICY.failure_threshold * (1 if len(set(self.run)) > 1 else POLICY.lone_worker_factor)
            if len(self.run) >= enough:
                self.run = []
                return OPEN
        return before.state

    def _check_transition(self, before: Standing, transition: Transition | None) -> None:
        """A change of state is one transition that says so, and one generation more."""
        moved = before.state is not self.standing.state
        assert moved == (transition is not None)
        assert before.generation + moved == self.standing.generation
        if transition is not None:
            _COUNT[f"{transition.from_state} -> {transition.to_state}"] += 1
            assert (before.state, self.standing.state) == (transition.from_state, transition.to_state)
            assert (transition.from_state, transition.to_state) in ALLOWED
            assert self.standing.generation == transition.generation


def _forced(standing: Standing) -> bool:
    return standing.state.is_forced


@pytest.mark.slow
def test_any_order_of_events() -> None:
    """Ten thousand steps and more, in which every transition occurred and holders of permits died."""
    _COUNT.clear()
    chosen = settings(max_examples=120, stateful_step_count=MOST, deadline=None, phases=[Phase.generate, Phase.shrink])
    for _ in range(10):
        run_state_machine_as_test(Breaker, settings=chosen)
        if STEPS <= _COUNT["steps"] and all(_COUNT[name] for name in RARE):
            break
    assert STEPS <= _COUNT["steps"]
    assert [] == [name for name in RARE if not _COUNT[name]]
