"""What a store of shared circuit breakers must do with calls and their results."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import pytest

from cognition.domain.breaker import BreakerState, BreakerVerdict
from cognition.domain.breaker_standing import Standing, Tally
from cognition.resilience.breaker_store import BreakerStore
from cognition.testing.contracts.breaker_teller import KEY, OPEN, POLICY, RATES, SHORT, BreakerTeller, Wait, change


class BreakerStoreContract:
    """Fixtures to give.

    `breakers` is a store without breakers. `wait` is a function that lets so many seconds pass for it: it advances the
    store's clock or sleeps.
    """

    @pytest.fixture
    def teller(self, breakers: BreakerStore) -> BreakerTeller:
        """Return workers that tell the store how their calls ended."""
        return BreakerTeller(breakers)

    # -- closed -------------------------------------------------------------------------------------------------------

    def test_an_unknown_breaker_is_closed(self, teller: BreakerTeller) -> None:
        """It admits, needs no permit, and is not listed."""
        admission = teller.admit()
        assert (True, None, None) == (admission.admitted, admission.permit, admission.transition)
        assert (BreakerState.CLOSED, 1, ()) == _shape(teller.standing())
        assert [] == teller.store.standings()

    def test_failures_below_the_threshold_change_nothing(self, teller: BreakerTeller) -> None:
        """Four of five failures, from two workers, still admit."""
        told = [teller.fail(worker) for worker in "abab"]
        assert [None] * 4 == [one.transition for one in told]
        assert {"a": 2, "b": 2} == dict(teller.standing().failures_by_worker)
        assert teller.admit().admitted

    def test_the_threshold_opens_once(self, teller: BreakerTeller) -> None:
        """The fifth failure in a row opens it, and says by whose call and why."""
        transition = teller.trip().transition
        assert transition is not None
        assert (BreakerState.CLOSED, BreakerState.OPEN, 2) == change(transition)
        assert ("threshold", "a", "ProviderTimeout", 5) == (
            transition.cause,
            transition.worker,
            transition.reason,
            transition.consecutive_failures,
        )
        assert SHORT == transition.open_seconds
        assert [transition] == teller.store.history(KEY, 10)

    def test_a_success_ends_a_run_of_failures(self, teller: BreakerTeller) -> None:
        """Four failures, a success and four failures are not five in a row."""
        for worker in "abab":
            teller.fail(worker)
        assert 0 == teller.succeed().standing.consecutive_failures
        assert [None] * 4 == [teller.fail(worker).transition for worker in "abab"]

    def test_one_worker_alone_needs_twice_the_failures(self, teller: BreakerTeller) -> None:
        """Its own network may be what is broken; nine failures are its own affair, ten are everybody's."""
        assert [None] * 9 == [teller.fail("a").transition for _ in range(9)]
        last = teller.fail("a")
        assert BreakerState.OPEN is last.standing.state

    def test_a_second_worker_confirms(self, teller: BreakerTeller) -> None:
        """One failure of another worker makes the first one's count."""
        for _ in range(7):
            teller.fail("a")
        assert BreakerState.OPEN is teller.fail("b").standing.state

    def test_an_ignored_result_counts_nowhere(self, teller: BreakerTeller) -> None:
        """It is neither a failure nor a success."""
        for worker in "abab":
            teller.fail(worker)
        ignored = teller.tell(teller.result(BreakerVerdict.IGNORED, "a", None))
        assert 4 == ignored.standing.consecutive_failures
        assert teller.fail("a").transition is not None

    def test_a_success_that_was_not_told_ends_a_run_it_came_after(self, teller: BreakerTeller, wait: Wait) -> None:
        """Successes of healthy times are told with the next failure, with the age of the last one."""
        for worker in "abab":
            teller.fail(worker)
        wait(SHORT)
        told = teller.fail("b", before=Tally(successes=3, since_success=timedelta(seconds=SHORT / 2)))
        assert (1, 3) == (told.standing.consecutive_failures, told.standing.totals.successes)

    def test_a_success_from_before_the_run_does_not_end_it(self, teller: BreakerTeller) -> None:
        """Otherwise each further worker would undo the evidence of the ones before."""
        for worker in "abab":
            teller.fail(worker)
        told = teller.fail("b", before=Tally(successes=3, since_success=timedelta(seconds=60)))
        assert BreakerState.OPEN is told.standing.state

    # -- shares -------------------------------------------------------------------------------------------------------

    def test_a_share_of_failures_opens(self, breakers: BreakerStore) -> None:
        """Half of ten calls failing is enough, but not of fewer calls, and not for one worker alone."""
        teller = BreakerTeller(breakers, RATES)
        for worker in "abab":
            teller.fail(worker)
            teller.succeed(worker)
        teller.succeed("a")
        transition = teller.fail("b").transition
        assert transition is not None
        assert "failure rate" == transition.cause

    def test_a_share_seen_by_one_worker_needs_twice_the_calls(self, breakers: BreakerStore) -> None:
        """With a minimum of ten calls, one worker's share counts from twenty on."""
        teller = BreakerTeller(breakers, RATES)
        told = [teller.fail("a") for _ in range(19)]
        assert [None] * 19 == [one.transition for one in told]
        assert teller.fail("a").transition is not None

    def test_calls_that_were_not_told_count_in_the_share(self, breakers: BreakerStore) -> None:
        """Ten failures after thirty successes are a quarter, not all."""
        teller = BreakerTeller(breakers, RATES)
        teller.fail("a", before=Tally(successes=30))
        told = [teller.fail(worker) for worker in "babababab"]
        assert [None] * 9 == [one.transition for one in told]
        assert (40, 10) == (told[-1].standing.window.calls, told[-1].standing.window.failures)

    def test_slow_calls_open(self, breakers: BreakerStore) -> None:
        """A provider that answers, but takes too long for almost everybody, is down as well."""
        teller = BreakerTeller(breakers, RATES)
        told = [teller.succeed(worker, slow=True) for worker in "ababababab"]
        assert [None] * 9 == [one.transition for one in told[:-1]]
        assert told[-1].transition is not None
        assert "slow calls" == told[-1].transition.cause

    def test_a_window_ends(self, breakers: BreakerStore, wait: Wait) -> None:
        """Calls of an earlier window count no longer."""
        teller = BreakerTeller(breakers, replace(RATES, window=OPEN))
        for worker in "ababababa":
            teller.fail(worker)
        wait(2 * SHORT)
        assert 1 == teller.fail("b").standing.window.calls

    # -- open ---------------------------------------------------------------------------------------------------------

    def test_open_refuses_and_says_for_how_long(self, breakers: BreakerStore) -> None:
        """The refusal carries what is left of the open time."""
        teller = BreakerTeller(breakers, replace(POLICY, open_for=timedelta(seconds=50)))
        teller.trip()
        refused = teller.admit()
        assert not refused.admitted
        assert refused.retry_after is not None
        assert timedelta(0) < refused.retry_after <= timedelta(seconds=50)

    def test_a_stale_result_changes_nothing(self, teller: BreakerTeller, wait: Wait) -> None:
        """Whatever was admitted before it opened neither closes it, nor prolongs it, nor fails its probes."""
        until = teller.trip().standing.open_until
        assert (BreakerState.OPEN, until) == _openness(teller.succeed(generation=1).standing)
        told = teller.fail(generation=1, retry_after=timedelta(hours=1))
        assert (BreakerState.OPEN, until) == _openness(told.standing)
        wait(2 * SHORT)
        teller.admit()
        assert BreakerState.HALF_OPEN is teller.fail(generation=1).standing.state
        assert BreakerState.HALF_OPEN is teller.succeed(generation=2).standing.state
        assert 4 == teller.standing().totals.outdated

    def test_a_longer_retry_after_wins(self, teller: BreakerTeller) -> None:
        """The provider knows better than our numbers, even than the longest open time."""
        for worker in "abab":
            teller.fail(worker)
        told = teller.fail("a", retry_after=timedelta(hours=1))
        assert timedelta(hours=1) == told.standing.open_left

    def test_the_open_time_is_lengthened_at_random(self, breakers: BreakerStore) -> None:
        """Never shortened, and never beyond the maximum."""
        teller = BreakerTeller(breakers, replace(POLICY, open_for=timedelta(seconds=50), open_jitter=0.5))
        assert 50 <= teller.trip().standing.open_left.total_seconds() <= 60

    # -- half-open ----------------------------------------------------------------------------------------------------

    def test_after_the_open_time_three_may_probe(self, teller: BreakerTeller, wait: Wait) -> None:
        """The first one changes the state; the fourth is refused."""
        teller.trip()
        wait(2 * SHORT)
        first, second, third, fourth = (teller.admit(worker) for worker in "abcd")
        assert first.transition is not None
        assert (BreakerState.OPEN, BreakerState.HALF_OPEN, 3) == change(first.transition)
        assert [True, True, True, False] == [one.admitted for one in (first, second, third, fourth)]
        assert [None, None, None] == [one.transition for one in (second, third, fourth)]
        assert 3 == len({one.permit for one in (first, second, third)} - {None})
        assert [(1, "a"), (2, "b"), (3, "c")] == [(one.slot, one.holder) for one in fourth.standing.permits]

    def test_of_many_threads_three_may_probe(self, teller: BreakerTeller, wait: Wait) -> None:
        """However many ask at the same time."""
        teller.trip()
        wait(2 * SHORT)
        with ThreadPoolExecutor(max_workers=8) as threads:
            admissions = list(threads.map(teller.admit, map(str, range(24))))
        assert 3 == sum(one.admitted for one in admissions)

    def test_enough_good_probes_close(self, teller: BreakerTeller, wait: Wait) -> None:
        """Two by default; what was counted before is forgotten."""
        teller.trip()
        wait(2 * SHORT)
        permits = [teller.admit().permit for _ in range(2)]
        assert None is teller.succeed(permit=permits[0]).transition
        transition = teller.succeed(permit=permits[1]).transition
        assert transition is not None
        assert (BreakerState.HALF_OPEN, BreakerState.CLOSED, 4) == change(transition)
        assert (0, 0, ()) == (
            teller.standing().consecutive_failures,
            teller.standing().consecutive_opens,
            teller.standing().permits,
        )

    def test_a_bad_probe_opens_for_twice_as_long(self, teller: BreakerTeller, wait: Wait) -> None:
        """Each time, until the maximum; closing begins anew."""
        teller.trip()
        wait(2 * SHORT)
        told = teller.fail(permit=teller.admit().permit)
        assert told.transition is not None
        assert (BreakerState.HALF_OPEN, BreakerState.OPEN, 4) == change(told.transition)
        assert 2 * OPEN == told.standing.open_left
        wait(3 * SHORT)
        assert 4 * OPEN == teller.fail(permit=teller.admit().permit).standing.open_left

    def test_a_probe_without_verdict_gives_its_permit_back(self, teller: BreakerTeller, wait: Wait) -> None:
        """A cancelled or ignored call says nothing about the provider, and another one may probe."""
        teller.trip()
        wait(2 * SHORT)
        permits = [teller.admit().permit for _ in range(3)]
        told = teller.tell(teller.result(BreakerVerdict.IGNORED, "a", None, permit=permits[1]))
        assert (BreakerState.HALF_OPEN, 0) == (told.standing.state, told.standing.half_open_successes)
        again = teller.admit("d")
        assert [(1, "a"), (2, "d"), (3, "a")] == sorted((one.slot, one.holder) for one in again.standing.permits)

    def test_a_permit_is_a_lease(self, breakers: BreakerStore, wait: Wait) -> None:
        """A holder that died blocks nobody; should it be alive after all, its word comes too late."""
        teller = BreakerTeller(breakers, replace(POLICY, permit_lease=5 * OPEN))
        teller.trip()
        wait(2 * SHORT)
        dead = [teller.admit("dead").permit for _ in range(3)]
        assert not teller.admit().admitted
        wait(6 * SHORT)
        assert teller.admit("living").admitted
        assert BreakerState.HALF_OPEN is teller.fail("dead", permit=dead[0]).standing.state
        assert 1 == teller.standing().totals.outdated

    def test_a_verdict_counts_once(self, teller: BreakerTeller, wait: Wait) -> None:
        """A probe told twice is one probe, and one without permit is none."""
        teller.trip()
        wait(2 * SHORT)
        permit = teller.admit().permit
        for given in (permit, permit, None, uuid4()):
            teller.succeed(permit=given)
        assert (BreakerState.HALF_OPEN, 1) == (teller.standing().state, teller.standing().half_open_successes)

    # -- history ------------------------------------------------------------------------------------------------------

    def test_old_transitions_are_forgotten_oldest_first(self, teller: BreakerTeller, wait: Wait) -> None:
        """As many as asked for; what is younger stays, and so does the breaker's state."""
        teller.trip()
        wait(2 * SHORT)
        teller.fail(permit=teller.admit().permit)
        assert 0 == teller.store.forget_history(timedelta(hours=1), 10)
        assert 1 == teller.store.forget_history(timedelta(0), 1)
        left = [BreakerState.OPEN, BreakerState.HALF_OPEN]
        assert left == [one.to_state for one in teller.store.history(None, 10)]
        assert 2 == teller.store.forget_history(timedelta(0), 10)
        assert ([], BreakerState.OPEN) == (teller.store.history(None, 10), teller.standing().state)


def _shape(standing: Standing) -> tuple[object, ...]:
    return standing.state, standing.generation, standing.permits


def _openness(standing: Standing) -> tuple[object, ...]:
    return standing.state, standing.open_until
