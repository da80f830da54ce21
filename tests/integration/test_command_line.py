"""The command line over real stores: right figures for people and machines."""

from __future__ import annotations

import json
from collections.abc import Generator
from datetime import timedelta
from decimal import Decimal
from importlib.metadata import version
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import sqlalchemy as sa
from pydantic import SecretStr

from cognition import Attribution, Cognition, Credentials, Settings
from cognition.adapters.postgres import migrate
from cognition.adapters.postgres.budgets import PostgresBudgets
from cognition.domain.reservation import CallAttempt, Claim, subjects_of
from cognition.testing import FakeOpenAI, Reply, Usage, temporary_home
from tests.acceptance.spending import spend
from tests.command_line import run, run_process
from tests.older_budgets import grow_old
from tests.tiny_cross_encoder import write_cross_encoder

MODEL = "openai-chat:gpt-5-mini"
EMBEDDER = "local:all-minilm-l6-v2"
BUDGETS = ("prices of budgets", "alerts of budgets", "money set aside")

# 1000 tokens in and 100 out, at the public price of $0.25 and $2.00 a million.
COST = Decimal("0.00045")


@pytest.fixture
def environment(database_url: str, redis_url: str) -> dict[str, str]:
    """Return the variables that lead to the stores of this test."""
    return {"COGNITION_DATABASE_URL": database_url, "COGNITION_REDIS_URL": redis_url}


@pytest.fixture
def used(environment: dict[str, str]) -> dict[str, str]:
    """Return the variables after three calls: Alice twice the same in flow run A, Bob once in flow run B."""
    settings = Settings(
        database_url=SecretStr(environment["COGNITION_DATABASE_URL"]),
        redis_url=SecretStr(environment["COGNITION_REDIS_URL"]),
        model=MODEL,
    )
    alice = Attribution(workflow="nightly", user="alice", team="support", flow_run_id="run-a")
    bob = Attribution(workflow="hourly", user="bob", flow_run_id="run-b")
    with (
        FakeOpenAI(default=Reply(text="It depends.", usage=Usage(1000, 100))) as provider,
        Cognition.open(settings) as engine,
    ):
        known = Credentials(api_key="any", base_url=provider.base_url)
        for _ in range(2):
            engine.complete("Why?", namespace="triage", attribution=alice, credentials=known)
        engine.complete("When?", namespace="times", attribution=bob, credentials=known)
    return environment


@pytest.fixture
def own_home() -> Generator[dict[str, str]]:
    """Return the variable that names a home in which nothing runs."""
    with temporary_home() as home:
        yield {"COGNITION_HOME": str(home)}


def read(environment: dict[str, str], *arguments: str) -> Any:
    """Return what a command tells machines."""
    return json.loads(run(environment, *arguments, "--json").stdout)


def cells(printed: str) -> list[list[str]]:
    """Return the cells of the rows of a printed table."""
    return [[cell.strip() for cell in line.strip("│").split("│")] for line in printed.splitlines() if line[:1] == "│"]


def money(line: dict[str, Any]) -> tuple[Decimal, Decimal]:
    """Return what a line of a report says of cost and savings."""
    return Decimal(line["cost_usd"]), Decimal(line["saved_usd"])


def test_stats_counts_look_ups_by_layer(used: dict[str, str]) -> None:
    """One hit in L1; two calls looked there and in L2 in vain and were stored in both."""
    fast, durable = read(used, "stats")

    assert ("l1", 1, 2, 0, 2) == tuple(fast[name] for name in ("layer", "hits", "misses", "corrupt", "stores"))
    assert ("l2", 0, 2, 0, 2) == tuple(durable[name] for name in ("layer", "hits", "misses", "corrupt", "stores"))
    assert (pytest.approx(1 / 3), 0.0) == (fast["hit_rate"], durable["hit_rate"])
    assert (COST, 0) == (Decimal(fast["saved_usd"]), Decimal(durable["saved_usd"]))


def test_stats_are_a_table_for_people(used: dict[str, str]) -> None:
    """A row for each layer, with the share of hits and the money saved."""
    printed = run(used, "stats", "--hours", "2").stdout

    assert printed.startswith("The last 2 hours")
    l1, l2 = cells(printed)
    assert ["l1", "1", "2", "33.3%", "0", "0", "2", "$0.000450"] == l1
    assert ["l2", "0", "2", "0.0%", "0", "0", "2", "$0.000000"] == l2


def test_a_report_is_by_workflow_and_model(used: dict[str, str]) -> None:
    """Both workflows paid for one attempt; the hit saved as much."""
    lines = {line["workflow"]: line for line in read(used, "report")}

    figures = ("model", "calls", "hits", "attempts", "input_tokens", "output_tokens", "unpriced")
    assert (MODEL, 2, 1, 1, 1000, 100, 0) == tuple(lines["nightly"][name] for name in figures)
    assert (MODEL, 1, 0, 1, 1000, 100, 0) == tuple(lines["hourly"][name] for name in figures)
    assert [(COST, COST), (COST, Decimal(0))] == [money(lines["nightly"]), money(lines["hourly"])]


def test_a_report_may_have_other_dimensions(used: dict[str, str]) -> None:
    """In the order of the option, spaces allowed; nobody is null."""
    lines = read(used, "report", "--by", "user, team")

    assert [("user", "team", "calls")] * 2 == [tuple(line)[:3] for line in lines]
    assert {("alice", "support"), ("bob", None)} == {(line["user"], line["team"]) for line in lines}


def test_a_report_may_cover_one_flow_run(used: dict[str, str]) -> None:
    """Only the calls of that run are summed up."""
    (line,) = read(used, "report", "--by", "user", "--flow-run", "run-b")

    assert ("bob", 1, COST) == (line["user"], line["calls"], Decimal(line["cost_usd"]))
    assert [] == read(used, "report", "--flow-run", "run-c")


def test_a_report_may_cover_one_call(environment: dict[str, str]) -> None:
    """Its attempts, whenever they were, by the id that its completion has."""
    settings = Settings(
        database_url=SecretStr(environment["COGNITION_DATABASE_URL"]),
        redis_url=SecretStr("memory://"),
        model=MODEL,
    )
    with FakeOpenAI() as provider, Cognition.open(settings) as engine:
        known = Credentials(api_key="any", base_url=provider.base_url)
        done, _ = (engine.complete(prompt, credentials=known) for prompt in ("Why?", "When?"))

    (line,) = read(environment, "report", "--by", "status", "--call", done.request_id)

    assert ("ok", 1) == (line["status"], line["calls"])
    assert "is no call's id" in run(environment, "report", "--call", "nothing", code=1).stderr


def test_a_report_is_a_table_for_people(used: dict[str, str]) -> None:
    """With a row for each group; money in full, no group as a dash."""
    rows = {row[0]: row[1:] for row in cells(run(used, "report", "--by", "user,team").stdout)}

    assert {
        "alice": ["support", "2", "1", "1,100", "$0.000450", "$0.000450"],
        "bob": ["-", "1", "0", "1,100", "$0.000450", "$0.000000"],
    } == rows


def test_a_report_of_nothing_says_so(used: dict[str, str]) -> None:
    """An empty table would leave people in doubt."""
    assert "The last 24 hours: nothing found.\n" == run(used, "report", "--flow-run", "run-c").stdout


def test_the_version_is_told() -> None:
    """As for every command line."""
    assert f"{version('prefect-cognition')}\n" == run({}, "--version").stdout


@pytest.mark.parametrize(
    ("condition", "dropped"),
    [
        ("--namespace triage", 1),
        ("--namespace nowhere", 0),
        (f"--model {MODEL}", 2),
        ("--tag team:support", 1),
        ("--older-than-hours 0", 2),
        ("--older-than-hours 1", 0),
        ("--tag user:alice --namespace times", 0),
    ],
)
def test_invalidate_drops_what_a_condition_finds(used: dict[str, str], condition: str, dropped: int) -> None:
    """In L2 that many are counted, and what another process then finds there is the rest."""
    result = read(used, "cache", "invalidate", *condition.split())

    assert dropped == result["dropped"]["l2"]
    with sa.create_engine(used["COGNITION_DATABASE_URL"], poolclass=sa.NullPool).connect() as connection:
        assert 2 - dropped == connection.scalar(sa.text("SELECT count(*) FROM llm_cache"))


def test_invalidate_says_what_it_dropped(used: dict[str, str]) -> None:
    """For people, by layer."""
    assert "1 in l2." in run(used, "cache", "invalidate", "--namespace", "triage").stdout


def test_purge_deletes_only_what_expired(used: dict[str, str]) -> None:
    """Machines and people are told how many."""
    assert {"purged": 0} == read(used, "cache", "purge")
    with sa.create_engine(used["COGNITION_DATABASE_URL"], poolclass=sa.NullPool).begin() as connection:
        connection.execute(sa.text("UPDATE llm_cache SET expires_at = now() - interval '1 day'"))

    assert {"purged": 1} == read(used, "cache", "purge", "--limit", "1")
    assert "Purged 1 expired entries.\n" == run(used, "cache", "purge").stdout


def test_the_doctor_finds_nothing_to_do(environment: dict[str, str]) -> None:
    """Every check is fine, and the exit code says so too."""
    findings = read(environment, "doctor")

    checks = {finding["check"]: finding["detail"] for finding in findings}
    assert {"settings", "stores", "spool", *BUDGETS, "semantic layer", "local model", "provider keys"} == checks.keys()
    assert all(finding["ok"] for finding in findings)
    assert "no embedder is set; set COGNITION_EMBEDDER" in checks["semantic layer"]


def test_the_doctor_tries_the_embedder(environment: dict[str, str]) -> None:
    """One that works answers, and of one that does not the sentence says what to write instead."""
    finding = {one["check"]: one for one in read(environment | {"COGNITION_EMBEDDER": EMBEDDER}, "doctor")}
    assert finding["semantic layer"]["detail"].startswith(f"{EMBEDDER} answered after")

    done = run(environment | {"COGNITION_EMBEDDER": "local:nothing"}, "doctor", code=1)
    assert f"fix  semantic layer: There is no local embedder 'nothing'; write one of: {EMBEDDER}." in done.stdout


def test_the_doctor_tries_the_verifier(environment: dict[str, str], tmp_path: Path) -> None:
    """One that works answers, and of one that does not the sentence says what is missing."""
    write_cross_encoder(tmp_path / "tiny", ["LABEL_0"], [4.0])
    wanted = environment | {"COGNITION_EMBEDDER": EMBEDDER, "COGNITION_VERIFIER": f"onnx:{tmp_path / 'tiny'}"}
    finding = {one["check"]: one for one in read(wanted, "doctor")}
    assert f"; onnx:{tmp_path / 'tiny'} answered after" in finding["semantic layer"]["detail"]

    (tmp_path / "tiny" / "model.onnx").unlink()
    assert "lacks model.onnx" in run(wanted, "doctor", code=1).stdout


def test_the_doctor_looks_at_budgets(environment: dict[str, str], engine: sa.Engine) -> None:
    """A budget that refuses, an alert that nobody was told of and money of a dead process; each with what to do."""
    run(environment, "budget", "set", "--scope", "user", "--limit", "1.00", "--period", "daily")
    spend(engine, "0.85", Attribution(user="alice"))
    subjects = subjects_of("default", Attribution(user="bob"), MODEL)
    claim = Claim(attempt=CallAttempt(uuid4()), subjects=subjects, estimate_usd=Decimal("0.10"), holder="gone")
    PostgresBudgets(engine, "default").reserve(claim)
    grow_old(engine, timedelta(hours=2))

    done = run(environment | {"COGNITION_MODEL": "openai:unheard-of"}, "doctor", code=1)

    prices, alerts, held = (next(line for line in done.stdout.splitlines() if check in line) for check in BUDGETS)
    assert prices.startswith(
        "fix  prices of budgets: nobody knows the price of openai:unheard-of, so that user:*:daily"
    )
    assert alerts.startswith(
        "fix  alerts of budgets: 1 alert is over an hour old, the oldest of the daily budget of user"
    )
    assert held.startswith("fix  money set aside: $0.10 of 1 call is set aside by processes that ended")

    run(environment, "budget", "ack", str(read(environment, "budget", "alerts")[0]["alert_id"]))
    run(environment, "budget", "close")
    assert {True} == {one["ok"] for one in read(environment, "doctor")}


def test_the_doctor_finds_a_misspelt_variable(environment: dict[str, str]) -> None:
    """One line says what to do; everything else is checked nevertheless."""
    done = run(environment | {"COGNITION_REDDIS_URL": "redis://localhost"}, "doctor", code=1)

    marks = {line[5:].strip().partition(":")[0]: line[:4].strip() for line in done.stdout.splitlines()}
    assert {
        "settings": "fix",
        "stores": "ok",
        "spool": "ok",
        **dict.fromkeys(BUDGETS, "ok"),
        "semantic layer": "ok",
        "local model": "ok",
        "provider keys": "ok",
    } == marks
    assert "nothing reads COGNITION_REDDIS_URL; check the spelling" in done.stdout
    assert "" == done.stderr


def test_a_database_is_brought_to_the_schema(environment: dict[str, str]) -> None:
    """From no schema to the newest one; after that `db current` is content."""
    migrate.downgrade(environment["COGNITION_DATABASE_URL"], "base")

    assert {"before": None, "revision": migrate.head()} == read(environment, "db", "upgrade")
    assert f"{migrate.head()}\n" == run(environment, "db", "current").stdout
    assert {"revision": migrate.head(), "needed": migrate.head()} == read(environment, "db", "current")


def test_embedded_servers_are_started_described_and_stopped(own_home: dict[str, str]) -> None:
    """The URLs that `up` prints can be used until `down`."""
    assert [False, False] == [server["running"] for server in read(own_home, "status")["servers"]]

    stores = dict(line.split("=", 1) for line in run_process(own_home, "up").stdout.splitlines())
    run(stores, "db", "upgrade")
    assert {name.removeprefix("COGNITION_").lower(): url for name, url in stores.items()} == read(own_home, "up")
    assert [True, True] == [server["running"] for server in read(own_home, "status")["servers"]]

    assert "Stopped postgresql and valkey.\n" == run_process(own_home, "down").stdout
    assert 2 == run(own_home, "status").stdout.count("does not run")
    assert {"stopped": []} == read(own_home, "down")
