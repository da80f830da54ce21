"""Twelve processes that ask for permits at the same moment: `python -m tests.integration.engine.breaker_hammer URL`.

Each asks some times for leave to probe one breaker, prints how many permits it got as a line `pid permits`, and ends;
with `--stay` it holds them until it is killed.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from datetime import timedelta
from multiprocessing.synchronize import Barrier

from cognition.adapters.postgres.breakers import PostgresBreakers
from cognition.adapters.postgres.connection import connect
from cognition.domain.breaker import BreakerKey, BreakerPolicy

KEY = BreakerKey("openai-chat", "gpt-5-mini")
LEASE = timedelta(seconds=4)
POLICY = BreakerPolicy(open_for=timedelta(milliseconds=1), open_jitter=0, permit_lease=LEASE)
PROCESSES = 12
TRIES = 10


def main() -> None:
    """Start them together, and wait for their end."""
    url, stay = sys.argv[1], "--stay" in sys.argv
    # Forked, because this interpreter has no threads yet and twelve new ones would take long to start.
    context = multiprocessing.get_context("fork")
    together = context.Barrier(PROCESSES)
    children = [context.Process(target=_ask, args=(url, together, stay)) for _ in range(PROCESSES)]
    for child in children:
        child.start()
    for child in children:
        child.join()


def _ask(url: str, together: Barrier, stay: bool) -> None:  # noqa: FBT001  passed through multiprocessing
    engine = connect(url)
    store = PostgresBreakers(engine, "default")
    store.ping()
    together.wait()
    got = sum(store.admit(KEY, POLICY, str(os.getpid())).permit is not None for _ in range(TRIES))
    sys.stdout.write(f"{os.getpid()} {got}\n")
    sys.stdout.flush()
    if stay:
        signal.pause()
    engine.dispose()


if __name__ == "__main__":
    main()
