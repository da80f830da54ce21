"""Old rows of the ledger are deleted, and every sum stays what it was."""

from __future__ import annotations

import random
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa

from cognition.adapters.postgres.budget_admin import PostgresBudgetAdmin
from cognition.adapters.postgres.budgets import PostgresBudgets
from cognition.adapters.postgres.connection import connected, fetch
from cognition.adapters.postgres.ledger import PostgresLedger
from cognition.adapters.postgres.report_store import PostgresReports
from cognition.adapters.postgres.retention import roll_up
from cognition.domain.adjustment import Mandate
from cognition.domain.attribution import Attribution
from cognition.domain.charges import Charge, ChargeQuery, Charges
from cognition.domain.entry import Layer
from cognition.domain.ledger import Dimension, LedgerBatch, LedgerRow, ReportLine, ReportQuery
from cognition.domain.pricing import Cost
from cognition.domain.reservation import CallAttempt
from cognition.testing.contracts.budget_spender import Spender
from cognition.testing.contracts.samples import NOON, a_row

CUTS = ("workflow", "task", "user", "team", "model", "namespace", "layer", "day")
DIMENSIONS: tuple[Dimension, ...] = (*CUTS, "status")
LATER = NOON + timedelta(days=400)
MANDATE = Mandate("bob", "the ledger says something else")


@pytest.fixture
def rows(engine: sa.Engine) -> list[LedgerRow]:
    """Return what stands in the ledger of two tenants: odd cents, hits, failures, retried calls, unknown prices."""
    draw = random.Random(11)  # noqa: S311  no secret
    written = [row for number in range(240) for row in _call(draw, NOON + timedelta(minutes=222 * (number // 6)))]
    written.append(a_row("5", tenant="other", created_at=NOON))
    PostgresLedger(engine).record(LedgerBatch(rows=written))
    return written


def _call(draw: random.Random, at: datetime) -> Sequence[LedgerRow]:
    who = Attribution(
        workflow=draw.choice(["nightly", None]),
        flow_run_id=f"run-{draw.randrange(9)}",
        task_name=draw.choice(["triage", ""]),
        user=draw.choice(["alice", 'o"neill, |ann', None]),
        team=draw.choice(["support", None]),
    )
    row = a_row(draw.choice(["0.000000001", "1234567.000000007", None]), attribution=who, created_at=at)
    if draw.random() < 0.4:
        nothing = Cost(usd=Decimal(0), source="cache", version="")
        layer = draw.choice([Layer.L1, Layer.L3])
        return [replace(row, status="cache_hit", layer=layer, attempt=0, cost=nothing, saved_usd=Decimal("0.3"))]
    if draw.random() < 0.3:
        return [replace(row, status="failed_free", error="ProviderTimeout", cost=None), replace(row, attempt=2)]
    return [row]


def charges(engine: sa.Engine, since: datetime | None = None, until: datetime | None = None) -> Charges:
    """Return a chargeback of everything but runs, its lines in an order that ties do not change."""
    found = PostgresReports(engine).charges(ChargeQuery(tenant="acme", cuts=CUTS, since=since, until=until))
    return replace(found, cuts={cut: sorted(lines, key=_name) for cut, lines in found.cuts.items()})


def _name(charge: Charge) -> tuple[bool, str]:
    return charge.value is None, charge.value or ""


def report(engine: sa.Engine, *group_by: Dimension) -> list[ReportLine]:
    """Return a report without what needs every row: medians, and calls whose attempts stand in several groups."""
    lines = PostgresLedger(engine).report(ReportQuery(tenant="acme", group_by=group_by))
    unlike = {"median_latency_ms": None} | ({"calls": 0} if "status" in group_by else {})
    return sorted((replace(line, **unlike) for line in lines), key=lambda line: str(line.group))


def count(engine: sa.Engine, tenant: str = "acme") -> int:
    """Return how many rows are in the ledger."""
    ((number,),) = fetch(engine, "SELECT count(*) FROM llm_cost_tracking WHERE tenant = %(tenant)s", {"tenant": tenant})
    return number


def test_every_sum_is_as_before(engine: sa.Engine, rows: list[LedgerRow]) -> None:
    """To the ninth place, by whatever they are cut; the rows of another tenant and newer ones stay."""
    before = charges(engine), [report(engine, one) for one in DIMENSIONS], report(engine), report(engine, *DIMENSIONS)
    middle = NOON + timedelta(days=3)

    deleted = roll_up(engine, "acme", middle, 10**6)

    assert sum(row.created_at < middle and row.tenant == "acme" for row in rows) == deleted
    assert (len(rows) - 1 - deleted, 1) == (count(engine), count(engine, "other"))
    assert 0 < deleted < len(rows) - 1
    after = charges(engine), [report(engine, one) for one in DIMENSIONS], report(engine), report(engine, *DIMENSIONS)
    assert before == after


def test_it_may_be_done_in_parts_and_again(engine: sa.Engine, rows: list[LedgerRow]) -> None:
    """Parts of one quarter of an hour are added to each other; what is done is not done twice."""
    before = charges(engine)
    parts = [roll_up(engine, "acme", LATER, 7) for _ in range(5)]
    rest = [roll_up(engine, "acme", LATER, 10**6) for _ in range(2)]
    assert ([7] * 5, [len(rows) - 1 - 35, 0]) == (parts, rest)
    assert before == charges(engine)


def test_two_at_once_do_the_work_of_one(engine: sa.Engine, rows: list[LedgerRow]) -> None:
    """Neither waits for the other in a circle, and no row is added up twice."""
    before = charges(engine)
    with ThreadPoolExecutor(4) as threads:
        doing = [threads.submit(lambda: [roll_up(engine, "acme", LATER, 9) for _ in range(20)]) for _ in range(4)]
        done = sum(sum(one.result()) for one in doing) + roll_up(engine, "acme", LATER, 10**6)
    assert (len(rows) - 1, 0) == (done, count(engine))
    assert before == charges(engine)


@pytest.mark.parametrize("zone", ["Europe/Berlin", "Asia/Kolkata", "Asia/Kathmandu"])
def test_the_days_of_every_calendar_stay_what_they_were(engine: sa.Engine, rows: list[LedgerRow], zone: str) -> None:
    """Midnight lies between two quarters of an hour wherever it is."""
    assert rows
    midnights = [datetime(2026, 11, day, tzinfo=ZoneInfo(zone)).astimezone(UTC) for day in range(22, 29)]
    before = [charges(engine, since, until) for since, until in pairwise(midnights)]
    roll_up(engine, "acme", LATER, 10**6)
    assert before == [charges(engine, since, until) for since, until in pairwise(midnights)]
    assert len({one.total for one in before}) > 1


def test_runs_are_no_longer_known(engine: sa.Engine, rows: list[LedgerRow]) -> None:
    """Their line says so, and the lines still add up to the total; one run or call has nothing any more."""
    roll_up(engine, "acme", LATER, 10**6)
    query = ChargeQuery(tenant="acme", cuts=("flow_run",))
    found = PostgresReports(engine).charges(query)
    assert [Charge("(no longer kept)", found.total)] == found.cuts["flow_run"]
    ledger = PostgresLedger(engine)
    assert [] == ledger.report(ReportQuery(tenant="acme", flow_run_id="run-1"))
    assert [] == ledger.report(ReportQuery(tenant="acme", request_id=rows[0].request_id))
    assert ledger.find("acme", rows[0].request_id) is None


def test_an_adjustment_is_kept_as_a_sum(engine: sa.Engine) -> None:
    """It is neither a call nor an attempt afterwards either, and may be below zero."""
    PostgresLedger(engine).record(LedgerBatch(rows=[a_row("1", created_at=NOON)]))
    with connected(engine) as connection:
        connection.exec_driver_sql(
            "INSERT INTO llm_cost_tracking (tenant, call_key, attempt, request_id, request_key, payload_hash, status,"
            " namespace, provider, model, requested_model, cost_usd, adjusted_by, adjustment_reason, created_at)"
            " SELECT tenant, gen_random_uuid(), 0, request_id, request_key, payload_hash, 'adjustment', namespace,"
            " provider, model, requested_model, -0.25, 'alice', 'credit note', created_at FROM llm_cost_tracking"
        )
    roll_up(engine, "acme", LATER, 10)
    total = charges(engine).total
    assert (1, 1, Decimal("0.75")) == (total.calls, total.attempts, total.cost_usd)
    assert [(1, Decimal("0.75"))] == [(line.calls, line.cost_usd) for line in report(engine)]


def test_a_call_of_which_an_attempt_is_younger_waits(engine: sa.Engine) -> None:
    """Its attempts go together, so that it is one call before, meanwhile and after."""
    failed = replace(a_row("0", created_at=NOON), status="failed_free", error="ProviderTimeout")
    answered = replace(failed, status="ok", error=None, attempt=2, created_at=NOON + timedelta(minutes=2))
    PostgresLedger(engine).record(LedgerBatch(rows=[failed, answered]))
    calls: list[int] = []
    for minutes, deleted in ((1, 0), (2, 0), (3, 2)):
        assert deleted == roll_up(engine, "acme", NOON + timedelta(minutes=minutes), 10)
        calls.append(sum(line.calls for line in report(engine)))
    assert [1, 1, 1] == calls


def test_rows_of_reservations_stay_until_these_go(engine: sa.Engine) -> None:
    """Counters are proven by both: before, between and after, also of a call that no budget has booked."""
    spender, admin = Spender(PostgresBudgets(engine, "acme")), PostgresBudgetAdmin(engine, "acme")
    spender.put()
    settled, unbooked = a_row("0.30", created_at=NOON), a_row("0.20", created_at=NOON)
    PostgresLedger(engine).record(LedgerBatch(rows=[settled, unbooked, a_row("0.10", created_at=NOON)]))
    for row in (settled, unbooked):
        spender.hold("0.50", attempt=CallAttempt(row.call_key))
    spender.settle(CallAttempt(settled.call_key), "0.30")

    assert 1 == roll_up(engine, "acme", LATER, 10)
    assert [Decimal("0.2")] == [drift.unbooked_usd for drift in admin.reconcile(MANDATE)]
    assert 0 == roll_up(engine, "acme", LATER, 10)
    assert [] == admin.reconcile(None)

    assert 2 == admin.purge(timedelta(0), 10)
    assert 2 == roll_up(engine, "acme", LATER, 10)
    assert [] == admin.reconcile(None)
    assert Decimal("0.5") == spender.standing().used_usd
    assert Decimal("0.6") == charges(engine).total.cost_usd
