"""A chargeback adds up to the ledger, to the last digit, whatever it is cut along."""

from __future__ import annotations

import csv
import io
import json
import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy import Engine, text
from typer.testing import CliRunner

from cognition.adapters.postgres.ledger import PostgresLedger
from cognition.adapters.postgres.report_store import PostgresReports
from cognition.cli import app
from cognition.domain.attribution import Attribution
from cognition.domain.charges import MEASURES, Sums, added
from cognition.domain.entry import Layer
from cognition.domain.ledger import LedgerBatch, LedgerRow
from cognition.domain.pricing import Cost
from cognition.errors import CognitionError
from cognition.services.chargeback import CUTS, Chargeback, chargeback
from cognition.testing.contracts.samples import NOON, a_row

ADJUSTMENT = """
INSERT INTO llm_cost_tracking (tenant, call_key, attempt, request_id, request_key, payload_hash, status, namespace,
    provider, model, requested_model, cost_usd, adjusted_by, adjustment_reason, created_at)
VALUES ('acme', gen_random_uuid(), 0, gen_random_uuid(), '\\x00', '\\x00', 'adjustment', 'support', 'openai-chat',
    'openai-chat:gpt-5-mini', 'openai-chat:gpt-5-mini', -0.000000003, 'alice', 'credit note', :at)
"""


@pytest.fixture
def rows(engine: Engine) -> list[LedgerRow]:
    """Return what stands in the ledger besides one adjustment: odd cents, hits, failed attempts, unknown prices."""
    written = list(_rows(random.Random(7), 300))  # noqa: S311  no secret
    PostgresLedger(engine).record(LedgerBatch(rows=written))
    with engine.connect() as connection:
        connection.execute(text(ADJUSTMENT), {"at": NOON})
    return written


def _rows(draw: random.Random, count: int) -> Sequence[LedgerRow]:
    rows: list[LedgerRow] = []
    for number in range(count):
        who = Attribution(
            workflow=draw.choice(["nightly", "hourly", None]),
            flow_run_id=f"run-{number % 40}",
            task_name=draw.choice(["triage", "summarise"]),
            user=draw.choice(["alice", "bob", None, 'o"neill, |ann']),
            team=draw.choice(["support", None]),
        )
        row = a_row(
            draw.choice(["0.000000001", "0.123456789", "1234567.000000007", None]),
            attribution=who,
            model=draw.choice(["openai-chat:gpt-5-mini", "ollama:qwen3"]),
            created_at=NOON + timedelta(hours=number),
        )
        if number % 3 == 0:
            layer = draw.choice([Layer.L1, Layer.L2, Layer.L3])
            nothing = Cost(usd=Decimal(0), source="cache", version="")
            rows.append(
                replace(row, status="cache_hit", layer=layer, attempt=0, cost=nothing, saved_usd=Decimal("0.1"))
            )
        elif number % 7 == 0:
            rows.append(replace(row, status="failed_billed", error="ProviderTimeout"))
            rows.append(replace(row, attempt=2, model="ollama:qwen3"))
        else:
            rows.append(row)
    return rows


def _expected(rows: Sequence[LedgerRow], adjusted: str = "-0.000000003") -> Sums:
    """Return what the rows add up to, worked out without SQL."""
    attempts = [row for row in rows if not row.cache_hit]
    return Sums(
        calls=len({row.call_key for row in rows}),
        hits=sum(row.cache_hit for row in rows),
        attempts=len(attempts),
        input_tokens=sum(row.usage.input_tokens for row in attempts),
        output_tokens=sum(row.usage.output_tokens for row in attempts),
        cost_usd=sum((row.cost.usd for row in rows if row.cost), Decimal(adjusted)),
        saved_usd=sum((row.saved_usd or Decimal(0) for row in rows), Decimal(0)),
        unpriced=sum(row.cost is None for row in attempts),
    )


def _report(engine: Engine) -> Chargeback:
    return chargeback(PostgresReports(engine), "acme", (*CUTS, "namespace"), None, None)


def test_the_total_is_the_ledgers(engine: Engine, rows: list[LedgerRow]) -> None:
    """Every figure, money to the ninth place, an adjustment included; a retried call is one call."""
    assert _expected(rows) == _report(engine).total


def test_each_cut_adds_up_to_the_total(engine: Engine, rows: list[LedgerRow]) -> None:
    """By whatever it is cut, also by model, where the attempts of one call may stand in two lines."""
    del rows
    report = _report(engine)

    assert dict.fromkeys(report.cuts, report.total) == {
        cut: added(charge.sums for charge in charges) for cut, charges in report.cuts.items()
    }


def test_each_line_is_what_its_rows_add_up_to(engine: Engine, rows: list[LedgerRow]) -> None:
    """Bob's line has the sums of Bob's rows, nobody's line those of nobody; the dearest comes first."""
    users = {charge.value: charge.sums for charge in _report(engine).cuts["user"]}

    by_user = {user: [row for row in rows if row.attribution.user == user] for user in users}
    assert {user: _expected(mine, "-0.000000003" if user is None else "0") for user, mine in by_user.items()} == users
    assert sorted(users, key=lambda user: users[user].cost_usd, reverse=True) == list(users)


def test_days_are_in_their_order(engine: Engine, rows: list[LedgerRow]) -> None:
    """As people read them, and each is a day of UTC."""
    del rows
    days = [charge.value for charge in _report(engine).cuts["day"]]
    assert ["2026-11-22", "2026-11-23", "2026-11-24"] == days[:3]


def test_a_period_begins_with_its_first_moment_and_ends_before_its_last(engine: Engine, rows: list[LedgerRow]) -> None:
    """So months next to each other neither share a row nor lose one."""
    since, until = NOON + timedelta(hours=10), NOON + timedelta(hours=20)
    report = chargeback(PostgresReports(engine), "acme", ["user"], since, until)
    assert _expected([row for row in rows if since <= row.created_at < until], "0") == report.total


def test_an_empty_ledger_is_a_report_of_nothing(engine: Engine) -> None:
    """Not an error, and in every format."""
    report = _report(engine)
    assert (Sums(), []) == (report.total, report.cuts["user"])
    assert "Calls: 0 · from the cache: 0.0% · cost: $0.00 · saved: $0.00" in report.render("markdown")
    assert "total,,0,0,0,0,0,0,0,0\n" == report.render("csv").splitlines(keepends=True)[-1]


def test_a_frame_keeps_every_digit(engine: Engine, rows: list[LedgerRow]) -> None:
    """Money is Decimal in a pandas frame, so its sum is the ledger's."""
    frame = _report(engine).frame("team")
    assert [object, "int64"] == [frame["cost_usd"].dtype, frame["calls"].dtype]
    assert _expected(rows).cost_usd == sum(frame["cost_usd"], Decimal(0))


def test_the_csv_adds_up_in_any_other_program(engine: Engine, rows: list[LedgerRow]) -> None:
    """Each cut and the last row say the same; odd names survive."""
    lines = list(csv.DictReader(io.StringIO(_report(engine).render("csv"))))

    total = lines.pop()
    assert ("total", str(_expected(rows).cost_usd)) == (total["by"], total["cost_usd"])
    for cut in CUTS:
        mine = [line for line in lines if line["by"] == cut]
        assert Decimal(total["cost_usd"]) == sum((Decimal(line["cost_usd"]) for line in mine), Decimal(0))
    assert 'o"neill, |ann' in {line["value"] for line in lines}


def test_the_json_holds_money_as_text(engine: Engine, rows: list[LedgerRow]) -> None:
    """A number would lose digits in most readers."""
    content = json.loads(_report(engine).render("json"))
    expected = _expected(rows)
    assert str(expected.cost_usd) == content["total"]["cost_usd"]
    assert expected.cost_usd == sum((Decimal(line["cost_usd"]) for line in content["cuts"]["layer"]), Decimal(0))
    assert {"user", *MEASURES} == content["cuts"]["user"][0].keys()


def test_markdown_may_be_short_and_still_adds_up(engine: Engine, rows: list[LedgerRow]) -> None:
    """The lines that are left out are one line."""
    report = _report(engine)
    shown = report.shortened("flow_run", 5)
    assert (6, "36 others") == (len(shown), shown[-1].value)
    assert _expected(rows) == added(charge.sums for charge in shown)
    text = report.render("markdown", most=5)
    assert "| 36 others |" in text
    assert 'o"neill, \\|ann' in text


@pytest.mark.parametrize("cut", ["status", "", "cost_usd"])
def test_an_unknown_cut_is_refused(engine: Engine, cut: str) -> None:
    """The sentence says which there are."""
    with pytest.raises(CognitionError, match=r"use some of workflow, flow_run"):
        chargeback(PostgresReports(engine), "acme", [cut], None, None)  # pyright: ignore[reportArgumentType]


def test_tenants_pay_for_themselves(engine: Engine, rows: list[LedgerRow]) -> None:
    """Nobody sees another tenant's sums."""
    assert rows
    assert Sums() == chargeback(PostgresReports(engine), "umbrella", CUTS, None, None).total


# -- the command ------------------------------------------------------------------------------------------------------


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, database_url: str, rows: list[LedgerRow]) -> CliRunner:
    """Return what runs commands on that ledger."""
    assert rows
    environment = {"DATABASE_URL": database_url, "REDIS_URL": "memory://", "TENANT": "acme"}
    for name, value in environment.items():
        monkeypatch.setenv(f"COGNITION_{name}", value)
    return CliRunner(env={"COLUMNS": "300"})


def test_a_chargeback_is_written_to_a_file(cli: CliRunner, rows: list[LedgerRow], tmp_path: Path) -> None:
    """Of one month, cut by user and by team."""
    path = tmp_path / "costs.csv"
    arguments = ["report", "--format", "csv", "--by", "user,team", "--since", "2026-11-01", "--until", "2026-12-01"]
    done = cli.invoke(app, [*arguments, "--output", str(path)])

    assert (0, f"The report is in {path}.\n") == (done.exit_code, done.stdout)
    lines = list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"))))
    november = [row for row in rows if row.created_at.month == 11]
    assert {"user", "team", "total"} == {line["by"] for line in lines}
    assert str(_expected(november).cost_usd) == lines[-1]["cost_usd"]


@pytest.mark.parametrize(("kind", "begins"), [("markdown", "**Calls: "), ("json", '{\n  "since": ')])
def test_a_chargeback_is_printed(cli: CliRunner, kind: str, begins: str) -> None:
    """For a pipe, and by every dimension unless some are named."""
    done = cli.invoke(app, ["report", "--format", kind, "--since", "2026-11-01T00:00+01:00"])
    assert done.stdout.startswith(begins)
    assert all(cut.replace("_", " ") in done.stdout.replace("_", " ") for cut in CUTS)


def test_a_table_covers_a_period_too(cli: CliRunner) -> None:
    """Its title says which."""
    done = cli.invoke(app, ["report", "--by", "day", "--since", "2026-11-22", "--until", "2026-11-24"])
    assert done.stdout.startswith("Since 2026-11-22 00:00 UTC until 2026-11-24 00:00 UTC")
    assert {"2026-11-22", "2026-11-23"} == {line.split()[1] for line in done.stdout.splitlines() if "│ 2026" in line}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("report --since yesterday", "'yesterday' is no time"),
        ("report --hours 1 --since 2026-11-01", "either --hours or --since"),
        ("report --output x.csv", "add --format csv, markdown or json"),
        ("report --format csv --flow-run a", "leave out --flow-run"),
        ("report --format csv --by status", "Costs cannot be charged by 'status'"),
        ("report --format csv --output /nowhere/x.csv", "/nowhere/x.csv cannot be written"),
    ],
)
def test_bad_input_is_one_sentence(cli: CliRunner, arguments: str, words: str) -> None:
    """It says what to write instead."""
    done = cli.invoke(app, arguments.split())
    assert isinstance(done.exception, CognitionError)
    assert words in str(done.exception)
