"""What a store of budgets must do when budgets change, prices are unknown and limits are reached."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from cognition.domain.budget import Budget
from cognition.domain.reservation import Reservation
from cognition.resilience.budget_store import BudgetStore
from cognition.testing.contracts.budget_spender import ALICE, DOLLAR, Spender, amounts, outcomes

SOFT, HARD = Decimal("0.8"), Decimal(1)


class BudgetRulesContract:
    """Fixtures to give: `budgets` is a store without budgets."""

    @pytest.fixture
    def spender(self, budgets: BudgetStore) -> Spender:
        """Return somebody who spends money."""
        return Spender(budgets)

    # -- budgets change -----------------------------------------------------------------------------------------------

    def test_a_budget_is_kept_as_it_was_given(self, spender: Spender) -> None:
        """Every field comes back."""
        given = Budget(
            scope="workflow",
            subject="nightly",
            limit_usd="5.000000001",
            period="rolling",
            length=timedelta(hours=36),
            timezone="Europe/Berlin",
            week_start=7,
            soft_limit="0.75",
            on_soft="downgrade",
            on_hard="downgrade",
            downgrade_to="openai:gpt-5-nano",
            on_unknown_price="ceiling",
            price_ceiling_usd="0.05",
            on_store_down="last_known",
            last_known_max_age=timedelta(minutes=5),
            active=False,
        )
        budget_id = spender.put(given)
        other = spender.put(subject="bob")
        assert [replace(DOLLAR, subject="bob", budget_id=other), replace(given, budget_id=budget_id)] == (
            spender.store.budgets()
        )

    def test_a_changed_limit_counts_at_once_and_nothing_is_forgotten(self, spender: Spender) -> None:
        """The same budget with another limit: what was spent stays spent, what is set aside stays set aside."""
        budget_id = spender.put()
        spender.spend("0.50")
        spender.hold("0.50")
        assert budget_id == spender.put(limit_usd="2")
        assert amounts("0.5", "0.5") == spender.figures()
        assert spender.reserve("1").admitted
        spender.put(limit_usd="0.10")
        assert not spender.reserve("0.01").admitted

    def test_another_period_is_another_budget(self, spender: Spender) -> None:
        """A daily and a lifetime limit stand beside each other, and both must have room."""
        assert spender.put() != spender.put(period="daily", limit_usd="0.10")
        assert not spender.reserve("0.20").admitted
        assert spender.reserve("0.10").admitted

    def test_a_changed_time_zone_does_not_give_the_money_out_twice(self, spender: Spender) -> None:
        """The new day may have begun at another moment; what was spent on the old one counts as long as it overlaps."""
        spender.put(period="daily")
        spender.spend("0.90")
        for zone in ("Pacific/Kiritimati", "Pacific/Pago_Pago", "Asia/Kathmandu"):
            spender.put(period="daily", timezone=zone)
            assert not spender.reserve("0.20").admitted

    def test_a_budget_that_is_switched_off_limits_nothing_but_what_it_holds_is_booked(self, spender: Spender) -> None:
        """And when it is on again it knows."""
        spender.put()
        attempt = spender.hold("0.90")
        spender.put(active=False)
        assert () == spender.reserve("5").shares
        spender.settle(attempt, "0.90")
        spender.put(active=True)
        assert amounts("0.9", "0") == spender.figures()

    # -- when money is freed ------------------------------------------------------------------------------------------

    def test_a_day_ends_within_a_day(self, spender: Spender) -> None:
        """And starts with its period."""
        spender.put(period="daily")
        standing = spender.standing()
        assert standing.resets_at is not None
        assert timedelta(days=1) == standing.resets_at - standing.period_start

    def test_a_rolling_budget_frees_money_as_the_oldest_spend_leaves(self, spender: Spender) -> None:
        """Its hour has passed and then the whole length; with nothing spent there is nothing to free."""
        spender.put(period="rolling", length=timedelta(hours=3))
        assert spender.standing().resets_at is None
        spender.spend("0.90")
        standing = spender.standing()
        assert standing.period_start + timedelta(hours=4) == standing.resets_at
        assert not spender.reserve("0.20").admitted

    # -- unknown prices -----------------------------------------------------------------------------------------------

    def test_a_call_of_unknown_price_is_refused(self, spender: Spender) -> None:
        """Unknown is not nothing."""
        spender.put()
        spender.put(scope="team", subject="support", on_unknown_price="allow")
        refused = spender.reserve(None)
        assert {"user": "unpriced", "team": "room"} == outcomes(refused)
        assert not refused.admitted

    def test_a_call_of_unknown_price_can_reserve_a_ceiling(self, spender: Spender) -> None:
        """And costs it, when nobody ever learns better."""
        spender.put(on_unknown_price="ceiling", price_ceiling_usd="0.40")
        attempt = spender.claim(None).attempt
        assert spender.reserve(None, attempt).admitted
        assert amounts("0", "0.4") == spender.figures()
        spender.settle(attempt, None)
        assert amounts("0.4", "0") == spender.figures()

    def test_a_call_of_unknown_price_can_be_allowed(self, spender: Spender) -> None:
        """It sets nothing aside."""
        spender.put(on_unknown_price="allow")
        assert spender.reserve(None).admitted
        assert amounts("0", "0") == spender.figures()

    # -- limits are reached -------------------------------------------------------------------------------------------

    def test_the_soft_limit_is_told_once(self, spender: Spender) -> None:
        """When money is spent, not when it is set aside."""
        spender.put()
        attempt = spender.hold("0.80")
        assert [] == _crossed(spender.spend("0.10"))
        assert [SOFT] == _crossed(spender.settle(attempt, "0.75"))
        assert [] == _crossed(spender.settle(attempt, "0.75"))
        assert [] == _crossed(spender.spend("0.05"))

    def test_both_limits_can_be_reached_at_once(self, spender: Spender) -> None:
        """With all that observers want to know."""
        spender.put()
        reservation = spender.spend("1")
        assert [SOFT, HARD] == _crossed(reservation)
        assert {Decimal(1)} == {one.standing.used_usd for one in reservation.crossings}

    def test_a_refusal_near_the_limit_is_told_once(self, spender: Spender) -> None:
        """The hard limit is felt, though estimates never meet it exactly."""
        spender.put()
        spender.spend("0.40")
        spender.settle(spender.hold("0.40"), "0.45")
        assert [HARD] == _crossed(spender.reserve("0.20"))
        assert [] == _crossed(spender.reserve("0.20"))

    def test_a_call_that_must_wait_for_its_turn_alerts_nobody(self, spender: Spender) -> None:
        """Money that is set aside is not spent: calls under way cost less as a rule."""
        spender.put()
        spender.spend("0.10")
        spender.hold("0.85")
        assert [] == _crossed(spender.reserve("0.20"))

    def test_a_call_that_is_too_large_for_a_fresh_budget_alerts_nobody(self, spender: Spender) -> None:
        """Only the caller learns of it."""
        spender.put()
        assert [] == _crossed(spender.reserve("5"))

    def test_a_raised_limit_can_be_reached_again(self, spender: Spender) -> None:
        """It is another limit."""
        spender.put()
        spender.spend("0.90")
        spender.put(limit_usd="2")
        assert [SOFT] == _crossed(spender.spend("0.80"))

    def test_each_run_is_told_of_its_own_limit(self, spender: Spender) -> None:
        """One alert a counter."""
        spender.put(Budget.per_run("0.50"))
        crossed = [
            _crossed(spender.settle(spender.hold("0.45", subjects={"flow_run": run}), "0.45")) for run in ("a", "b")
        ]
        assert [[SOFT], [SOFT]] == crossed

    def test_time_is_told_with_its_zone(self, spender: Spender) -> None:
        """Every moment can be compared with the caller's clock."""
        spender.put(period="monthly")
        resets_at = spender.standing().resets_at
        assert resets_at is not None
        assert datetime.now(UTC) < resets_at + timedelta(days=3650)
        assert [one.period_start.utcoffset() for one in spender.store.look(ALICE)] == [timedelta(0)]


def _crossed(reservation: Reservation) -> list[Decimal]:
    return [one.threshold for one in reservation.crossings]
