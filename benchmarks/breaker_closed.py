"""What a circuit breaker costs a call while all is well, and while it refuses.

Run `python -m benchmarks.breaker_closed` (or `make bench`). The store is PostgreSQL, the embedded one; the figures are
for one passage on the owner loop, from asking for leave to the verdict, and how often the store was asked meanwhile.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from statistics import median, quantiles
from typing import ClassVar

from typing_extensions import override

from cognition.adapters.embedded import ensure_running
from cognition.adapters.postgres import migrate
from cognition.adapters.postgres.breakers import PostgresBreakers
from cognition.adapters.postgres.connection import connect
from cognition.domain.breaker import BreakerKey, BreakerPolicy
from cognition.domain.breaker_standing import Standing
from cognition.errors import CircuitOpen
from cognition.events import Event
from cognition.owner_loop import OwnerLoop
from cognition.resilience.breaker_store import BreakerStore
from cognition.resilience.shared_breakers import SharedBreakers
from cognition.resilience.store_breaker import Guarded, StoreBreaker
from cognition.testing import temporary_home

GOAL_US = 20.0  # a tenth of what the whole pipeline may cost
KEY = BreakerKey("openai-chat", "gpt-5-mini")
POLICY = BreakerPolicy()
BATCH = 100


class CountedBreakers(PostgresBreakers):
    """Counts the looks."""

    asked: ClassVar[Counter[str]] = Counter()

    @override
    def look(self, keys: Sequence[BreakerKey]) -> list[Standing]:
        """Look, and count it."""
        self.asked["look"] += 1
        return super().look(keys)


def main() -> int:
    """Measure and print; fail when the goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--calls", type=int, default=50_000, help="how many passages of each kind")
    parser.add_argument("--json", action="store_true", help="print JSON for machines")
    arguments = parser.parse_args()
    with temporary_home() as home:
        url = ensure_running(home).database_url
        migrate.upgrade(url)
        figures = _measure(url, arguments.calls)
    met = figures["closed_us"] <= GOAL_US
    if arguments.json:
        print(json.dumps(figures | {"goal_us": GOAL_US, "met": met}))
    else:
        verdict = "met" if met else "MISSED"
        print(
            f"closed and healthy   {figures['closed_us']:8.2f} µs a call   goal <= {GOAL_US:g} µs   {verdict}\n"
            f"  99th percentile    {figures['closed_p99_us']:8.2f} µs (of means over {BATCH} calls)\n"
            f"  looks at the store {figures['looks']:8.0f} during {arguments.calls} calls in"
            f" {figures['closed_seconds']:.2f} s, none by a call\n"
            f"refused              {figures['refused_us']:8.2f} µs a call"
        )
    return 0 if met else 1


def _measure(url: str, calls: int) -> dict[str, float]:
    engine = connect(url)
    store: BreakerStore = CountedBreakers(engine, "default")
    loop = OwnerLoop(4)
    breakers = SharedBreakers(
        Guarded(store, StoreBreaker("breakers", store.ping, _ignore)), loop.in_thread, _ignore, lambda: "benchmark"
    )
    figures = loop.call(_on_loop(breakers, calls))
    breakers.close()
    loop.close(asyncio.sleep(0))
    engine.dispose()
    return figures


async def _on_loop(breakers: SharedBreakers, calls: int) -> dict[str, float]:
    async def pass_through() -> None:
        async with breakers.passage(KEY, POLICY) as passage:
            passage.success()

    async def be_refused() -> None:
        try:
            async with breakers.passage(KEY, POLICY):
                sys.exit("A call was admitted that should not have been.")
        except CircuitOpen:
            pass

    await pass_through()
    CountedBreakers.asked.clear()
    started = time.perf_counter()
    closed = await _times(pass_through, calls)
    seconds, looks = time.perf_counter() - started, CountedBreakers.asked["look"]
    await breakers.cool_down(KEY, timedelta(hours=1), "benchmark")
    refused = await _times(be_refused, calls // 10)
    return {
        "closed_us": median(closed),
        "closed_p99_us": quantiles(closed, n=100)[-1],
        "closed_seconds": seconds,
        "looks": looks,
        "refused_us": median(refused),
    }


async def _times(call: Callable[[], Awaitable[None]], calls: int) -> list[float]:
    """Return the mean microseconds of a call, batch by batch; the loop breathes between them."""
    means: list[float] = []
    for _ in range(max(calls // BATCH, 2)):
        started = time.perf_counter()
        for _ in range(BATCH):
            await call()
        means.append((time.perf_counter() - started) * 1e6 / BATCH)
        await asyncio.sleep(0)
    return means


def _ignore(_: Event) -> None:
    """Want to know nothing."""


if __name__ == "__main__":
    sys.exit(main())
