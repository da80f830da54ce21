"""The ledger under several writers, and its sums to the last digit."""

from __future__ import annotations

import random
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import get_args

import pytest
import sqlalchemy as sa

from cognition.adapters.postgres.connection import fetch
from cognition.adapters.postgres.entries import PostgresEntries
from cognition.adapters.postgres.ledger import PostgresLedger
from cognition.adapters.postgres.tables import llm_cache, llm_cache_stats, llm_cost_tracking
from cognition.domain.attribution import Attribution
from cognition.domain.entry import Layer
from cognition.domain.ledger import CountKey, Dimension, LedgerBatch, LookUpCounts, ReportQuery
from cognition.testing.clock import FakeClock
from cognition.testing.contracts.samples import MODEL, NOON, a_row, an_address, an_entry

WRITERS, BATCHES, NAMESPACES = 2, 12, 500

# Each writer takes the same rollups and entries in another order, which without ordered locks ends in deadlocks.
WRITER = f"""
import random, sys
from cognition.adapters.postgres.connection import connect
from cognition.adapters.postgres.ledger import PostgresLedger
from cognition.domain.entry import Layer
from cognition.domain.ledger import CountKey, LedgerBatch, LookUpCounts
from cognition.testing.contracts.samples import MODEL, NOON, a_row, an_address

url, seed = sys.argv[1:]
order = random.Random(seed)
ledger = PostgresLedger(connect(url))
names = [f"namespace {{number}}" for number in range({NAMESPACES})]
for _ in range({BATCHES}):
    order.shuffle(names)
    ledger.record(LedgerBatch(
        rows=[a_row("0.000000001", namespace=name) for name in names],
        counts={{CountKey("acme", Layer.L1, name, MODEL, NOON): LookUpCounts(hits=1, misses=2) for name in names}},
        accesses={{an_address(name): (1, NOON) for name in names}},
    ))
"""


@pytest.fixture
def ledger(engine: sa.Engine) -> PostgresLedger:
    """Return an empty ledger."""
    return PostgresLedger(engine)


def test_processes_add_to_the_same_rollups(engine: sa.Engine, database_url: str, clock: FakeClock) -> None:
    """Nothing is lost and nobody is turned away by a deadlock."""
    entries = [
        (address, an_entry(address)) for address in map(an_address, (f"namespace {n}" for n in range(NAMESPACES)))
    ]
    PostgresEntries(engine, clock).put(entries)
    commands = [[sys.executable, "-c", WRITER, database_url, str(seed)] for seed in range(WRITERS)]
    writers = [subprocess.Popen(command) for command in commands]
    assert [0] * WRITERS == [writer.wait() for writer in writers]
    each = WRITERS * BATCHES
    stats, entry = llm_cache_stats.c, llm_cache.c
    looked_up = sa.select(stats.hits, stats.misses, stats.cost_usd).where(stats.layer == "l1")
    attempted = sa.select(stats.hits, stats.misses, stats.cost_usd).where(stats.layer == "provider")
    with engine.connect() as connection:
        assert [(each, 2 * each, 0)] * NAMESPACES == connection.execute(looked_up).all()
        assert [(each, 0, each * Decimal("1e-9"))] * NAMESPACES == connection.execute(attempted).all()
        assert [(each, NOON)] * NAMESPACES == connection.execute(
            sa.select(entry.access_count, entry.last_accessed_at)
        ).all()


def test_a_repeated_batch_changes_nothing_that_rows_stand_for(engine: sa.Engine, ledger: PostgresLedger) -> None:
    """When the answer to a commit got lost, the same rows come again, some with new ones beside them."""
    first, second = a_row("0.5"), a_row("0.25", status="failed_billed", error="ProviderTimeout")
    ledger.record(LedgerBatch(rows=[first]))
    ledger.record(LedgerBatch(rows=[first, second]))
    stats = llm_cache_stats.c
    with engine.connect() as connection:
        assert [("provider", 1, 1, 1, Decimal("0.75"), 24, 2)] == connection.execute(
            sa.select(
                stats.layer,
                stats.hits,
                stats.misses,
                stats.errors,
                stats.cost_usd,
                stats.prompt_tokens,
                stats.latency_count,
            )
        ).all()


@pytest.mark.parametrize("dimension", get_args(Dimension))
def test_groups_add_up_to_the_total(ledger: PostgresLedger, dimension: Dimension) -> None:
    """However a report is cut, its lines sum up to the rows, to the ninth decimal place."""
    draw = random.Random(20261122)  # noqa: S311  no secret
    rows = [
        a_row(
            str(Decimal(draw.randrange(10**12)).scaleb(-9)),
            saved_usd=Decimal(draw.randrange(10**12)).scaleb(-9),
            created_at=NOON + timedelta(hours=draw.randrange(100)),
            attribution=Attribution(workflow=draw.choice([None, "nightly"]), user=draw.choice([None, "alice", "bob"])),
        )
        for _ in range(300)
    ]
    ledger.record(LedgerBatch(rows=rows))
    lines = ledger.report(ReportQuery(tenant="acme", group_by=(dimension,)))
    assert sum(row.cost.usd for row in rows if row.cost) == sum(line.cost_usd for line in lines)
    assert sum(row.saved_usd or 0 for row in rows) == sum(line.saved_usd for line in lines)
    assert 300 == sum(line.calls for line in lines)


def test_a_row_says_everything(engine: sa.Engine, ledger: PostgresLedger) -> None:
    """Each column holds what it is named for."""
    who = Attribution(
        user="alice",
        team="support",
        workflow="nightly",
        flow_run_id="child",
        root_flow_run_id="root",
        deployment_id="deployment",
        task_run_id="task run",
        task_name="triage",
        tags=("a", 'quoted "b"', "größe"),
    )
    row = a_row("0.001", attribution=who)
    ledger.record(LedgerBatch(rows=[row]))
    with engine.connect() as connection:
        held = connection.execute(sa.select(llm_cost_tracking)).mappings().one()
    assert {
        "call_key": row.call_key,
        "payload_hash": row.payload_hash,
        "user_id": "alice",
        "team": "support",
        "workflow_id": "nightly",
        "flow_run_id": "child",
        "root_flow_run_id": "root",
        "deployment_id": "deployment",
        "task_run_id": "task run",
        "task_name": "triage",
        "tags": ["a", 'quoted "b"', "größe"],
        "provider": "openai-chat",
        "prompt_tokens": 12,
        "completion_tokens": 9,
        "cost_usd": Decimal("0.001"),
        "cache_hit": False,
        "cache_layer": "provider",
        "price_source": "genai-prices",
        "rates": {},
        "priced_at": NOON,
    }.items() <= dict(held).items()


def test_odd_text_is_kept_as_near_as_possible(ledger: PostgresLedger) -> None:
    """PostgreSQL knows neither NUL nor halves of surrogate pairs; a label with one must not keep its row out."""
    ledger.record(LedgerBatch(rows=[a_row(attribution=Attribution(user="a\0b\ud83d", tags=("\0",)))]))
    (line,) = ledger.report(ReportQuery(tenant="acme", group_by=("user",)))
    assert "a\ufffdb\ufffd" == line.group["user"]


def test_values_are_never_part_of_a_statement(ledger: PostgresLedger) -> None:
    """What looks like SQL is a name like any other."""
    name = "'; DROP TABLE llm_cost_tracking; --%s%(tenant)s"
    ledger.record(LedgerBatch(rows=[replace(a_row(), tenant=name, attribution=Attribution(flow_run_id=name))]))
    (line,) = ledger.report(ReportQuery(tenant=name, group_by=("flow_run",), flow_run_id=name))
    assert {"flow_run": name} == line.group


def test_the_sql_function_sees_the_same_hit_rate(engine: sa.Engine, ledger: PostgresLedger) -> None:
    """Who asks the database instead of the engine gets the same figures."""
    now = datetime.now(UTC)
    ledger.record(LedgerBatch(counts={CountKey("acme", Layer.L1, "n", MODEL, now): LookUpCounts(hits=3, misses=1)}))
    (stats,) = ledger.stats("acme", timedelta(hours=1), now)
    ((rate,),) = fetch(engine, "SELECT hit_rate FROM calculate_cache_hit_rate('l1', '1 hour', 'acme')", {})
    assert Decimal("0.75") == rate == Decimal(stats.hit_rate)
