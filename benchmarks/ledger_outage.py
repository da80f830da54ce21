"""What the ledger loses when PostgreSQL is killed in the middle of calls: nothing, and nothing stands there twice.

Run `python -m benchmarks.ledger_outage` (or `make bench`). Threads ask the fake provider, which counts; PostgreSQL is
killed three times with SIGKILL while they do, and started again some calls later. Printed are the provider's count,
the rows in the ledger, how many of them waited in the spool, what that cost a call, and how long it took until the
spool was empty again.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median

from sqlalchemy import NullPool, create_engine, text

from cognition import Cognition, Credentials, Settings
from cognition.adapters.embedded import ensure_running, status
from cognition.adapters.postgres import migrate
from cognition.events import Event, LedgerReplayed, LedgerSpooled
from cognition.testing import FakeOpenAI, Reply, Usage, temporary_home

MODEL = "openai-chat:gpt-5-mini"
KEY = "sk-benchmark"
KILLS = 3
PROVIDER_SECONDS = 0.01


@dataclass
class Figures:
    """What was counted and measured.

    Attributes:
        provider_calls: By the provider itself.
        ledger_rows: In the ledger at the end.
        distinct_rows: By call key and attempt.
        spooled: Rows that waited in the spool.
        replayed: Rows that were written from there.
        left: Files that are left in the spool.
        healthy_ms: Median of a call while PostgreSQL was there.
        outage_ms: Median of a call while it was away.
        drained_seconds: Time from the last start of PostgreSQL until nothing waited any more.
    """

    provider_calls: int = 0
    ledger_rows: int = 0
    distinct_rows: int = 0
    spooled: int = 0
    replayed: int = 0
    left: int = 0
    healthy_ms: float = 0.0
    outage_ms: float = 0.0
    drained_seconds: float = 0.0

    @property
    def met(self) -> bool:
        """Whether nothing was lost, doubled or left, and PostgreSQL was missed at all."""
        whole = self.provider_calls == self.ledger_rows == self.distinct_rows
        return whole and self.spooled > 0 and self.left == 0


@dataclass
class Times:
    """How long calls took in milliseconds, by whether PostgreSQL was there."""

    away: bool = False
    healthy: list[float] = field(default_factory=list[float])
    outage: list[float] = field(default_factory=list[float])

    def note(self, milliseconds: float) -> None:
        """Take one."""
        (self.outage if self.away else self.healthy).append(milliseconds)


def main() -> int:
    """Measure and print; fail when a row was lost or doubled."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--calls", type=int, default=1000, help="how many")
    parser.add_argument("--threads", type=int, default=16, help="how many at a time")
    parser.add_argument("--json", action="store_true", help="print JSON for machines")
    arguments = parser.parse_args()
    answer = Reply(text="Yes.", usage=Usage(1000, 100), delay_seconds=PROVIDER_SECONDS)
    with temporary_home() as home, FakeOpenAI(default=answer, api_key=KEY) as provider:
        figures = _measure(home, provider, arguments.calls, arguments.threads)
    if arguments.json:
        print(json.dumps(asdict(figures) | {"met": figures.met}))
        return 0 if figures.met else 1
    print(f"PostgreSQL killed {KILLS} times during {arguments.calls} calls of {arguments.threads} threads")
    print(f"  attempts that the provider counted {figures.provider_calls:>8}")
    print(f"  rows in the ledger                 {figures.ledger_rows:>8}   distinct {figures.distinct_rows}")
    print(
        f"  of these waited in the spool       {figures.spooled:>8}   replayed {figures.replayed}, left {figures.left}"
    )
    print(f"  a call, PostgreSQL there           {figures.healthy_ms:>8.1f} ms")
    print(f"  a call, PostgreSQL away            {figures.outage_ms:>8.1f} ms")
    print(f"  until the spool was empty          {figures.drained_seconds:>8.1f} s after the last start")
    print(f"goal: rows = attempts, none twice, none left   {'met' if figures.met else 'MISSED'}")
    return 0 if figures.met else 1


def _measure(home: Path, provider: FakeOpenAI, calls: int, threads: int) -> Figures:
    servers = ensure_running(home)
    migrate.upgrade(servers.database_url)
    settings = Settings.model_validate(
        {"database_url": servers.database_url, "redis_url": "memory://", "model": MODEL, "spool": home / "spool"}
    )
    figures, times, drained_from = Figures(), Times(), 0.0
    with Cognition.open(settings) as engine:
        engine.observers.add(lambda event: _count(figures, event))
        credentials = Credentials(api_key=KEY, base_url=provider.base_url)

        def ask(number: int) -> None:
            started = time.perf_counter()
            engine.complete(f"Is {number} a number?", cache="bypass", credentials=credentials)
            times.note((time.perf_counter() - started) * 1000)

        with ThreadPoolExecutor(threads) as callers:
            asked = [callers.submit(ask, number) for number in range(calls)]
            for kill in range(1, KILLS + 1):
                _wait_for(provider, calls * kill // (KILLS + 1))
                times.away = True
                _kill_postgres(home)
                _wait_for(provider, calls * kill // (KILLS + 1) + calls // 8)
                drained_from = time.monotonic()
                ensure_running(home)
                times.away = False
        for one in asked:
            one.result()
        while not engine.ledger.flush():
            time.sleep(0.01)
        figures.drained_seconds = time.monotonic() - drained_from
    figures.provider_calls = provider.count
    figures.healthy_ms, figures.outage_ms = median(times.healthy), median(times.outage)
    figures.left = len(list((home / "spool").rglob("*.spool")))
    _count_rows(figures, servers.database_url)
    return figures


def _count(figures: Figures, event: Event) -> None:
    if isinstance(event, LedgerSpooled):
        figures.spooled += event.rows
    elif isinstance(event, LedgerReplayed):
        figures.replayed += event.rows


def _count_rows(figures: Figures, database_url: str) -> None:
    counting = "SELECT count(*), count(DISTINCT (call_key, attempt)) FROM llm_cost_tracking"
    with create_engine(database_url, poolclass=NullPool).connect() as connection:
        figures.ledger_rows, figures.distinct_rows = connection.execute(text(counting)).one()


def _wait_for(provider: FakeOpenAI, calls: int) -> None:
    while provider.count < calls:
        time.sleep(0.001)


def _kill_postgres(home: Path) -> None:
    (pid,) = (one.pid for one in status(home) if one.name == "postgresql")
    if pid is None:
        sys.exit("PostgreSQL does not run; the figures would be wrong.")
    os.kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main())
