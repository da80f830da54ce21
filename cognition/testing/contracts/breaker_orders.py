"""What a store of shared circuit breakers must do besides: cool-downs, orders, and what it shows."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from cognition.domain.breaker import FORCED_STATES, BreakerState, BreakerVerdict
from cognition.domain.breaker_standing import Order, Tally
from cognition.errors import ConfigurationError
from cognition.resilience.breaker_store import BreakerStore
from cognition.testing.contracts.breaker_teller import KEY, OPEN, OTHER, POLICY, SHORT, BreakerTeller, Wait, change


class BreakerOrdersContract:
    """Fixtures to give: those of `BreakerStoreContract`."""

    @pytest.fixture
    def teller(self, breakers: BreakerStore) -> BreakerTeller:
        """Return workers that tell the store how their calls ended."""
        return BreakerTeller(breakers)

    # -- cool-downs ---------------------------------------------------------------------------------------------------

    def test_a_cool_down_refuses_and_leaves_the_state(self, teller: BreakerTeller, wait: Wait) -> None:
        """Until its end nobody calls, and then everybody does."""
        standing = teller.store.cool_down(KEY, 5 * OPEN, "rate limited")
        assert (BreakerState.CLOSED, 5 * OPEN, "rate limited") == (
            standing.state,
            standing.cooldown_left,
            standing.cooldown_reason,
        )
        refused = teller.admit()
        assert (False, True) == (refused.admitted, refused.retry_after is not None)
        wait(6 * SHORT)
        assert teller.admit().admitted

    def test_a_shorter_cool_down_does_not_shorten(self, teller: BreakerTeller) -> None:
        """The longest one counts."""
        teller.store.cool_down(KEY, timedelta(hours=1), "quota")
        standing = teller.store.cool_down(KEY, timedelta(seconds=1), "rate limited")
        assert "quota" == standing.cooldown_reason
        assert timedelta(minutes=59) < standing.cooldown_left

    def test_nobody_probes_during_a_cool_down(self, teller: BreakerTeller, wait: Wait) -> None:
        """The state waits, too: no permit is taken."""
        teller.trip()
        wait(2 * SHORT)
        teller.store.cool_down(KEY, timedelta(hours=1), "quota")
        assert not teller.admit().admitted
        assert BreakerState.OPEN is teller.standing().state

    # -- orders -------------------------------------------------------------------------------------------------------

    @pytest.mark.parametrize("state", FORCED_STATES)
    def test_a_person_forces_a_state(self, teller: BreakerTeller, state: BreakerState) -> None:
        """It says who and why, ends the generation, and admits nobody or everybody, even during a cool-down."""
        teller.store.cool_down(KEY, timedelta(hours=1), "quota")
        transition = teller.store.obey(KEY, Order(state, "alice", "maintenance"))
        assert (BreakerState.CLOSED, state, 2) == change(transition)
        assert ("forced", "alice", "maintenance") == (transition.cause, transition.actor, transition.reason)
        forced = teller.standing().forced
        assert forced is not None
        assert ("alice", "maintenance", transition.at) == (forced.actor, forced.reason, forced.at)
        assert (state is not BreakerState.FORCED_OPEN) == teller.admit().admitted

    def test_disabled_counts_nothing(self, teller: BreakerTeller) -> None:
        """However often calls fail."""
        teller.store.obey(KEY, Order(BreakerState.DISABLED, "alice", "trial"))
        told = [teller.fail(worker) for worker in "abababababab"]
        assert (BreakerState.DISABLED, 0) == (told[-1].standing.state, told[-1].standing.totals.failures)

    def test_metrics_only_tells_the_threshold_once(self, teller: BreakerTeller) -> None:
        """It counts like a closed one and never opens; a new order begins anew."""
        for _ in range(2):
            teller.store.obey(KEY, Order(BreakerState.METRICS_ONLY, "alice", "trial"))
            told = [teller.fail(worker) for worker in "ababababa"]
            assert [4] == [number for number, one in enumerate(told) if one.threshold_reached]
            assert BreakerState.METRICS_ONLY is told[-1].standing.state

    def test_forced_open_stays_so(self, teller: BreakerTeller, wait: Wait) -> None:
        """No result and no time ends it."""
        teller.store.obey(KEY, Order(BreakerState.FORCED_OPEN, "alice", "maintenance"))
        wait(2 * SHORT)
        refused = teller.admit()
        assert (False, None) == (refused.admitted, refused.retry_after)
        assert BreakerState.FORCED_OPEN is teller.succeed().standing.state
        assert [BreakerState.FORCED_OPEN] * 12 == [teller.fail(worker).standing.state for worker in "ab" * 6]

    def test_a_reset_begins_anew(self, teller: BreakerTeller) -> None:
        """Closed, without failures, without cool-down, and results from before no longer count."""
        opened = teller.trip().standing
        teller.store.cool_down(KEY, timedelta(hours=1), "quota")
        transition = teller.store.obey(KEY, Order(BreakerState.CLOSED, "alice", "all is well"))
        assert ("reset", BreakerState.CLOSED) == (transition.cause, transition.to_state)
        assert teller.admit().admitted
        teller.fail(generation=opened.generation)
        assert (0, None, None) == (
            teller.standing().consecutive_failures,
            teller.standing().open_until,
            teller.standing().cooldown_until,
        )

    @pytest.mark.parametrize("state", [BreakerState.OPEN, BreakerState.HALF_OPEN])
    def test_nobody_orders_what_only_calls_can_tell(self, teller: BreakerTeller, state: BreakerState) -> None:
        """The sentence names the states that can be ordered."""
        with pytest.raises(ConfigurationError, match="forced_open"):
            teller.store.obey(KEY, Order(state, "alice", "no reason"))

    # -- reading ------------------------------------------------------------------------------------------------------

    def test_breakers_are_apart_and_listed(self, teller: BreakerTeller) -> None:
        """Another credential is another breaker; looking keeps the order it was asked in."""
        teller.trip()
        teller.store.record(OTHER, POLICY, replace(teller.result(BreakerVerdict.FAILURE, "a", 1)))
        found = teller.store.look([OTHER, KEY])
        assert [(OTHER, BreakerState.CLOSED), (KEY, BreakerState.OPEN)] == [(one.key, one.state) for one in found]
        assert sorted([KEY, OTHER]) == [one.key for one in teller.store.standings()]
        assert [] == teller.store.history(OTHER, 10)

    def test_history_is_newest_first(self, teller: BreakerTeller) -> None:
        """Of one breaker or of all, no more than was asked for."""
        for state in FORCED_STATES:
            teller.store.obey(KEY, Order(state, "alice", "trial"))
        assert [4, 3] == [one.generation for one in teller.store.history(KEY, 2)]
        assert [4, 3, 2] == [one.generation for one in teller.store.history(None, 10)]

    def test_rejections_are_counted_when_told(self, teller: BreakerTeller) -> None:
        """Workers refuse from their local copies, and tell how often later."""
        teller.tell(teller.result(BreakerVerdict.IGNORED, "a", None, before=Tally(rejections=7)))
        assert 7 == teller.standing().totals.rejections

    def test_it_answers(self, breakers: BreakerStore) -> None:
        """A store that works returns from ping and has a name for messages."""
        breakers.ping()
        assert breakers.name
