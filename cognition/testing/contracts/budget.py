"""What a store of budgets must do with money that is set aside, booked and given back."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from uuid import uuid4

import pytest

from cognition.domain.reservation import CallAttempt
from cognition.resilience.budget_store import BudgetStore
from cognition.testing.contracts.budget_spender import (
    ALICE,
    DOLLAR,
    LEASE,
    SHORT,
    Spender,
    Wait,
    amounts,
    outcomes,
)


class BudgetStoreContract:
    """Fixtures to give.

    `budgets` is a store without budgets. `wait` is a function that lets so many seconds pass for it: it advances the
    store's clock or sleeps.
    """

    @pytest.fixture
    def spender(self, budgets: BudgetStore) -> Spender:
        """Return somebody who spends money."""
        return Spender(budgets)

    # -- reserving ----------------------------------------------------------------------------------------------------

    def test_a_call_that_nothing_limits_is_admitted(self, spender: Spender) -> None:
        """No budget, or only one of somebody else: there is nothing to set aside."""
        spender.put(subject="bob")
        spender.put(scope="team", subject="sales")
        spender.put(active=False)

        reservation = spender.reserve("1000")

        assert (True, ()) == (reservation.admitted, reservation.shares)
        assert [] == spender.store.look(ALICE)

    def test_money_is_set_aside(self, spender: Spender) -> None:
        """The answer tells how the budget stood before, the budget how it stands now."""
        budget_id = spender.put()
        (share,) = spender.reserve("0.25").shares

        assert ("held", True, Decimal("0.25"), None) == (
            share.outcome,
            share.changed,
            share.estimate_usd,
            share.settled_usd,
        )
        assert (budget_id, "user", "alice", "lifetime", None) == (
            share.standing.budget_id,
            share.standing.scope,
            share.standing.subject,
            share.standing.period,
            share.standing.resets_at,
        )
        assert amounts("0", "0") == (share.standing.used_usd, share.standing.reserved_usd)
        assert amounts("0", "0.25") == spender.figures()

    def test_the_limit_itself_may_be_spent_and_not_the_least_bit_more(self, spender: Spender) -> None:
        """A thousandth of a millionth of a dollar is too much."""
        spender.put()
        spender.hold("0.999999999")
        assert not spender.reserve("0.000000002").admitted
        assert spender.reserve("0.000000001").admitted
        assert not spender.reserve("0.000000001").admitted
        assert spender.reserve("0").admitted

    def test_tenths_add_up(self, spender: Spender) -> None:
        """Ten times a tenth is one, which no binary fraction manages."""
        spender.put()
        for _ in range(10):
            spender.spend("0.1")
        assert amounts("1", "0") == spender.figures()

    def test_a_call_must_fit_into_all_its_budgets_or_takes_from_none(self, spender: Spender) -> None:
        """The team's budget has no room, so that Alice's and the run's stay as they are."""
        spender.put()
        spender.put(scope="team", subject="support", limit_usd="0.10")
        spender.put(scope="flow_run", subject="*", limit_usd="0.50")

        refused = spender.reserve("0.20")

        assert {"user": "room", "team": "refused", "flow_run": "room"} == outcomes(refused)
        assert not refused.admitted
        assert {"user": 0, "team": 0, "flow_run": 0} == {
            one.scope: one.reserved_usd for one in spender.store.look(ALICE)
        }
        assert {"user": "held", "team": "held", "flow_run": "held"} == outcomes(spender.reserve("0.10"))

    def test_every_run_has_its_own_cap(self, spender: Spender) -> None:
        """What one run spends is no other's loss, and all of one run share."""
        spender.put(scope="flow_run", subject="*", limit_usd="0.50")
        spender.hold("0.30")
        assert not spender.reserve("0.30").admitted
        assert spender.reserve("0.30", subjects={"flow_run": "run-2"}).admitted
        assert spender.reserve("0.20").admitted

    def test_a_repeated_claim_is_one_claim(self, spender: Spender) -> None:
        """The answer to the first may have been lost; the second says the same and takes nothing more."""
        spender.put()
        claim = spender.claim("0.60")
        spender.store.reserve(claim)

        (share,) = spender.store.reserve(claim).shares

        assert ("held", False) == (share.outcome, share.changed)
        assert amounts("0", "0.6") == spender.figures()

    def test_attempts_of_one_call_each_need_money(self, spender: Spender) -> None:
        """A retry is paid again."""
        spender.put()
        first = spender.hold("0.40")
        assert spender.reserve("0.40", replace(first, attempt=2)).admitted
        assert not spender.reserve("0.40", replace(first, attempt=3)).admitted

    # -- settling and releasing ---------------------------------------------------------------------------------------

    def test_what_was_set_aside_becomes_what_it_cost(self, spender: Spender) -> None:
        """The rest of the estimate is free again; the answer tells how the budget stands now."""
        spender.put()
        (share,) = spender.settle(spender.hold("0.50"), "0.123456789").shares

        assert ("settled", True, Decimal("0.123456789")) == (share.outcome, share.changed, share.settled_usd)
        assert amounts("0.123456789", "0") == (share.standing.used_usd, share.standing.reserved_usd)
        assert amounts("0.123456789", "0") == spender.figures()

    def test_a_repeated_settlement_is_one_settlement(self, spender: Spender) -> None:
        """Also when it says something else: the first one was booked."""
        spender.put()
        attempt = spender.hold("0.50")
        spender.settle(attempt, "0.10")

        (share,) = spender.settle(attempt, "0.40").shares

        assert ("settled", False, Decimal("0.10")) == (share.outcome, share.changed, share.settled_usd)
        assert amounts("0.1", "0") == spender.figures()
        assert not spender.store.release(attempt)

    def test_each_attempt_of_a_call_is_booked(self, spender: Spender) -> None:
        """A failed attempt that was billed, and the one that answered."""
        spender.put()
        first = spender.hold("0.10")
        second = replace(first, attempt=2)
        spender.reserve("0.10", second)
        spender.settle(first, "0.04")
        spender.settle(second, "0.06")
        assert amounts("0.1", "0") == spender.figures()

    def test_an_attempt_of_unknown_cost_costs_its_estimate(self, spender: Spender) -> None:
        """Better than free."""
        spender.put()
        spender.settle(spender.hold("0.30"), None)
        assert amounts("0.3", "0") == spender.figures()

    def test_more_than_the_estimate_is_booked_in_full(self, spender: Spender) -> None:
        """It was spent; what follows is refused until there is room again."""
        spender.put()
        spender.settle(spender.hold("0.90"), "1.20")
        assert amounts("1.2", "0") == spender.figures()
        assert Decimal("-0.2") == spender.standing().remaining_usd
        assert not spender.reserve("0").admitted

    def test_an_attempt_that_never_reserved_books_nothing(self, spender: Spender) -> None:
        """There is no telling whose money it was."""
        spender.put()
        assert () == spender.settle(CallAttempt(uuid4()), "0.10").shares
        assert amounts("0", "0") == spender.figures()

    def test_what_cost_nothing_is_given_back(self, spender: Spender) -> None:
        """Once; and the attempt is over."""
        spender.put()
        attempt = spender.hold("0.70")
        assert [True, False] == [spender.store.release(attempt), spender.store.release(attempt)]
        assert amounts("0", "0") == spender.figures()

        again = spender.reserve("0.70", attempt)
        assert (False, {"user": "released"}) == (again.admitted, outcomes(again))

    def test_what_turns_out_to_have_cost_something_is_booked_late(self, spender: Spender) -> None:
        """The attempt was believed to have failed."""
        spender.put()
        attempt = spender.hold("0.70")
        spender.store.release(attempt)
        assert {"user": "late"} == outcomes(spender.settle(attempt, "0.60"))
        assert amounts("0.6", "0") == spender.figures()

    # -- leases -------------------------------------------------------------------------------------------------------

    def test_money_of_the_dead_is_free_again(self, spender: Spender, wait: Wait) -> None:
        """The next claim gets it; nobody has to clean up before."""
        spender.put()
        spender.hold_shortly("0.80")
        assert not spender.reserve("0.80").admitted
        wait(2 * SHORT)
        assert amounts("0", "0") == spender.figures()
        assert spender.reserve("0.80").admitted

    def test_a_settlement_after_the_lease_is_booked_late(self, spender: Spender, wait: Wait) -> None:
        """Others may have got the money meanwhile; it was spent all the same. Once."""
        spender.put()
        attempt = spender.hold_shortly("0.80")
        wait(2 * SHORT)
        spender.hold("0.70")

        late = [spender.settle(attempt, "0.80").shares[0] for _ in range(2)]

        assert [("late", True), ("late", False)] == [(share.outcome, share.changed) for share in late]
        assert amounts("0.8", "0.7") == spender.figures()

    def test_a_settlement_in_spite_of_its_lease_is_no_late_one(self, spender: Spender, wait: Wait) -> None:
        """As long as nobody else took the money."""
        spender.put()
        attempt = spender.hold_shortly("0.80")
        wait(2 * SHORT)
        assert {"user": "settled"} == outcomes(spender.settle(attempt, "0.10"))
        assert amounts("0.1", "0") == spender.figures()

    def test_ended_leases_of_all_budgets_can_be_given_back_at_once(self, spender: Spender, wait: Wait) -> None:
        """Counted once, and living ones stay."""
        spender.put()
        spender.put(scope="team", subject="support", limit_usd="10")
        spender.hold("0.30")
        spender.hold_shortly("0.20")
        spender.hold_shortly("0.10")
        wait(2 * SHORT)
        assert [4, 0] == [spender.store.expire(), spender.store.expire()]
        assert [Decimal("0.3")] * 2 == [one.reserved_usd for one in spender.store.look(ALICE)]

    def test_a_lease_can_be_prolonged(self, spender: Spender, wait: Wait) -> None:
        """Of those that hold money; a shorter lease takes nothing away."""
        spender.put()
        kept, settled, unknown = spender.hold_shortly("0.80"), spender.hold("0.10"), CallAttempt(uuid4())
        spender.settle(settled, "0.10")
        assert {kept} == spender.store.renew([kept, settled, unknown], LEASE)
        assert {kept} == spender.store.renew([kept], timedelta(seconds=SHORT))
        wait(2 * SHORT)
        assert 0 == spender.store.expire()
        assert amounts("0.1", "0.8") == spender.figures()

    def test_an_ended_lease_is_ended(self, spender: Spender, wait: Wait) -> None:
        """Somebody else may have the money now."""
        spender.put()
        attempt = spender.hold_shortly("0.80")
        wait(2 * SHORT)
        spender.store.expire()
        assert set() == spender.store.renew([attempt], LEASE)
        assert set() == spender.store.renew([], LEASE)
        assert {"user": "expired"} == outcomes(spender.reserve("0.80", attempt))

    # -- many at once -------------------------------------------------------------------------------------------------

    def test_the_last_dollar_is_spent_once(self, spender: Spender) -> None:
        """Of 320 claims by 16 threads exactly as many are admitted as there is money for, in both budgets."""
        spender.put()
        spender.put(scope="team", subject="support", limit_usd="2")
        with ThreadPoolExecutor(16) as threads:
            reservations = list(threads.map(spender.reserve, ["0.01"] * 320))
        assert 100 == sum(one.admitted for one in reservations)
        assert [Decimal(1)] * 2 == [one.reserved_usd for one in spender.store.look(ALICE)]

    def test_the_same_said_by_many_at_once_is_said_once(self, spender: Spender) -> None:
        """Twelve claims and twelve settlements of one attempt."""
        spender.put()
        claim = spender.claim("0.60")
        with ThreadPoolExecutor(12) as threads:
            claimed = list(threads.map(spender.store.reserve, [claim] * 12))
            assert amounts("0", "0.6") == spender.figures()
            settled = list(threads.map(spender.settle, [claim.attempt] * 12, ["0.50"] * 12))
        assert [1, 1] == [sum(one.shares[0].changed for one in all_of_them) for all_of_them in (claimed, settled)]
        assert amounts("0.5", "0") == spender.figures()

    def test_nobody_waits_in_a_circle(self, spender: Spender) -> None:
        """Claims over overlapping sets of budgets, settlements and releases at the same time, all come to an end."""
        names = ("a", "b", "c")
        for name in names:
            spender.put(DOLLAR, subject=name, limit_usd="1000")
            spender.put(DOLLAR, scope="team", subject=name, limit_usd="1000")

        def spend(turn: int) -> None:
            subjects = {"user": names[turn % 3], "team": names[turn // 3 % 3]}
            attempt = spender.hold("0.01", subjects=subjects)
            if turn % 5:
                spender.settle(attempt, "0.007")
            else:
                spender.store.release(attempt)

        with ThreadPoolExecutor(12) as threads:
            list(threads.map(spend, range(180)))
        standings = [one for name in names for one in spender.store.look({"user": name, "team": name})]
        assert 2 * 144 * Decimal("0.007") == sum(one.used_usd for one in standings)
        assert {Decimal(0)} == {one.reserved_usd for one in standings}
