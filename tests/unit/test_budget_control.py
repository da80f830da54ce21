"""What people do with budgets through `engine.budgets`."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest

from cognition import Budget
from cognition.domain.attribution import Attribution
from cognition.domain.budget_alert import Alert
from cognition.domain.ledger import LedgerBatch
from cognition.domain.reservation import CallAttempt, Claim, subjects_of
from cognition.errors import ConfigurationError
from cognition.services.budget_control import BudgetControl
from cognition.testing.contracts.samples import a_row
from tests.unit.memory_engine import Rig

HOUR = timedelta(hours=1)
NIGHTLY = Budget(scope="workflow", subject="nightly", limit_usd="5.00", period="daily", timezone="Europe/Berlin")
ONE = "workflow:nightly"
BY = {"by": "bob", "reason": "end of the quarter"}


@pytest.fixture
def budgets(rig: Rig) -> BudgetControl:
    """Return the budgets of an engine without any."""
    return rig.engine.budgets


def spend(rig: Rig, usd: str, workflow: str = "nightly", flow_run: str = "run-1") -> None:
    """Let a run of a workflow spend money."""
    who = Attribution(workflow=workflow, flow_run_id=flow_run)
    row = a_row(usd, tenant="default", attribution=who, created_at=rig.clock())
    attempt = CallAttempt(row.call_key, row.attempt)
    subjects = subjects_of("default", who, row.model)
    rig.budgets.reserve(Claim(attempt=attempt, subjects=subjects, estimate_usd=Decimal(usd), holder="here"))
    rig.budgets.settle(attempt, Decimal(usd), LedgerBatch(rows=[row]))


# -- budgets ----------------------------------------------------------------------------------------------------------


def test_a_budget_is_set_listed_and_switched_off(budgets: BudgetControl) -> None:
    """Setting it again with another limit changes it; one that is off limits nothing and can be set again."""
    budget_id = budgets.set(NIGHTLY)
    assert budget_id == budgets.set(replace(NIGHTLY, limit_usd="6"), by="alice")
    assert [replace(NIGHTLY, limit_usd="6", budget_id=budget_id)] == budgets.list()
    assert not budgets.deactivate("workflow:nightly").active
    assert [] == budgets.status(workflow="nightly")
    assert budget_id == budgets.set(NIGHTLY)
    assert 1 == len(budgets.status(workflow="nightly"))


def test_a_tenant_s_budget_must_be_its_own(budgets: BudgetControl) -> None:
    """Another name would limit nobody, in silence."""
    with pytest.raises(ConfigurationError, match="write subject='default'"):
        budgets.set(replace(NIGHTLY, scope="tenant", subject="acme"))
    budgets.set(replace(NIGHTLY, scope="tenant", subject="default"))
    assert ["tenant"] == [one.scope for one in budgets.status(user="alice")]


def test_the_status_is_that_of_somebody_or_of_all(rig: Rig, budgets: BudgetControl) -> None:
    """By the scopes that a call has."""
    budgets.set(NIGHTLY)
    budgets.set(Budget.per_run("0.50"))
    spend(rig, "0.25")
    assert {("workflow", Decimal("4.75")), ("flow_run", Decimal("0.25"))} == {
        (one.scope, one.remaining_usd) for one in budgets.status(workflow="nightly", flow_run="run-1")
    }
    assert {"nightly", "run-1"} == {one.subject for one in budgets.status()}
    assert [Decimal("0.50")] == [one.remaining_usd for one in budgets.status(flow_run="run-2")]
    with pytest.raises(ConfigurationError, match="Budgets have no flow; ask for some of tenant, user, "):
        budgets.status(flow="nightly")  # pyright: ignore[reportCallIssue]  it is wrong


# -- adjustments ------------------------------------------------------------------------------------------------------


def test_people_raise_reset_and_transfer(rig: Rig, budgets: BudgetControl) -> None:
    """By name, and the history says who and why."""
    budgets.set(NIGHTLY)
    budgets.set(Budget.per_run("0.50"))
    spend(rig, "0.40")
    budgets.raise_limit("workflow:nightly", "1.50", **BY)
    assert Decimal("6.1") == budgets.status(workflow="nightly")[0].remaining_usd
    assert [Decimal("0.4")] == [one.amount_usd for one in budgets.reset("flow_run:run-1", **BY)]
    budgets.transfer("workflow:nightly", "flow_run:run-1", 1, **BY)
    assert Decimal("1.5") == budgets.status(flow_run="run-1")[0].remaining_usd
    assert ["transfer", "transfer", "reset", "raise"] == [one.kind for one in budgets.adjustments()]
    assert {("bob", "end of the quarter")} == {(one.actor, one.reason) for one in budgets.adjustments()}


@pytest.mark.parametrize(
    ("method", "arguments", "words", "said"),
    [
        ("raise_limit", ("workflow:hourly", 1), BY, "There is no budget workflow:hourly"),
        ("raise_limit", (ONE, "0"), BY, "more than 0 US dollars"),
        ("raise_limit", (ONE, "-1"), BY, "zero or more"),
        ("raise_limit", (ONE, 1.5), BY, "write money as text or Decimal"),
        ("raise_limit", (ONE, 1), {"by": "bob", "reason": " "}, "Who adjusts a budget, and why"),
        ("reset", (ONE,), {"by": "", "reason": "why"}, "Who adjusts a budget, and why"),
        ("reset", ("flow_run:*",), BY, "of each flow run separately; name one, as flow_run:NAME"),
        ("transfer", (ONE, ONE, 1), BY, "to itself; name two"),
        ("transfer", (ONE, "flow_run:a", "5.01"), BY, r"has less than \$5.01 left"),
        ("reconcile", (), {"repair": True, "by": ""}, "Who adjusts a budget, and why"),
        ("alerts", ("closed",), {}, "There is no alert 'closed'; use open, acknowledged, resolved"),
        ("acknowledge", ("7",), {"by": "bob"}, "'7' is no alert's id"),
        ("acknowledge", (UUID(int=7),), {"by": "bob"}, "There is no alert 00000000-0000-0000-0000-000000000007"),
        ("resolve", (UUID(int=7),), {"by": " "}, "must be named"),
        ("purge", (timedelta(hours=23),), {}, "kept for a day at least"),
    ],
)
def test_what_makes_no_sense_is_refused(
    budgets: BudgetControl, method: str, arguments: tuple[Any, ...], words: dict[str, Any], said: str
) -> None:
    """In one sentence that says what to write instead; nothing is adjusted."""
    budgets.set(NIGHTLY)
    budgets.set(Budget.per_run("0.50"))
    with pytest.raises(ConfigurationError, match=said) as raised:
        getattr(budgets, method)(*arguments, **words)
    assert str(raised.value).endswith(".")
    assert [] == budgets.adjustments()


# -- alerts -----------------------------------------------------------------------------------------------------------


def test_people_take_notice_of_alerts_and_end_them(rig: Rig, budgets: BudgetControl) -> None:
    """By default those are listed that are not over."""
    budgets.set(NIGHTLY)
    spend(rig, "4.50")
    (alert,) = budgets.alerts()
    assert "daily budget of workflow nightly" == alert.name
    assert "acknowledged" == budgets.acknowledge(str(alert.alert_id), by="bob", note="on it").state
    assert ([], 1) == (budgets.alerts("open"), len(budgets.alerts()))
    assert "resolved" == budgets.resolve(alert.alert_id, by="bob").state
    assert ([], 1) == (budgets.alerts(), len(budgets.alerts("resolved")))
    with pytest.raises(ConfigurationError, match="is resolved already"):
        budgets.acknowledge(alert.alert_id, by="carol")


def test_alerts_are_delivered_and_those_that_fail_come_again(rig: Rig, budgets: BudgetControl) -> None:
    """One that the sink does not take keeps no other one back."""
    budgets.set(Budget.per_run("0.50"))
    for run in ("a", "b"):
        spend(rig, "0.45", flow_run=run)
    taken: list[str] = []

    def sink(alert: Alert) -> None:
        if alert.subject == "a" and alert.deliveries == 1:
            raise OSError
        taken.append(alert.subject)

    first = budgets.deliver(sink)
    again = budgets.deliver(sink)
    rig.clock.advance(HOUR)
    later = budgets.deliver(sink)

    assert [(1, 1), (0, 0), (1, 0)] == [(one.delivered, one.failed) for one in (first, again, later)]
    assert ["b", "a"] == taken


# -- maintenance ------------------------------------------------------------------------------------------------------


def test_a_forecast_is_of_one_budget_or_of_all(rig: Rig, budgets: BudgetControl) -> None:
    """From the hours of the present period; what is spent elsewhere does not count."""
    budgets.set(NIGHTLY)
    rolling = Budget(scope="workflow", subject="nightly", limit_usd="2", period="rolling", length=6 * HOUR)
    budgets.set(rolling)
    for usd in ("1", "1"):
        spend(rig, "9", workflow="hourly")
        spend(rig, usd)
        rig.clock.advance(HOUR)
    (told,) = budgets.forecast("workflow:nightly:daily")
    assert (2, 2, Decimal(1)) == (told.hours, told.attempts, told.hourly_usd)
    assert rig.clock() + 3 * HOUR == told.exhausted_at
    assert rig.clock() == budgets.forecast(rolling)[0].exhausted_at
    assert {"daily", "rolling"} == {one.standing.period for one in budgets.forecast()}
    budgets.deactivate(rolling)
    with pytest.raises(ConfigurationError, match="is off"):
        budgets.forecast(rolling)


def test_periods_are_closed_and_reservations_purged(rig: Rig, budgets: BudgetControl) -> None:
    """When they are old enough, and once."""
    budgets.set(NIGHTLY)
    spend(rig, "4.50")
    assert ([], 0) == (budgets.close_periods(), budgets.purge())
    rig.clock.advance(timedelta(days=31))
    assert [Decimal("4.5")] == [one.used_usd for one in budgets.close_periods()]
    assert ([], []) == (budgets.close_periods(), budgets.alerts())
    assert (1, []) == (budgets.purge(), budgets.reconcile())


def test_drift_is_told_and_repaired(rig: Rig, budgets: BudgetControl) -> None:
    """Signed, or not at all."""
    budgets.set(NIGHTLY)
    spend(rig, "1")
    (counters,) = rig.budgets.books.counters.values()
    counters[0].used += Decimal("0.25")
    assert [Decimal("0.25")] == [one.excess_usd for one in budgets.reconcile()]
    budgets.reconcile(repair=True, by="carol", reason="restored")
    assert ([], Decimal(4)) == (budgets.reconcile(), budgets.status(workflow="nightly")[0].remaining_usd)
    assert [("reconciliation", "carol", "restored")] == [
        (one.kind, one.actor, one.reason) for one in budgets.adjustments()
    ]


def test_an_unknown_budget_is_none(budgets: BudgetControl) -> None:
    """Also by id."""
    with pytest.raises(ConfigurationError, match="There is no budget"):
        budgets.forecast(uuid4())
