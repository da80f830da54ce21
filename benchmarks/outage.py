"""What a store that is down costs the calls that go on without it.

Run `python -m benchmarks.outage` (or `make bench`). Redis is killed: an answer then comes from L2, which is compared
with an L2 hit before, when Redis was asked first. PostgreSQL is killed: an answer still comes from L1, which is
compared with an L1 hit before; the engine then says which ledger rows it could not write. Each figure is a difference
of medians, taken after the first failure; below zero means that a store left alone costs less than one that is asked.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
from pathlib import Path
from statistics import median

from benchmarks.hot_path import MODEL, InstantProvider
from cognition import Cognition, Settings
from cognition.adapters.embedded import ensure_running, status
from cognition.adapters.postgres import migrate
from cognition.domain.entry import Address, Layer
from cognition.domain.fingerprint import address_of
from cognition.testing import temporary_home

GOAL_US = 1000
PROMPT = "What is a circuit breaker?"


def main() -> int:
    """Measure and print; fail when a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=400, help="how many hits of each kind")
    parser.add_argument("--json", action="store_true", help="print JSON for machines")
    arguments = parser.parse_args()
    added = {
        "L2 hit, Redis stopped": _added("valkey", Layer.L2, arguments.rounds),
        "L1 hit, PostgreSQL stopped": _added("postgresql", Layer.L1, arguments.rounds),
    }
    met = all(microseconds < GOAL_US for microseconds in added.values())
    if arguments.json:
        print(json.dumps({"added_microseconds": added, "goal": GOAL_US, "met": met}))
        return 0 if met else 1
    for name, microseconds in added.items():
        verdict = "met" if microseconds < GOAL_US else "MISSED"
        print(f"{name:<42}{microseconds:>+10.1f} µs added   goal < {GOAL_US} µs   {verdict}")
    return 0 if met else 1


def _added(server: str, layer: Layer, rounds: int) -> float:
    """Return by how much the median of a layer's hits grows when a server is killed, in microseconds."""
    with temporary_home() as home:
        servers = ensure_running(home)
        migrate.upgrade(servers.database_url)
        settings = Settings.model_validate({"database_url": servers.database_url, "redis_url": servers.redis_url})
        with Cognition.open(settings, provider=InstantProvider()) as engine:
            engine.complete(PROMPT, model=MODEL)
            address = address_of(engine.request(PROMPT, model=MODEL))
            before = _hits(engine, layer, rounds, evicted=address if layer is Layer.L2 else None)
            _kill(home, server)
            engine.complete(PROMPT, model=MODEL)
            # The ledger is the first to notice that PostgreSQL has gone.
            engine.ledger.flush()
            after = _hits(engine, layer, rounds)
    return after - before


def _hits(engine: Cognition, layer: Layer, rounds: int, evicted: Address | None = None) -> float:
    """Return the median of hits in microseconds.

    Args:
        engine: What answers.
        layer: Which layer has to.
        rounds: How many.
        evicted: What L1 must forget before each of them.
    """
    times: list[float] = []
    for _ in range(rounds):
        if evicted is not None:
            engine.cache.evict_from_l1([evicted])
        started = time.perf_counter()
        done = engine.complete(PROMPT, model=MODEL)
        times.append((time.perf_counter() - started) * 1e6)
        if done.layer != layer:
            sys.exit(f"An answer came from {done.layer} and not from {layer}; the figures would be wrong.")
    return median(times)


def _kill(home: Path, server: str) -> None:
    (pid,) = (one.pid for one in status(home) if one.name == server)
    if pid is None:
        sys.exit(f"{server} does not run; the figures would be wrong.")
    os.kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main())
