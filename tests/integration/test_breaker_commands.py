"""Circuit breakers on the command line: listed, forced, reset, and their past."""

from __future__ import annotations

import json
from typing import Any

import pytest
import sqlalchemy as sa

from cognition.adapters.postgres.breakers import PostgresBreakers
from cognition.domain.breaker import BreakerKey, BreakerPolicy, BreakerVerdict
from cognition.domain.breaker_standing import BreakerResult
from tests.command_line import refusal, run

KEY = BreakerKey("openai-chat", "gpt-5-mini")


@pytest.fixture
def environment(engine: sa.Engine, database_url: str, redis_url: str) -> dict[str, str]:
    """Return the variables that lead to stores in which one breaker is open."""
    store = PostgresBreakers(engine, "default")
    for worker in "ababa":
        result = BreakerResult(verdict=BreakerVerdict.FAILURE, generation=1, worker=worker, error="ProviderTimeout")
        store.record(KEY, BreakerPolicy(), result)
    return {"COGNITION_DATABASE_URL": database_url, "COGNITION_REDIS_URL": redis_url}


def read(environment: dict[str, str], *arguments: str) -> Any:
    """Return what a command tells machines."""
    return json.loads(run(environment, "breaker", *arguments, "--json").stdout)


def test_list_says_what_is_open_and_for_how_long(environment: dict[str, str]) -> None:
    """For people and for machines."""
    (one,) = read(environment, "list")
    assert (str(KEY), "open", 5, "ProviderTimeout") == (
        one["breaker"],
        one["state"],
        one["consecutive_failures"],
        one["last_failure"],
    )
    assert 50 < one["open_seconds"] <= 66
    printed = run(environment, "breaker", "list").stdout
    assert str(KEY) in printed
    assert "ProviderTimeout" in printed


def test_a_person_forces_and_resets_it(environment: dict[str, str]) -> None:
    """Who and why can be read by everybody, and the history tells it newest first."""
    forced = read(environment, "force", str(KEY), "metrics_only", "--reason", "trial", "--by", "alice")
    assert ("open", "metrics_only", "alice", "trial") == (
        forced["from"],
        forced["to"],
        forced["actor"],
        forced["reason"],
    )
    assert "trial (alice)" in run(environment, "breaker", "list").stdout
    assert "is closed now" in run(environment, "breaker", "reset", str(KEY), "--by", "bob").stdout
    past = read(environment, "history", str(KEY))
    assert ["closed", "metrics_only", "open"] == [change["to"] for change in past]
    assert ["bob", "alice", None] == [change["actor"] for change in past]
    assert past == read(environment, "history")
    assert "threshold" in run(environment, "breaker", "history", "--limit", "3").stdout


def test_old_changes_are_purged(environment: dict[str, str]) -> None:
    """Only those that are old enough."""
    assert {"purged": 0} == read(environment, "purge")
    assert "Deleted 1 old changes." in run(environment, "breaker", "purge", "--days", "0").stdout
    assert [] == read(environment, "history")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("force", str(KEY), "open", "--reason", "trial"), "forced_open"),
        (("force", str(KEY), "ajar", "--reason", "trial"), "forced_open"),
        (("force", str(KEY), "disabled", "--reason", " "), "named"),
        (("reset", "gpt-5-mini"), "provider:model@scope"),
    ],
    ids=["no order", "no state", "no reason", "no breaker"],
)
def test_what_makes_no_sense_is_refused(environment: dict[str, str], arguments: tuple[str, ...], said: str) -> None:
    """In one sentence that says what to write instead."""
    assert said in refusal(environment, "breaker", *arguments)
