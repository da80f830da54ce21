"""PostgreSQL is killed while calls are made: every attempt that reached the provider stands in the ledger, once."""

from __future__ import annotations

import os
import signal
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import text

from cognition.adapters.postgres.budgets import PostgresBudgets
from cognition.adapters.postgres.connection import connect
from cognition.adapters.postgres.ledger import PostgresLedger
from cognition.adapters.spool import FileSpool
from cognition.domain.budget import Budget, Scope
from cognition.domain.ledger import LedgerRow, ReportQuery
from cognition.domain.reservation import Claim
from cognition.domain.settlement import Settlement
from cognition.events import Event, LedgerReplayed, LedgerSpooled
from cognition.resilience.store_breaker import StoreBreaker
from cognition.services.ledger_buffer import LedgerBuffer
from cognition.services.ledger_writer import Books
from cognition.testing import Reply
from cognition.testing.contracts.samples import a_row
from tests.integration.engine.servers import Servers
from tests.integration.engine.stage import MODEL, Stage, wait_until

ALICE: dict[Scope, str] = {"user": "alice"}

PROGRAM = f"""
import sys
from cognition import Cognition
engine = Cognition.open()
engine.complete("Before?", model={MODEL!r})
for step in ("ready", "spent"):
    print(step, flush=True)
    sys.stdin.readline()
    for number in range(5):
        engine.complete(f"Meanwhile {{number}}?", model={MODEL!r}, cache="bypass")
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of the spool, of the test alone."""
    monkeypatch.setenv("COGNITION_SPOOL", str(tmp_path))
    return tmp_path


def test_killed_in_the_middle_of_calls_it_loses_none(own_stage: Stage, own_servers: Servers, folder: Path) -> None:
    """Nor books one twice; and nothing is left in the spool."""
    engine, events = own_stage.open(), list[Event]()
    engine.observers.add(events.append)
    # Slow enough for calls to be left when the server has been killed, on a busy machine too.
    own_stage.provider.default = Reply(delay_seconds=0.2)

    def ask(number: int) -> None:
        own_stage.ask(engine, f"What is {number}?", cache="bypass")

    with ThreadPoolExecutor(8) as callers:
        answers = [callers.submit(ask, number) for number in range(100)]
        wait_until(lambda: own_stage.provider.count >= 25)
        own_servers.kill_postgres()
        wait_until(lambda: own_stage.provider.count >= 60 and any(isinstance(one, LedgerSpooled) for one in events))
        own_servers.start()
    for answer in answers:
        answer.result()
    wait_until(engine.ledger.flush)

    assert (100, 100) == (own_stage.provider.count, len(own_stage.ledger()))
    spooled = sum(event.rows for event in events if isinstance(event, LedgerSpooled))
    assert 0 < spooled == sum(event.rows for event in events if isinstance(event, LedgerReplayed))
    assert [] == list(folder.rglob("*.spool"))


def test_what_a_killed_process_spent_meanwhile_is_booked_by_another(
    own_stage: Stage, own_servers: Servers, folder: Path
) -> None:
    """Its file is all that is left of it."""
    program = own_stage.start(PROGRAM)
    assert program.stdin is not None
    assert program.stdout is not None
    assert "ready" == program.stdout.readline().strip()
    own_servers.kill_postgres()
    program.stdin.write("go\n")
    program.stdin.flush()
    assert "spent" == program.stdout.readline().strip()
    os.kill(program.pid, signal.SIGKILL)
    program.wait()
    assert 1 == len(list(folder.rglob("*.spool")))

    own_servers.start()
    own_stage.open()
    wait_until(lambda: len(own_stage.ledger()) == own_stage.provider.count)

    assert 6 == own_stage.provider.count
    wait_until(lambda: not list(folder.rglob("*.spool")))


# -- with budgets -----------------------------------------------------------------------------------------------------


class Till:
    """Books attempts under budgets, as the engine does."""

    def __init__(self, database_url: str, folder: Path) -> None:
        """Connect."""
        self.database = connect(database_url)
        self.budgets, self.ledger = PostgresBudgets(self.database, "acme"), PostgresLedger(self.database)
        self.spool = FileSpool(folder, 10_000_000)
        self.breaker = StoreBreaker("postgres", self.ledger.ping, lambda _: None)
        books = Books(self.ledger, self.budgets, self.spool)
        self.buffer = LedgerBuffer(books, self.breaker, partial(datetime.now, UTC), lambda _: None)

    def hold(self, _: int) -> LedgerRow:
        """Set money aside for an attempt that will cost a cent."""
        row = a_row("0.01", created_at=datetime.now(UTC))
        attempt = Settlement(row=row).attempt
        claim = Claim(attempt=attempt, subjects=ALICE, estimate_usd=Decimal("0.02"), holder="here")
        assert self.budgets.reserve(claim).admitted
        return row

    def settle(self, row: LedgerRow) -> None:
        """Book it."""
        self.buffer.settle(Settlement(row=row, held=True))

    def spend(self, row: LedgerRow) -> None:
        """Book an attempt for which nothing was set aside."""
        self.buffer.settle(Settlement(row=row, subjects=ALICE))

    def close(self) -> None:
        """Let go of everything."""
        self.breaker.close()
        self.buffer.close()
        self.database.dispose()


@pytest.fixture
def till(own_servers: Servers, tmp_path: Path) -> Generator[Till]:
    """Return a till whose database can be killed."""
    till = Till(own_servers.fresh_database(), tmp_path)
    yield till
    till.close()


def test_budgets_and_ledger_agree_after_a_kill(till: Till, own_servers: Servers) -> None:
    """Used is the sum of the rows, nothing is reserved any more: of what was held, and of what nobody was asked for."""
    till.budgets.put(Budget(scope="user", subject="alice", limit_usd="10", period="daily"), "alice")
    with ThreadPoolExecutor(8) as callers:
        held = list(callers.map(till.hold, range(60)))
        settling = [callers.submit(till.settle, row) for row in held]
        wait_until(lambda: sum(one.done() for one in settling) >= 20)
        own_servers.kill_postgres()
        unasked = [a_row("0.01", created_at=datetime.now(UTC)) for _ in range(20)]
        settling += [callers.submit(till.spend, row) for row in unasked]
    for one in settling:
        one.result()
    assert 20 <= till.spool.state().rows <= 60
    own_servers.start()
    wait_until(till.buffer.flush)

    (standing,) = till.budgets.look(ALICE)
    (line,) = till.ledger.report(ReportQuery(tenant="acme"))
    assert (80, Decimal("0.80")) == (line.attempts, line.cost_usd)
    assert (Decimal("0.80"), 0) == (standing.used_usd, standing.reserved_usd)
    assert not till.spool.waits


def test_a_settlement_waits_for_what_the_budgets_lack(database_url: str, tmp_path: Path) -> None:
    """A function of another release, or a right: the row does not go into the ledger alone."""
    till = Till(database_url, tmp_path)
    till.budgets.put(Budget(scope="user", subject="alice", limit_usd="10", period="daily"), "alice")
    row = till.hold(0)
    with till.database.connect() as connection:
        connection.execute(text("ALTER FUNCTION budget_settle_v1 RENAME TO budget_settle_away"))
        till.settle(row)
        assert 1 == till.spool.state().rows
        connection.execute(text("ALTER FUNCTION budget_settle_away RENAME TO budget_settle_v1"))
    wait_until(till.buffer.flush)

    (standing,) = till.budgets.look(ALICE)
    (line,) = till.ledger.report(ReportQuery(tenant="acme"))
    assert (1, Decimal("0.01")) == (line.attempts, line.cost_usd)
    assert (Decimal("0.01"), 0) == (standing.used_usd, standing.reserved_usd)
    till.close()
