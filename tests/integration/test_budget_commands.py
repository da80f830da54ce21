"""Budgets on the command line: set, seen, adjusted, alerted about, foretold and reconciled."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa

from cognition.adapters.postgres.budgets import PostgresBudgets
from cognition.domain.attribution import Attribution
from cognition.domain.ledger import LedgerBatch
from cognition.domain.reservation import CallAttempt, Claim, subjects_of
from cognition.testing.contracts.samples import MODEL, a_row
from tests.command_line import refusal, run

NIGHTLY = ("--scope", "workflow", "--subject", "nightly", "--limit", "5.00", "--period", "daily")
PER_RUN = ("--scope", "flow_run", "--limit", "0.50", "--period", "lifetime")
WHO = Attribution(workflow="nightly", flow_run_id="run-1")


@pytest.fixture
def environment(database_url: str, redis_url: str) -> dict[str, str]:
    """Return the variables that lead to stores without budgets."""
    return {"COGNITION_DATABASE_URL": database_url, "COGNITION_REDIS_URL": redis_url}


@pytest.fixture
def spent(environment: dict[str, str], engine: sa.Engine) -> dict[str, str]:
    """Return the variables that lead to two budgets of which most was spent, in two hours."""
    for budget in (NIGHTLY, PER_RUN):
        say(environment, "set", *budget)
    for usd, age in (("0.25", 1), ("0.20", 0)):
        at = datetime.now(UTC) - timedelta(hours=age)
        row = a_row(usd, tenant="default", attribution=WHO, created_at=at)
        attempt = CallAttempt(row.call_key, row.attempt)
        store = PostgresBudgets(engine, "default")
        subjects = subjects_of("default", WHO, MODEL)
        store.reserve(Claim(attempt=attempt, subjects=subjects, estimate_usd=Decimal(usd), holder="here"))
        store.settle(attempt, Decimal(usd), LedgerBatch(rows=[row]))
    return environment


def say(environment: dict[str, str], *arguments: str) -> str:
    """Run a command of budgets, and return what it prints for people."""
    return run(environment, "budget", *arguments).stdout


def read(environment: dict[str, str], *arguments: str) -> Any:
    """Return what a command of budgets tells machines."""
    return json.loads(say(environment, *arguments, "--json"))


def test_a_budget_is_set_and_listed(environment: dict[str, str]) -> None:
    """Every option reaches the budget, and setting it again changes it."""
    zone = ("--timezone", "Europe/Berlin", "--soft-limit", "0.75")
    first = say(environment, "set", *NIGHTLY, *zone)
    assert first.startswith("workflow:nightly:daily may spend $5.00, for every process; its id is ")
    more = ("--on-hard", "downgrade", "--downgrade-to", "openai:gpt-5-nano", "--on-unknown-price", "ceiling")
    rest = ("--price-ceiling", "0.10", "--on-store-down", "last_known", "--last-known-minutes", "5")
    budget_id = read(environment, "set", *NIGHTLY, *zone, *more, *rest)["budget_id"]
    assert budget_id in first
    (listed,) = read(environment, "list")
    expected = {
        "budget_id": budget_id,
        "scope": "workflow",
        "subject": "nightly",
        "limit_usd": "5.000000000",
        "period": "daily",
        "length": 0,
        "timezone": "Europe/Berlin",
        "week_start": 1,
        "soft_limit": "0.7500",
        "on_soft": "warn",
        "on_hard": "downgrade",
        "downgrade_to": "openai:gpt-5-nano",
        "on_unknown_price": "ceiling",
        "price_ceiling_usd": "0.100000000",
        "on_store_down": "last_known",
        "last_known_max_age": 300,
        "active": True,
    }
    assert expected == listed
    printed = say(environment, "list")
    assert all(word in printed for word in ("workflow:nightly", "$5.00", "75%", "daily, Europe/Berlin", "yes"))


def test_what_is_not_named_stays(environment: dict[str, str]) -> None:
    """And what changed is said; what only the old policy had goes with it."""
    same = NIGHTLY[:4] + NIGHTLY[6:]
    rest = ("--timezone", "Europe/Berlin", "--on-unknown-price", "ceiling", "--price-ceiling", "0.10")
    assert "Changed" not in say(environment, "set", *NIGHTLY, *rest, "--on-store-down", "open")
    (before,) = read(environment, "list")

    said = say(environment, "set", *same, "--limit", "7.50")
    assert "workflow:nightly:daily may spend $7.50, for every process; its id is " in said
    assert "Changed: limit_usd is 7.5, it was 5.\n" in said
    assert [before | {"limit_usd": "7.500000000"}] == read(environment, "list")
    assert "It was so before." in say(environment, "set", *same)

    told = read(environment, "set", *same, "--on-unknown-price", "refuse", "--on-store-down", "open")
    assert (before["budget_id"], False) == (told["budget_id"], told["is_new"])
    assert {"on_unknown_price": ["ceiling", "refuse"], "price_ceiling_usd": ["0.100000000", None]} == told["changed"]
    (after,) = read(environment, "list")
    assert ("Europe/Berlin", "open") == (after["timezone"], after["on_store_down"])


def test_setting_a_budget_that_is_off_lets_it_count_again(environment: dict[str, str]) -> None:
    """That is a change too; another period is another budget."""
    say(environment, "set", *NIGHTLY)
    say(environment, "deactivate", "workflow:nightly")
    assert "Changed: active is True, it was False." in say(environment, "set", *NIGHTLY)
    assert read(environment, "set", *NIGHTLY[:-1], "weekly")["is_new"]
    assert 2 == len(read(environment, "list"))


def test_a_rolling_budget_has_a_length(environment: dict[str, str]) -> None:
    """In hours."""
    rolling = ("--scope", "user", "--limit", "1", "--period", "rolling", "--length-hours", "36", "--week-start", "7")
    say(environment, "set", *rolling)
    (listed,) = read(environment, "list")
    assert ("*", 36 * 3600, 7) == (listed["subject"], listed["length"], listed["week_start"])
    assert "rolling 36 hours" in say(environment, "list")


def test_the_status_shows_what_is_left(spent: dict[str, str]) -> None:
    """Of all, or of what limits somebody's calls."""
    assert {("nightly", "4.550000000"), ("run-1", "0.050000000")} == {
        (one["subject"], one["remaining_usd"]) for one in read(spent, "status")
    }
    assert ["run-1"] == [one["subject"] for one in read(spent, "status", "--flow-run", "run-1")]
    printed = say(spent, "status", "--workflow", "nightly", "--flow-run", "run-1")
    assert "lifetime budget of flow run run-1" in printed
    assert all(word in printed for word in ("$0.45", "$4.55", "$0.05", "$5.00", "never"))


def test_people_adjust(spent: dict[str, str]) -> None:
    """Raise, reset and transfer; the history tells who and why."""
    raised = say(spent, "adjust", "raise", "workflow:nightly", "1.50", "--reason", "demo", "--by", "bob")
    assert "nightly may spend $1.50 more" in raised
    (reset,) = read(spent, "adjust", "reset", "flow_run:run-1", "--reason", "again", "--by", "carol")
    assert ("reset", "0.450000000", "carol", "again") == tuple(
        reset[name] for name in ("kind", "amount_usd", "actor", "reason")
    )
    assert "Nothing was spent" in say(spent, "adjust", "reset", "flow_run:run-1", "--reason", "again")
    moved = read(spent, "adjust", "transfer", "workflow:nightly", "flow_run:run-1", "1", "--reason", "it needs more")
    assert ["-1.000000000", "1.000000000"] == [one["amount_usd"] for one in moved]
    history = read(spent, "adjust", "history")
    assert ["transfer", "transfer", "reset", "raise"] == [one["kind"] for one in history]
    assert "it needs more" in say(spent, "adjust", "history", "--limit", "2")


def test_people_look_after_alerts(spent: dict[str, str]) -> None:
    """They see them, take notice, and end them."""
    (alert,) = read(spent, "alerts")
    assert ("open", "run-1", "0.8000") == (alert["state"], alert["subject"], alert["threshold"])
    taken = say(spent, "ack", alert["alert_id"][:8], "--by", "bob", "--note", "on it")
    assert taken == "The alert of the lifetime budget of flow run run-1 is acknowledged by bob.\n"
    printed = say(spent, "alerts", "--state", "acknowledged")
    assert all(word in printed for word in ("80%", "$0.45", "$0.50", "bob", "on it", alert["alert_id"][:8]))
    assert "resolved" == read(spent, "resolve", alert["alert_id"])["state"]
    assert ([], "Alerts: nothing found.\n") == (read(spent, "alerts"), say(spent, "alerts", "--state", "open"))


def test_a_forecast_says_what_it_goes_by(spent: dict[str, str]) -> None:
    """Method, rate and data count; of one budget or of all."""
    (told,) = read(spent, "forecast", "flow_run:run-1")
    assert ("mean hourly spend", 2, 2) == (told["method"], told["hours"], told["attempts"])
    assert datetime.fromisoformat(told["exhausted_at"]) > datetime.now(UTC)
    assert 2 == len(read(spent, "forecast"))
    assert "lifetime budget of flow run run-1" in say(spent, "forecast")


def test_counters_are_reconciled(spent: dict[str, str], engine: sa.Engine) -> None:
    """Differences are printed, and made up for when somebody says so."""
    assert "Counters that differ: nothing found.\n" == say(spent, "reconcile")
    with engine.connect() as connection:
        statement = "UPDATE budget_periods SET used_usd = used_usd + 1 WHERE subject = 'nightly'"
        connection.execute(sa.text(statement))
    (drift,) = read(spent, "reconcile")
    assert ("nightly", "1.000000000") == (drift["subject"], drift["excess_usd"])
    repaired = say(spent, "reconcile", "--repair", "--by", "bob", "--reason", "restored")
    assert "$1.45" in repaired
    assert "Made up for 1 of 1." in repaired
    assert [] == read(spent, "reconcile")


def test_calls_that_no_budget_booked_are_named_and_booked(spent: dict[str, str], engine: sa.Engine) -> None:
    """They stand in the ledger, as after a failure of the budgets alone."""
    with engine.connect() as connection:
        statement = "UPDATE budget_reservations SET state = 'expired', settled_usd = NULL WHERE subject = 'nightly'"
        connection.execute(sa.text(statement))
        connection.execute(sa.text("UPDATE budget_periods SET used_usd = 0 WHERE subject = 'nightly'"))
    (drift,) = read(spent, "reconcile")
    assert f"not booked: {', '.join(drift['unbooked_calls'])}." in say(spent, "reconcile")
    assert f"booked now: {', '.join(drift['unbooked_calls'])}." in say(spent, "reconcile", "--repair", "--by", "bob")
    assert [] == read(spent, "reconcile")


def test_periods_are_closed_and_reservations_purged(spent: dict[str, str], engine: sa.Engine) -> None:
    """Those that are old enough."""
    assert ([], {"purged": 0}) == (read(spent, "close"), read(spent, "purge"))
    with engine.connect() as connection:
        connection.execute(sa.text("UPDATE budget_reservations SET ended_at = ended_at - interval '31 days'"))
        connection.execute(sa.text("UPDATE budget_periods SET period_end = now() WHERE period_end < 'infinity'"))
    assert "Deleted 4 old reservations." in say(spent, "purge")
    printed = say(spent, "close")
    assert "daily budget of workflow nightly" in printed
    assert "$0.45" in printed


def test_a_budget_is_switched_off(spent: dict[str, str]) -> None:
    """It limits nothing any more."""
    assert "workflow:nightly:daily limits nothing any more.\n" == say(spent, "deactivate", "workflow:nightly")
    assert [] == read(spent, "status", "--workflow", "nightly")
    assert "no" in say(spent, "list")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("set", "--scope", "flow", "--limit", "1", "--period", "daily"), "scope is 'flow'; write one of tenant,"),
        (("set", "--scope", "user", "--limit", "1,50", "--period", "daily"), "--limit is '1,50'; write US dollars"),
        (("set", "--scope", "user", "--limit", "1", "--period", "yearly"), "period is 'yearly'"),
        (("set", *NIGHTLY[:4], *NIGHTLY[6:]), "A new budget needs a limit; add --limit"),
        (("set", *NIGHTLY, "--timezone", "Berlin"), "There is no time zone 'Berlin'"),
        (("adjust", "raise", "user:bob", "1", "--reason", "x"), "There is no budget user:bob"),
        (("ack", str(UUID(int=7))), "There is no alert"),
        (("alerts", "--state", "shut"), "There is no alert 'shut'"),
    ],
)
def test_what_makes_no_sense_is_refused(environment: dict[str, str], arguments: tuple[str, ...], said: str) -> None:
    """In one sentence that says what to write instead."""
    assert said in refusal(environment, "budget", *arguments)
