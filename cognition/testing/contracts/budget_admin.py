"""What people must be able to do to budgets: adjust counters, and look after alerts."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal
from uuid import UUID, uuid4

import pytest

from cognition.domain.adjustment import Adjustment, CounterName, Mandate
from cognition.domain.budget import Budget
from cognition.domain.budget_alert import ALERT_STATES, Alert
from cognition.resilience.budget_admin import BudgetAdminStore
from cognition.resilience.budget_store import BudgetStore
from cognition.testing.contracts.budget_spender import ALICE, DOLLAR, Spender, amounts

Later = Callable[[timedelta], None]

MANDATE = Mandate("bob", "the month is young")
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


class BudgetAdminContract:
    """Fixtures to give.

    `budgets` is a store without budgets, `admin` administers it. `later` is a function that lets time pass for it: it
    advances the store's clock or makes all that is kept so much older.
    """

    @pytest.fixture
    def spender(self, budgets: BudgetStore) -> Spender:
        """Return somebody who spends money."""
        return Spender(budgets)

    # -- adjustments --------------------------------------------------------------------------------------------------

    def test_after_a_reset_spending_begins_anew(self, spender: Spender, admin: BudgetAdminStore) -> None:
        """The whole limit may be spent again, and not the least bit more; what was spent stays known."""
        alice = CounterName(spender.put(), "alice")
        spender.spend("0.90")
        (made,) = admin.reset(alice, MANDATE)
        assert ("reset", Decimal("0.9"), "bob", "the month is young", None) == (
            made.kind,
            made.amount_usd,
            made.actor,
            made.reason,
            made.transfer_id,
        )
        assert amounts("0.9", "0") == spender.figures()
        assert not spender.reserve("1.000000001").admitted
        assert spender.reserve("1").admitted

    def test_a_reset_that_is_repeated_changes_nothing(self, spender: Spender, admin: BudgetAdminStore) -> None:
        """And one after more was spent gives back only that."""
        alice = CounterName(spender.put(), "alice")
        spender.spend("0.90")
        admin.reset(alice, MANDATE)
        assert [] == admin.reset(alice, MANDATE)
        spender.spend("0.30")
        assert [Decimal("0.3")] == _amounts(admin.reset(alice, MANDATE))
        assert Decimal(1) == spender.standing().remaining_usd

    def test_a_reset_leaves_what_is_set_aside_and_what_was_given(
        self, spender: Spender, admin: BudgetAdminStore
    ) -> None:
        """Calls under way still hold their money, and a raise still counts."""
        alice = CounterName(spender.put(), "alice")
        admin.raise_limit(alice, Decimal("0.50"), MANDATE)
        spender.spend("0.90")
        spender.hold("0.20")
        admin.reset(alice, MANDATE)
        assert Decimal("1.3") == spender.standing().remaining_usd

    def test_a_reset_is_of_one_subject(self, spender: Spender, admin: BudgetAdminStore) -> None:
        """The other runs' caps stay as they are."""
        each = spender.put(Budget.per_run("0.50"))
        for run in ("a", "b"):
            spender.settle(spender.hold("0.50", subjects={"flow_run": run}), "0.50")
        admin.reset(CounterName(each, "a"), MANDATE)
        assert spender.reserve("0.50", subjects={"flow_run": "a"}).admitted
        assert not spender.reserve("0.01", subjects={"flow_run": "b"}).admitted

    def test_a_reset_of_a_rolling_budget_leaves_the_window_with_what_was_spent(
        self, spender: Spender, admin: BudgetAdminStore, later: Later
    ) -> None:
        """Or the credit would be left when the spend is gone, and more than the limit could be spent."""
        alice = CounterName(spender.put(period="rolling", length=4 * HOUR), "alice")
        spender.spend("0.90")
        later(2 * HOUR)
        spender.spend("0.05")
        assert {Decimal("0.9"), Decimal("0.05")} == set(_amounts(admin.reset(alice, MANDATE)))
        assert Decimal(1) == spender.standing().remaining_usd
        later(3 * HOUR)
        standing = spender.standing()
        assert amounts("0.05", "0.05", "1") == (standing.used_usd, standing.credit_usd, standing.remaining_usd)

    def test_a_raise_holds_for_its_period(self, spender: Spender, admin: BudgetAdminStore, later: Later) -> None:
        """Tomorrow the limit is what it was."""
        alice = CounterName(spender.put(period="daily"), "alice")
        (made,) = admin.raise_limit(alice, Decimal("0.50"), MANDATE)
        assert ("raise", Decimal("0.5")) == (made.kind, made.amount_usd)
        assert spender.reserve("1.50").admitted
        later(DAY)
        assert amounts("0", "1") == (spender.standing().credit_usd, spender.standing().total_usd)

    def test_money_moves_from_one_budget_to_another(self, spender: Spender, admin: BudgetAdminStore) -> None:
        """Two rows with one id, and together there is as much as before."""
        alice = CounterName(spender.put(), "alice")
        team = CounterName(spender.put(scope="team", subject="support", limit_usd="2"), "support")
        given, taken = admin.transfer(alice, team, Decimal("0.70"), MANDATE)
        assert [("transfer", Decimal("-0.7")), ("transfer", Decimal("0.7"))] == [
            (one.kind, one.amount_usd) for one in (given, taken)
        ]
        assert given.transfer_id == taken.transfer_id is not None
        assert (alice, team) == (_counter(given), _counter(taken))
        assert {"user": Decimal("0.3"), "team": Decimal("2.7")} == _left(spender)

    def test_nobody_gives_more_than_is_left(self, spender: Spender, admin: BudgetAdminStore) -> None:
        """What is set aside is not left; then nothing is moved at all."""
        alice = CounterName(spender.put(), "alice")
        team = CounterName(spender.put(scope="team", subject="support", limit_usd="2"), "support")
        spender.spend("0.50")
        spender.hold("0.20")
        assert [] == admin.transfer(alice, team, Decimal("0.300000001"), MANDATE)
        assert {"user": Decimal("0.3"), "team": Decimal("1.3")} == _left(spender)
        assert 2 == len(admin.transfer(alice, team, Decimal("0.30"), MANDATE))
        assert {"user": Decimal(0), "team": Decimal("1.6")} == _left(spender)

    def test_many_who_move_money_at_once_move_no_more_than_there_is(
        self, spender: Spender, admin: BudgetAdminStore
    ) -> None:
        """In both directions, which must not wait for each other in a circle."""
        alice = CounterName(spender.put(), "alice")
        team = CounterName(spender.put(scope="team", subject="support", limit_usd="0"), "support")
        with ThreadPoolExecutor(8) as threads:
            one_way = [threads.submit(admin.transfer, alice, team, Decimal("0.15"), MANDATE) for _ in range(24)]
            moved = sum(bool(one.result()) for one in one_way)
            both_ways = [(alice, team), (team, alice)] * 12
            to_and_fro = [threads.submit(admin.transfer, *way, Decimal("0.10"), MANDATE) for way in both_ways]
            both = [len(one.result()) for one in to_and_fro]
        assert 6 == moved
        assert set(both) <= {0, 2}
        left = _left(spender)
        assert Decimal(1) == sum(left.values())
        assert min(left.values()) >= 0

    def test_adjustments_race_with_no_call(self, spender: Spender, admin: BudgetAdminStore) -> None:
        """Calls that spend and raises that give room at the same time: nothing is lost."""
        alice = CounterName(spender.put(limit_usd="0"), "alice")
        with ThreadPoolExecutor(8) as threads:
            raised = [threads.submit(admin.raise_limit, alice, Decimal("0.10"), MANDATE) for _ in range(20)]
            asked = [threads.submit(spender.reserve, "0.05") for _ in range(40)]
            assert 20 == sum(len(one.result()) for one in raised)
            admitted = sum(one.result().admitted for one in asked)
        standing = spender.standing()
        assert (Decimal(2), Decimal("0.05") * admitted) == (standing.credit_usd, standing.reserved_usd)

    def test_who_adjusted_what_and_why_is_kept(self, spender: Spender, admin: BudgetAdminStore) -> None:
        """Newest first."""
        alice = CounterName(spender.put(), "alice")
        admin.raise_limit(alice, Decimal(1), MANDATE)
        admin.raise_limit(alice, Decimal(2), Mandate("carol", "a demo"))
        assert [("carol", "a demo", Decimal(2)), ("bob", MANDATE.reason, Decimal(1))] == [
            (one.actor, one.reason, one.amount_usd) for one in admin.adjustments(5)
        ]
        assert 1 == len(admin.adjustments(1))

    def test_what_does_not_exist_is_not_adjusted(self, spender: Spender, admin: BudgetAdminStore) -> None:
        """Nothing is written either."""
        alice, unknown = CounterName(spender.put(), "alice"), CounterName(uuid4(), "alice")
        assert [] == admin.reset(unknown, MANDATE)
        assert [] == admin.raise_limit(unknown, Decimal(1), MANDATE)
        assert [] == admin.transfer(alice, unknown, Decimal(1), MANDATE)
        assert [] == admin.transfer(unknown, alice, Decimal(1), MANDATE)
        assert [] == admin.adjustments(10)
        assert {"user": Decimal(1)} == _left(spender)

    # -- alerts -------------------------------------------------------------------------------------------------------

    def test_an_alert_tells_what_was_reached(self, spender: Spender, admin: BudgetAdminStore) -> None:
        """Whose budget, which share of it, and how it stood."""
        budget_id = spender.put()
        spender.hold("0.05")
        spender.spend("0.90")
        (alert,) = admin.alerts(ALERT_STATES, 10)
        assert (budget_id, "user", "alice", "lifetime", "open", Decimal("0.8"), False) == (
            alert.budget_id,
            alert.scope,
            alert.subject,
            alert.period,
            alert.state,
            alert.threshold,
            alert.exceeded,
        )
        assert amounts("1", "0.9", "0.05") == (alert.limit_usd, alert.used_usd, alert.reserved_usd)
        assert (None, None, None, 0, None) == (
            alert.acknowledged_by,
            alert.note,
            alert.resolved_at,
            alert.deliveries,
            alert.delivered_at,
        )
        assert timedelta(0) == alert.created_at.utcoffset() == alert.period_start.utcoffset()

    def test_somebody_takes_notice_of_an_alert(self, spender: Spender, admin: BudgetAdminStore) -> None:
        """Whoever was first stays named."""
        alert_id = _alerted(spender, admin)
        seen = admin.acknowledge(alert_id, "bob", "on it")
        assert seen is not None
        assert ("acknowledged", "bob", "on it") == (seen.state, seen.acknowledged_by, seen.note)
        assert seen.acknowledged_at is not None
        assert seen == admin.acknowledge(alert_id, "carol", "me too")
        assert ([], [seen]) == (admin.alerts(["open"], 10), admin.alerts(["open", "acknowledged"], 10))

    def test_an_alert_ends(self, spender: Spender, admin: BudgetAdminStore) -> None:
        """Once; who ended it took notice, and nobody can take notice of it any more."""
        alert_id = _alerted(spender, admin)
        ended = admin.resolve(alert_id, "bob", "")
        assert ended is not None
        assert ("resolved", "bob", None) == (ended.state, ended.acknowledged_by, ended.note)
        assert ended.resolved_at is not None
        assert ended == admin.resolve(alert_id, "carol", "again") == admin.acknowledge(alert_id, "carol", "late")
        assert ([], [ended]) == (admin.alerts(["open", "acknowledged"], 10), admin.alerts(["resolved"], 10))

    def test_an_acknowledged_alert_ends_under_the_first_name(self, spender: Spender, admin: BudgetAdminStore) -> None:
        """A later note replaces the first."""
        alert_id = _alerted(spender, admin)
        admin.acknowledge(alert_id, "bob", "on it")
        ended = admin.resolve(alert_id, "carol", "limit raised")
        assert ended is not None
        assert ("bob", "limit raised") == (ended.acknowledged_by, ended.note)

    def test_an_unknown_alert_is_none(self, admin: BudgetAdminStore) -> None:
        """Whatever is to be done with it."""
        admin.mark_delivered(uuid4())
        assert (None, None) == (admin.acknowledge(uuid4(), "bob", ""), admin.resolve(uuid4(), "bob", ""))

    def test_a_reset_ends_the_alerts_of_its_subject(self, spender: Spender, admin: BudgetAdminStore) -> None:
        """Spending begins anew, and so does alerting."""
        each = spender.put(Budget.per_run("0.50"))
        for run in ("a", "b"):
            spender.settle(spender.hold("0.45", subjects={"flow_run": run}), "0.45")
        admin.reset(CounterName(each, "a"), MANDATE)
        assert {"a": "resolved", "b": "open"} == {one.subject: one.state for one in admin.alerts(ALERT_STATES, 10)}

    # -- delivering ---------------------------------------------------------------------------------------------------

    def test_an_alert_is_delivered_once(self, spender: Spender, admin: BudgetAdminStore, later: Later) -> None:
        """Whoever claimed it has a minute; nobody gets it after it was delivered."""
        alert_id = _alerted(spender, admin)
        assert [(alert_id, 1)] == _claimed(admin)
        assert [] == _claimed(admin)
        admin.mark_delivered(alert_id)
        later(DAY)
        assert [] == _claimed(admin)
        (alert,) = admin.alerts(ALERT_STATES, 10)
        assert alert.delivered_at is not None

    def test_an_alert_that_was_not_delivered_comes_again(
        self, spender: Spender, admin: BudgetAdminStore, later: Later
    ) -> None:
        """After a minute, then two, then four, and never after more than an hour."""
        alert_id = _alerted(spender, admin)
        waits: list[int] = []
        assert [(alert_id, 1)] == _claimed(admin)
        for minutes in (1, 2, 4, 8, 16, 32, 60, 60):
            later(timedelta(minutes=minutes) - timedelta(seconds=30))
            assert [] == _claimed(admin)
            later(timedelta(seconds=30))
            waits.append(_claimed(admin)[0][1])
        assert [2, 3, 4, 5, 6, 7, 8, 9] == waits

    def test_many_who_deliver_at_once_get_different_alerts(self, spender: Spender, admin: BudgetAdminStore) -> None:
        """None is delivered twice."""
        spender.put(Budget.per_run("0.50"))
        for run in range(12):
            spender.settle(spender.hold("0.50", subjects={"flow_run": str(run)}), "0.45")
        with ThreadPoolExecutor(6) as threads:
            claims = [threads.submit(admin.claim_alerts, 4) for _ in range(6)]
            claimed = [one for claim in claims for one in claim.result()]
        assert {str(run) for run in range(12)} == {one.subject for one in claimed}
        assert 12 == len(claimed)


def _alerted(spender: Spender, admin: BudgetAdminStore) -> UUID:
    spender.put(DOLLAR)
    spender.spend("0.90")
    (alert,) = admin.alerts(["open"], 10)
    return alert.alert_id


def _claimed(admin: BudgetAdminStore) -> list[tuple[UUID, int]]:
    claimed: list[Alert] = admin.claim_alerts(10)
    return [(one.alert_id, one.deliveries) for one in claimed]


def _amounts(adjustments: list[Adjustment]) -> list[Decimal]:
    return [one.amount_usd for one in adjustments]


def _counter(adjustment: Adjustment) -> CounterName:
    return CounterName(adjustment.budget_id, adjustment.subject)


def _left(spender: Spender) -> dict[str, Decimal]:
    return {one.scope: one.remaining_usd for one in spender.store.look(ALICE)}
