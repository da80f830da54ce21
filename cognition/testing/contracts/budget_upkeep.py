"""What maintenance must be able to do to budgets: close periods, check counters, tidy up, see what was spent when."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from cognition.domain.adjustment import CounterName, Lapsed, Mandate
from cognition.domain.attribution import Attribution
from cognition.domain.budget import Scope
from cognition.domain.budget_alert import ALERT_STATES
from cognition.domain.ledger import LedgerBatch, LedgerRow
from cognition.domain.reservation import CallAttempt
from cognition.ports import Ledger
from cognition.resilience.budget_admin import BudgetAdminStore
from cognition.resilience.budget_store import BudgetStore
from cognition.testing.contracts.budget_admin import DAY, HOUR, MANDATE, Later
from cognition.testing.contracts.budget_spender import ALICE, Spender, amounts
from cognition.testing.contracts.samples import MODEL, NOON, a_row

Miscount = Callable[[str, Decimal], None]


class BudgetUpkeepContract:
    """Fixtures to give.

    `budgets` is a store without budgets, `admin` administers it, `ledger` is the empty ledger beside it. `later` is a
    function that lets time pass, see `BudgetAdminContract`; `miscount` one that adds to a figure of every counter:
    `used`, `reserved` or `credit`.
    """

    @pytest.fixture
    def spender(self, budgets: BudgetStore) -> Spender:
        """Return somebody who spends money."""
        return Spender(budgets)

    # -- closing periods ----------------------------------------------------------------------------------------------

    def test_a_period_that_is_over_is_closed(self, spender: Spender, admin: BudgetAdminStore, later: Later) -> None:
        """With what was spent in it, and its alerts are over too."""
        budget_id = spender.put(period="daily")
        admin.raise_limit(CounterName(budget_id, "alice"), Decimal("0.05"), MANDATE)
        for usd in ("0.40", "0.50"):
            spender.spend(usd)
        start = spender.standing().period_start
        assert [] == admin.close_periods(10)
        later(DAY)
        (closed,) = admin.close_periods(10)
        assert (budget_id, "user", "alice", "daily", 2, 1) == (
            closed.budget_id,
            closed.scope,
            closed.subject,
            closed.period,
            closed.calls,
            closed.alerts_resolved,
        )
        assert amounts("1", "0.05", "0.9") == (closed.limit_usd, closed.credit_usd, closed.used_usd)
        assert DAY == closed.period_end - closed.period_start
        assert timedelta(0) == (closed.period_start - start) % DAY
        assert ["resolved"] == [one.state for one in admin.alerts(ALERT_STATES, 10)]

    def test_closing_twice_or_late_is_harmless(self, spender: Spender, admin: BudgetAdminStore, later: Later) -> None:
        """Three missed days are three periods, each closed once, and spending goes on."""
        spender.put(period="daily")
        for usd in ("0.1", "0.2", "0.3"):
            spender.spend(usd)
            later(DAY)
        assert [Decimal("0.1"), Decimal("0.2")] == [one.used_usd for one in admin.close_periods(2)]
        assert [Decimal("0.3")] == [one.used_usd for one in admin.close_periods(2)]
        assert [] == admin.close_periods(2)
        assert amounts("0", "0") == spender.figures()
        assert spender.reserve("1").admitted

    def test_a_living_call_keeps_its_period_open(self, spender: Spender, admin: BudgetAdminStore, later: Later) -> None:
        """It may run over midnight, and is booked into the day in which it began."""
        spender.put(period="daily")
        attempt = spender.hold("0.80", lease=3 * DAY)
        later(DAY)
        assert [] == admin.close_periods(10)
        spender.settle(attempt, "0.30")
        assert [Decimal("0.3")] == [one.used_usd for one in admin.close_periods(10)]
        assert amounts("0", "0") == spender.figures()

    def test_a_dead_call_keeps_nothing_open(self, spender: Spender, admin: BudgetAdminStore, later: Later) -> None:
        """Its lease has ended; what it cost after all is booked late, into its own period."""
        spender.put(period="daily")
        attempt = spender.hold_shortly("0.80")
        later(DAY)
        assert [Decimal(0)] == [one.used_usd for one in admin.close_periods(10)]
        assert "late" == spender.settle(attempt, "0.30").shares[0].outcome
        assert amounts("0", "0") == spender.figures()
        assert [] == admin.close_periods(10)

    def test_what_dead_calls_hold_is_told(self, spender: Spender, admin: BudgetAdminStore, later: Later) -> None:
        """Once for each call, whatever number of budgets it is in; when it was given back, there is nothing to tell."""
        spender.put()
        spender.put(scope="team", subject="support", limit_usd="10")
        spender.hold_shortly("0.80")
        later(timedelta(hours=2))
        assert [Lapsed(1, Decimal("0.8")), Lapsed(0, Decimal(0))] == [
            admin.lapsed(timedelta(hours=hours)) for hours in (1, 3)
        ]
        spender.store.expire()
        assert Lapsed(0, Decimal(0)) == admin.lapsed(timedelta(hours=1))

    def test_a_bucket_is_closed_when_it_has_left_the_window(
        self, spender: Spender, admin: BudgetAdminStore, later: Later
    ) -> None:
        """Until then it counts."""
        spender.put(period="rolling", length=3 * HOUR)
        spender.spend("0.90")
        later(2 * HOUR)
        assert [] == admin.close_periods(10)
        later(2 * HOUR)
        assert [Decimal("0.9")] == [one.used_usd for one in admin.close_periods(10)]

    def test_a_lifetime_is_never_closed(self, spender: Spender, admin: BudgetAdminStore, later: Later) -> None:
        """It has no end."""
        spender.put()
        spender.spend("0.90")
        later(400 * DAY)
        assert [] == admin.close_periods(10)

    # -- checking counters --------------------------------------------------------------------------------------------

    def test_counters_that_are_explained_do_not_drift(
        self, spender: Spender, admin: BudgetAdminStore, later: Later
    ) -> None:
        """After all that can happen to money: spent, held, given back, lost, late, adjusted."""
        alice = CounterName(spender.put(), "alice")
        team = CounterName(spender.put(scope="team", subject="support", limit_usd="10"), "support")
        for usd in ("0.111111111", "0.2"):
            _book(spender, usd)
        spender.store.release(spender.hold("0.1"))
        spender.hold_shortly("0.1")
        late = _reserved(spender, a_row("0.05"))
        spender.store.release(_attempt(late))
        spender.store.settle(_attempt(late), Decimal("0.05"), LedgerBatch(rows=[late]))
        later(timedelta(minutes=5))
        spender.hold("0.1")
        admin.reset(alice, MANDATE)
        admin.transfer(team, alice, Decimal(1), MANDATE)
        assert [] == admin.reconcile(None)

    def test_a_settlement_without_a_ledger_row_is_told(self, spender: Spender, admin: BudgetAdminStore) -> None:
        """Nothing here can make up for it, so that it is told again."""
        spender.put()
        spender.spend("0.30")
        for repair in (None, MANDATE):
            (drift,) = admin.reconcile(repair)
            assert (1, False, "alice") == (drift.missing_rows, drift.repairable, drift.subject)
        assert [] == admin.adjustments(10)

    def test_wrong_counting_is_found_and_made_up_for(
        self, spender: Spender, admin: BudgetAdminStore, miscount: Miscount
    ) -> None:
        """By an adjustment, signed; what was counted is not edited."""
        spender.put()
        _book(spender, "0.30")
        miscount("used", Decimal("0.25"))
        (drift,) = admin.reconcile(None)
        assert amounts("0.55", "0.3", "0.3", "0.25") == (
            drift.used_usd,
            drift.settled_usd,
            drift.booked_usd,
            drift.excess_usd,
        )
        assert Decimal("0.45") == spender.standing().remaining_usd
        assert [drift] == admin.reconcile(Mandate("carol", "restored from a backup"))
        assert amounts("0.55", "0.7") == (spender.standing().used_usd, spender.standing().remaining_usd)
        assert [("reconciliation", Decimal("0.25"), "carol")] == [
            (one.kind, one.amount_usd, one.actor) for one in admin.adjustments(10)
        ]
        assert [] == admin.reconcile(MANDATE)

    def test_too_little_that_was_counted_is_taken_back(
        self, spender: Spender, admin: BudgetAdminStore, miscount: Miscount
    ) -> None:
        """It was spent."""
        spender.put()
        _book(spender, "0.30")
        miscount("used", Decimal("-0.10"))
        admin.reconcile(MANDATE)
        assert Decimal("0.7") == spender.standing().remaining_usd

    def test_sums_of_rows_are_added_up_anew(
        self, spender: Spender, admin: BudgetAdminStore, miscount: Miscount
    ) -> None:
        """What is set aside and what adjustments gave; calls under way end as if nothing had been."""
        alice = CounterName(spender.put(), "alice")
        admin.raise_limit(alice, Decimal("0.20"), MANDATE)
        row = _reserved(spender, a_row("0.5"))
        miscount("reserved", Decimal("-0.5"))
        miscount("credit", Decimal(3))
        assert [True] == [one.repairable for one in admin.reconcile(MANDATE)]
        assert amounts("0", "0.5") == spender.figures()
        assert Decimal("0.7") == spender.standing().remaining_usd
        spender.store.settle(_attempt(row), Decimal("0.5"), LedgerBatch(rows=[row]))
        assert [] == admin.reconcile(None)

    def test_the_ledger_is_the_truth(self, spender: Spender, admin: BudgetAdminStore) -> None:
        """Where it says another cost than was settled."""
        spender.put()
        row = _reserved(spender, a_row("0.20"))
        spender.store.settle(_attempt(row), Decimal("0.50"), LedgerBatch(rows=[row]))
        (drift,) = admin.reconcile(MANDATE)
        assert amounts("0.5", "0.5", "0.2") == (drift.used_usd, drift.settled_usd, drift.booked_usd)
        assert Decimal("0.8") == spender.standing().remaining_usd

    @pytest.mark.parametrize("state", ["held", "released", "expired"])
    def test_what_the_ledger_knows_and_no_budget_booked_is_booked(
        self, spender: Spender, admin: BudgetAdminStore, ledger: Ledger, later: Later, state: str
    ) -> None:
        """In all budgets of the call, whatever became of what was set aside for it; and it is told which call it is."""
        spender.put()
        spender.put(scope="team", subject="support", limit_usd="10")
        row = _reserved(spender, a_row("0.30"))
        ledger.record(LedgerBatch(rows=[row]))
        if state == "released":
            spender.store.release(_attempt(row))
        elif state == "expired":
            later(timedelta(minutes=5))
            spender.store.expire()

        found = admin.reconcile(None)
        assert {(scope, Decimal(0), Decimal("0.3"), (row.call_key,)) for scope in ("user", "team")} == {
            (one.scope, one.used_usd, one.unbooked_usd, one.unbooked_calls) for one in found
        }
        assert [(Decimal("-0.3"), Decimal("0.3"), True)] * 2 == [
            (one.excess_usd, one.booked_usd, one.repairable) for one in found
        ]
        assert found == admin.reconcile(MANDATE)
        assert {("user", Decimal("0.7")), ("team", Decimal("9.7"))} == {
            (one.scope, one.remaining_usd) for one in spender.store.look(ALICE)
        }
        repeated = spender.store.settle(_attempt(row), Decimal("0.30"))
        booked = "settled" if state == "held" else "late"
        assert [(booked, False)] * 2 == [(one.outcome, one.changed) for one in repeated.shares]
        assert ([], []) == (admin.reconcile(None), admin.adjustments(10))

    def test_what_is_not_booked_is_told_apart_from_what_is_wrongly_counted(
        self, spender: Spender, admin: BudgetAdminStore, ledger: Ledger, miscount: Miscount
    ) -> None:
        """One is booked, the other is made up for; neither hides the other."""
        spender.put()
        row = _reserved(spender, a_row("0.30"))
        ledger.record(LedgerBatch(rows=[row]))
        miscount("used", Decimal("0.30"))
        miscount("reserved", Decimal("-0.5"))
        (drift,) = admin.reconcile(MANDATE)
        assert (Decimal("0.3"), (row.call_key,), 0) == (drift.unbooked_usd, drift.unbooked_calls, drift.excess_usd)
        assert [("reconciliation", Decimal("0.3"))] == [(one.kind, one.amount_usd) for one in admin.adjustments(10)]
        assert (Decimal("0.6"), 0) == spender.figures()
        assert Decimal("0.7") == spender.standing().remaining_usd
        assert [] == admin.reconcile(None)

    def test_a_call_that_cost_nothing_is_not_missing(
        self, spender: Spender, admin: BudgetAdminStore, ledger: Ledger
    ) -> None:
        """What was set aside for it was given back, and its row says that nobody pays."""
        spender.put()
        free, unknown = _reserved(spender, a_row("0")), a_row(None)
        spender.store.release(_attempt(free))
        spender.store.release(_attempt(_reserved(spender, unknown)))
        ledger.record(LedgerBatch(rows=[free, unknown]))
        assert [] == admin.reconcile(None)

    # -- tidying up ---------------------------------------------------------------------------------------------------

    def test_old_reservations_are_purged_and_not_forgotten(
        self, spender: Spender, admin: BudgetAdminStore, later: Later, miscount: Miscount
    ) -> None:
        """Counters are still explained without them, and errors in them still found; held ones stay."""
        spender.put(limit_usd="5")
        for usd in ("0.10", "0.20", "0.30"):
            _book(spender, usd)
        spender.store.release(spender.hold("0.1"))
        spender.hold("0.1", lease=90 * DAY)
        later(30 * DAY)
        _book(spender, "0.05")
        assert [3, 1, 0] == [admin.purge(30 * DAY, 3) for _ in range(3)]
        assert [] == admin.reconcile(None)
        assert amounts("0.65", "0.1") == spender.figures()
        miscount("used", Decimal("0.01"))
        assert [Decimal("0.01")] == [one.excess_usd for one in admin.reconcile(None)]

    def test_what_is_purged_can_be_old_enough_in_several_parts(
        self, spender: Spender, admin: BudgetAdminStore, later: Later
    ) -> None:
        """Younger ones stay, so that repetitions of their calls stay harmless."""
        spender.put()
        row = _book(spender, "0.10")
        later(7 * DAY)
        assert 0 == admin.purge(8 * DAY, 100)
        settled = spender.store.settle(_attempt(row), Decimal("0.10"), LedgerBatch(rows=[row]))
        assert [("settled", False)] == [(one.outcome, one.changed) for one in settled.shares]

    # -- what was spent when ------------------------------------------------------------------------------------------

    @pytest.mark.parametrize(
        ("scope", "subject"),
        [
            ("tenant", "acme"),
            ("user", "alice"),
            ("team", "support"),
            ("workflow", "nightly"),
            ("task", "triage"),
            ("model", MODEL),
            ("flow_run", "root-1"),
        ],
    )
    def test_the_spend_of_a_subject_is_told_by_the_hour(
        self, admin: BudgetAdminStore, ledger: Ledger, scope: Scope, subject: str
    ) -> None:
        """Oldest first; hours without spend, free attempts and what others spent are left out."""
        who = Attribution(
            user="alice",
            team="support",
            workflow="nightly",
            task_name="triage",
            flow_run_id="run-2",
            root_flow_run_id="root-1",
        )
        mine = [
            a_row(usd, attribution=who, created_at=NOON + timedelta(minutes=minutes))
            for usd, minutes in (("9", -90), ("0.1", 5), ("0.2", 55), ("0.4", 125), (None, 130), ("0", 190))
        ]
        others = Attribution(user="bob", team="sales", workflow="hourly", task_name="sort", root_flow_run_id="root-2")
        other = a_row("5", attribution=others, model="anthropic:claude", created_at=NOON)
        rows = [*mine, replace(other, tenant="umbrella"), other]
        ledger.record(LedgerBatch(rows=rows[:-1] if scope == "tenant" else rows))
        spent = admin.spend_by_hour(scope, subject, NOON)
        assert [(NOON, Decimal("0.3"), 2), (NOON + 2 * HOUR, Decimal("0.4"), 1)] == [
            (one.hour, one.spend_usd, one.attempts) for one in spent
        ]

    def test_a_run_that_is_its_own_root_spends_too(self, admin: BudgetAdminStore, ledger: Ledger) -> None:
        """The root may be unknown."""
        ledger.record(LedgerBatch(rows=[a_row("0.1", attribution=Attribution(flow_run_id="run-1"))]))
        assert [Decimal("0.1")] == [one.spend_usd for one in admin.spend_by_hour("flow_run", "run-1", NOON)]

    def test_all_counters_are_listed(self, spender: Spender, admin: BudgetAdminStore, later: Later) -> None:
        """Named subjects always, of everyone those who spend; budgets that are off are left out."""
        spender.put(subject="bob")
        spender.put(scope="team", subject="support", active=False)
        spender.put(scope="flow_run", subject="*", limit_usd="0.50", period="daily")
        spender.hold("0.10", subjects={"flow_run": "run-1"}, lease=90 * DAY)
        later(timedelta(minutes=1))
        spender.settle(spender.hold("0.30", subjects={"flow_run": "run-2"}), "0.25")
        standings = admin.standings(10)
        assert [("run-2", Decimal("0.25")), ("run-1", Decimal(0))] == [
            (one.subject, one.used_usd) for one in standings if one.scope == "flow_run"
        ]
        assert [("user", "bob")] == [(one.scope, one.subject) for one in standings if one.scope != "flow_run"]
        assert ["run-2"] == [one.subject for one in admin.standings(1)]

    def test_of_very_many_counters_each_budget_keeps_some(
        self, spender: Spender, admin: BudgetAdminStore, later: Later
    ) -> None:
        """Runs come without end; what a team has spent is told all the same."""
        spender.put(scope="team", subject="*", period="weekly")
        spender.put(scope="flow_run", subject="*", period="lifetime")
        spender.settle(spender.hold("0.30", subjects={"team": "support"}), "0.25")
        for number in range(4):
            later(timedelta(minutes=1))
            spender.settle(spender.hold("0.10", subjects={"flow_run": f"run-{number}"}), "0.10")
        assert ["run-3", "run-2", "support"] == [one.subject for one in admin.standings(3)]


def _book(spender: Spender, usd: str) -> LedgerRow:
    row = _reserved(spender, a_row(usd))
    spender.store.settle(_attempt(row), Decimal(usd), LedgerBatch(rows=[row]))
    return row


def _reserved(spender: Spender, row: LedgerRow) -> LedgerRow:
    assert spender.reserve("0.5", _attempt(row), subjects=ALICE).admitted
    return row


def _attempt(row: LedgerRow) -> CallAttempt:
    return CallAttempt(row.call_key, row.attempt)
