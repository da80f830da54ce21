"""Budgets on a PostgreSQL that crashes."""

from __future__ import annotations

import os
import signal
from decimal import Decimal
from pathlib import Path

import sqlalchemy as sa

from cognition.adapters.embedded import ensure_running
from cognition.adapters.postgres import migrate
from cognition.adapters.postgres.budgets import PostgresBudgets
from cognition.adapters.postgres.connection import connect
from cognition.testing import temporary_home
from cognition.testing.contracts.budget_spender import Spender


def test_what_was_answered_survives_a_crash() -> None:
    """Decisions are committed before the disk has them; nobody hears of one that a crash could still undo."""
    with temporary_home() as home:
        url = ensure_running(home).database_url
        migrate.upgrade(url)
        engine = connect(url)
        with engine.connect() as connection:
            # Nothing but the commits themselves writes the log.
            connection.execute(sa.text("ALTER SYSTEM SET wal_writer_delay = '10s'"))
            connection.execute(sa.text("SELECT pg_reload_conf()"))
        spender = Spender(PostgresBudgets(engine, "acme"))
        spender.put()
        spender.settle(spender.hold("0.50"), "0.30")
        held = spender.hold("0.20")

        crash(home)
        engine.dispose()
        ensure_running(home)

        assert (Decimal("0.3"), Decimal("0.2")) == spender.figures()
        spender.settle(held, "0.10")
        assert (Decimal("0.4"), Decimal(0)) == spender.figures()
        engine.dispose()


def crash(home: Path) -> None:
    """Let PostgreSQL end at once, without writing anything, and wait until it is gone."""
    (file,) = home.rglob("postmaster.pid")
    pid = int(file.read_text().split()[0])
    os.kill(pid, signal.SIGQUIT)
    while Path(f"/proc/{pid}").exists() and "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text():
        os.sched_yield()
