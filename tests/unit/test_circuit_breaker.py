"""The state machine of the circuit breaker against its transition table, with time as an argument.

The table of `../shared/data` is not ours to ship: what it says stands here as scenarios, and where it is present each
of its rows must have one that ends as the row says.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from cognition.domain.breaker import BreakerKey, BreakerPolicy, BreakerState, BreakerVerdict
from cognition.domain.breaker_standing import BreakerResult, Order, Standing
from cognition.errors import ConfigurationError
from cognition.resilience import circuit_breaker

TABLES = Path(__file__).parents[3] / "shared" / "data" / "breaker-state-tables" / "tables.json"
START = datetime(2026, 11, 22, 12, tzinfo=UTC)
KEY = BreakerKey("openai-chat", "gpt-5-mini")
POLICY = BreakerPolicy(open_jitter=0)
SUCCESS, FAILURE, IGNORED = BreakerVerdict.SUCCESS, BreakerVerdict.FAILURE, BreakerVerdict.IGNORED


class Bench:
    """One breaker and the time.

    Attributes:
        standing: How it stands.
        now: The time.
        policy: Its numbers.
    """

    def __init__(self, policy: BreakerPolicy = POLICY) -> None:
        self.policy = policy
        self.now = START
        self.standing = Standing(key=KEY, as_of=START)

    @property
    def state(self) -> str:
        """Its state, as the table writes it."""
        return self.standing.state.name

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.now += timedelta(seconds=seconds)

    def admit(self) -> tuple[bool, UUID | None, float | None]:
        """Return whether a call is admitted, its permit and how many seconds to wait otherwise."""
        answer = circuit_breaker.admit(self.standing, self.policy, "a", self.now, uuid4())
        self.standing = answer.standing
        return answer.admitted, answer.permit, answer.retry_after.total_seconds() if answer.retry_after else None

    def tell(self, verdict: BreakerVerdict, **fields: Any) -> bool:
        """Tell a result, by default of a call of this generation; return whether the state changed."""
        result = BreakerResult(verdict=verdict, generation=self.standing.generation, worker="a")
        recorded = circuit_breaker.record(self.standing, self.policy, replace(result, **fields), self.now)
        self.standing = recorded.standing
        return recorded.transition is not None

    def fail(self, times: int = 1) -> int:
        """Let two workers fail in turn; return how many transitions that made."""
        return sum(self.tell(FAILURE, worker="ab"[number % 2], error="ProviderTimeout") for number in range(times))

    def order(self, state: BreakerState) -> None:
        """Let a person set a state."""
        self.standing, _ = circuit_breaker.obey(self.standing, Order(state, "alice", "trial"), self.now)

    def reach(self, state: str) -> None:
        """Bring a closed breaker into a state."""
        if state in ("OPEN", "HALF_OPEN"):
            self.fail(5)
        if state == "HALF_OPEN":
            self.wait(60)
            self.admit()
            self.tell(IGNORED, permit=self.standing.permits[0].id)
        elif BreakerState[state].is_forced:
            self.order(BreakerState[state])
        assert state == self.state


# -- the table --------------------------------------------------------------------------------------------------------


def _failure_below(bench: Bench) -> None:
    assert 0 == bench.fail(4)
    assert 4 == bench.standing.consecutive_failures


def _failure_at_threshold(bench: Bench) -> None:
    assert 1 == bench.fail(40)
    assert (2, START) == (bench.standing.generation, bench.standing.opened_at)


def _success_while_closed(bench: Bench) -> None:
    bench.fail(4)
    bench.tell(SUCCESS)
    assert (0, {}) == (bench.standing.consecutive_failures, bench.standing.failures_by_worker)


def _ignored_while_closed(bench: Bench) -> None:
    bench.fail(4)
    before = bench.standing
    bench.tell(IGNORED)
    assert before == bench.standing


def _call_before_timeout(bench: Bench) -> None:
    bench.wait(59)
    assert (False, None, 1.0) == bench.admit()


def _call_at_timeout(bench: Bench) -> None:
    generation = bench.standing.generation
    bench.wait(60)
    admitted, permit, _ = bench.admit()
    assert (True, generation + 1, permit) == (admitted, bench.standing.generation, bench.standing.permits[0].id)


def _stale_while_open(bench: Bench) -> None:
    before = bench.standing
    bench.tell(SUCCESS, generation=1)
    bench.tell(FAILURE, generation=1, retry_after=timedelta(hours=1))
    assert (before.generation, before.open_until) == (bench.standing.generation, bench.standing.open_until)
    assert 2 == bench.standing.totals.outdated


def _call_with_permits_left(bench: Bench) -> None:
    assert [True] * 3 == [bench.admit()[0] for _ in range(3)]
    assert [timedelta(seconds=75)] * 3 == [one.lease_until - bench.now for one in bench.standing.permits]


def _call_without_permit(bench: Bench) -> None:
    for _ in range(3):
        bench.admit()
    assert (False, None, None) == bench.admit()


def _enough_successes(bench: Bench) -> None:
    told = [bench.tell(SUCCESS, permit=bench.admit()[1]) for _ in range(2)]
    assert [False, True] == told
    assert (0, 0) == (bench.standing.consecutive_failures, bench.standing.consecutive_opens)


def _failed_probe(bench: Bench) -> None:
    bench.tell(SUCCESS, permit=bench.admit()[1])
    assert bench.tell(FAILURE, permit=bench.admit()[1])
    assert (120, ()) == (bench.standing.open_left.total_seconds(), bench.standing.permits)


def _stale_while_half_open(bench: Bench) -> None:
    for generation in (1, 2):
        bench.tell(SUCCESS, generation=generation)
        bench.tell(FAILURE, generation=generation)
    assert (0, 4) == (bench.standing.half_open_successes, bench.standing.totals.outdated)


def _probe_without_verdict(bench: Bench) -> None:
    permits = [bench.admit()[1] for _ in range(3)]
    bench.tell(IGNORED, permit=permits[1])
    assert (0, [1, 3]) == (bench.standing.half_open_successes, [one.slot for one in bench.standing.permits])
    assert bench.admit()[0]


def _dead_holder(bench: Bench) -> None:
    for _ in range(3):
        bench.admit()
    bench.wait(74)
    assert not bench.admit()[0]
    bench.wait(1)
    assert [True, True, True, False] == [bench.admit()[0] for _ in range(4)]


def _call_while_forced_open(bench: Bench) -> None:
    bench.wait(10_000)
    assert (False, None, None) == bench.admit()


def _call_while_disabled(bench: Bench) -> None:
    bench.fail(40)
    assert (True, None, None) == bench.admit()
    assert 0 == bench.standing.totals.failures


def _call_while_metrics_only(bench: Bench) -> None:
    reached = 0
    for number in range(40):
        result = BreakerResult(verdict=FAILURE, generation=2, worker="ab"[number % 2])
        recorded = circuit_breaker.record(bench.standing, bench.policy, result, bench.now)
        bench.standing = recorded.standing
        reached += recorded.threshold_reached
    assert (True, None, None) == bench.admit()
    assert (1, 40) == (reached, bench.standing.totals.failures)


Scenario = Callable[[Bench], None]
SCENARIOS: Mapping[tuple[str, str], tuple[str, Scenario]] = {
    ("CLOSED", "failure (counted), consecutive < threshold"): ("CLOSED", _failure_below),
    ("CLOSED", "failure reaching threshold"): ("OPEN", _failure_at_threshold),
    ("CLOSED", "success"): ("CLOSED", _success_while_closed),
    ("CLOSED", "ignored error (4xx, budget denied, bulkhead full, cache hit)"): ("CLOSED", _ignored_while_closed),
    ("OPEN", "call before timeout"): ("OPEN", _call_before_timeout),
    ("OPEN", "call at/after timeout"): ("HALF_OPEN", _call_at_timeout),
    ("OPEN", "result of a call admitted in an earlier generation"): ("OPEN", _stale_while_open),
    ("HALF_OPEN", "call, permits left"): ("HALF_OPEN", _call_with_permits_left),
    ("HALF_OPEN", "call, no permit"): ("HALF_OPEN", _call_without_permit),
    ("HALF_OPEN", "success of current generation, successes reach success_threshold"): ("CLOSED", _enough_successes),
    ("HALF_OPEN", "failure of current generation"): ("OPEN", _failed_probe),
    ("HALF_OPEN", "result from an older generation"): ("HALF_OPEN", _stale_while_half_open),
    ("HALF_OPEN", "permit holder cancelled / ignored error"): ("HALF_OPEN", _probe_without_verdict),
    ("HALF_OPEN", "permit lease expires (holder died)"): ("HALF_OPEN", _dead_holder),
    ("FORCED_OPEN", "any call"): ("FORCED_OPEN", _call_while_forced_open),
    ("DISABLED", "any call"): ("DISABLED", _call_while_disabled),
    ("METRICS_ONLY", "any call"): ("METRICS_ONLY", _call_while_metrics_only),
}


@pytest.mark.parametrize(("state", "event"), SCENARIOS)
def test_every_row_of_the_transition_table(state: str, event: str) -> None:
    """In that state, after that event, comes the next one, and the scenario's own assertions hold."""
    expected, scenario = SCENARIOS[state, event]
    bench = Bench()
    bench.reach(state)
    scenario(bench)
    assert expected == bench.state


# Results of probes in order, how many successes close, and the state at the end (failsafe-go, halfopenstate_test.go).
PROBES: Sequence[tuple[str, int, str]] = [
    ("F", 1, "OPEN"),
    ("S", 1, "CLOSED"),
    ("FFF", 1, "OPEN"),
    ("FSF", 1, "OPEN"),
    ("SSF", 3, "OPEN"),
    ("SFSF", 3, "OPEN"),
    ("FSF", 2, "OPEN"),
    ("SFFF", 2, "OPEN"),
    ("SF", 3, "OPEN"),
    ("F", 3, "OPEN"),
]


@pytest.mark.parametrize(("results", "enough", "expected"), PROBES)
def test_probes_in_a_row(results: str, enough: int, expected: str) -> None:
    """The first failure opens; results after a change of state no longer count."""
    assert expected == _after_probes(results, enough)


def _after_probes(results: Sequence[str], enough: int) -> str:
    bench = Bench(replace(POLICY, success_threshold=enough, half_open_permits=len(results)))
    bench.reach("HALF_OPEN")
    generation = bench.standing.generation
    permits = [bench.admit()[1] for _ in results]
    for letter, permit in zip(results, permits, strict=True):
        bench.tell(SUCCESS if letter == "S" else FAILURE, permit=permit, generation=generation)
    return bench.state


@pytest.fixture(scope="module")
def tables() -> dict[str, Any]:
    """Return the published tables, where they are."""
    if not TABLES.exists():
        pytest.skip(f"{TABLES} is not here; it may not be part of the repository")
    return json.loads(TABLES.read_text(encoding="utf-8"))


def test_every_published_row_has_a_scenario(tables: dict[str, Any]) -> None:
    """The same rows with the same ends, none left out, and the same numbers as defaults."""
    published = {(row["state"], row["event"]): row["next"] for row in tables["transition_table"]}
    assert published == {row: expected for row, (expected, _) in SCENARIOS.items()}
    assert {"failure_threshold": 5, "success_threshold": 2, "timeout_s": 60, "half_open_max": 3} == tables[
        "our_spec_config"
    ]
    policy = BreakerPolicy()
    assert (5, 2, timedelta(seconds=60), 3) == (
        policy.failure_threshold,
        policy.success_threshold,
        policy.open_for,
        policy.half_open_permits,
    )


def test_published_sequences_of_probes(tables: dict[str, Any]) -> None:
    """Ours ends each sequence of failsafe-go in the same state; a share of successes needs its number of successes."""
    rows = tables["failsafe_go_half_open"]
    enough = [row["cfg"].get("success_threshold", row["cfg"].get("success_ratio", [1])[0]) for row in rows]
    ends = [_after_probes(row["seq"], number) for row, number in zip(rows, enough, strict=True)]
    assert [row["end"] for row in rows] == ends


# -- numbers ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("opens", "seconds"), [(1, 60), (2, 120), (3, 240), (4, 480), (5, 600), (1000, 600)])
def test_the_open_time_doubles_up_to_its_maximum(opens: int, seconds: int) -> None:
    """However long a provider is down, it is probed every ten minutes."""
    assert timedelta(seconds=seconds) == POLICY.open_time(opens, 0.0)


def test_jitter_only_lengthens() -> None:
    """A shorter time than configured would be a promise broken; the maximum holds all the same."""
    policy = BreakerPolicy(open_jitter=0.5)
    assert [60, 75, 90] == [policy.open_time(1, draw).total_seconds() for draw in (0.0, 0.5, 1.0)]
    assert timedelta(minutes=10) == policy.open_time(9, 1.0)


@pytest.mark.parametrize(("asked", "seconds"), [(None, 60), (30, 60), (61, 61), (3600, 3600)])
def test_a_longer_retry_after_wins(asked: float | None, seconds: int) -> None:
    """Even over the maximum: the provider has said when it will be back."""
    waiting = None if asked is None else timedelta(seconds=asked)
    assert timedelta(seconds=seconds) == POLICY.open_time(1, 0.0, waiting)


@pytest.mark.parametrize(
    "wrong",
    [
        {"failure_threshold": 0},
        {"success_threshold": 0},
        {"half_open_permits": 0},
        {"lone_worker_factor": 0},
        {"minimum_calls": 0},
        {"open_for": timedelta(0)},
        {"open_for": timedelta(minutes=11)},
        {"permit_lease": timedelta(0)},
        {"window": timedelta(seconds=-1)},
        {"open_jitter": 1.0},
        {"failure_rate": 0.0},
        {"slow_call_rate": 1.1},
    ],
    ids=str,
)
def test_impossible_numbers_are_refused(wrong: dict[str, Any]) -> None:
    """When the policy is written, not when the provider is down."""
    with pytest.raises(ConfigurationError):
        BreakerPolicy(**wrong)


@pytest.mark.parametrize("order", [("", "why"), ("who", " ")])
def test_an_order_names_who_and_why(order: tuple[str, str]) -> None:
    """The others will wonder."""
    with pytest.raises(ConfigurationError, match="named"):
        circuit_breaker.check_order(Order(BreakerState.DISABLED, *order))
