"""What the pipeline adds to a call while every breaker is closed: microseconds, part by part.

Run `python -m benchmarks.pipeline_overhead` (or `make bench`). Each part is measured with all parts inside it, so that
the differences add up: an attempt that answers at once, then the bulkhead around it, then the breaker, then retry, then
the chain of models. The breakers are those that an engine uses, shared through an embedded PostgreSQL. Figures are
medians of rounds of many calls, interleaved over the parts.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable, Generator, Mapping
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime
from functools import partial
from statistics import median

from cognition import CompletionRequest, Fallback, ResiliencePolicy
from cognition.adapters.machine import worker_name
from cognition.adapters.postgres import migrate
from cognition.adapters.postgres.breakers import PostgresBreakers
from cognition.adapters.postgres.connection import connect
from cognition.domain.routing import Route, Target, chain_of
from cognition.errors import CognitionError
from cognition.events import Event
from cognition.owner_loop import OwnerLoop
from cognition.resilience.breaker_store import BreakerStore
from cognition.resilience.bulkhead import Bulkheads, Quota
from cognition.resilience.pipeline import Pipeline
from cognition.resilience.policy import Rules
from cognition.resilience.recording import Breakers, recorded
from cognition.resilience.retry import Retry
from cognition.resilience.retry_budget import RetryBudgets
from cognition.resilience.shared_breakers import SharedBreakers
from cognition.resilience.store_breaker import Guarded, StoreBreaker
from cognition.resilience.timing import Deadline, Timing
from cognition.testing import temporary_servers

GOAL_US = 200.0
_CALLS = 200
_REQUEST = CompletionRequest(prompt="What is a circuit breaker?", model="openai-chat:gpt-5-mini")
_ROUTES = [Route(Fallback("anthropic:claude-haiku-4-5"))]
_POLICY = ResiliencePolicy()

Part = Callable[[], Awaitable[object]]


class _Silent:
    """A witness that nothing is told."""

    def retrying(self, wait_seconds: float, error: CognitionError) -> None:
        """Forget it."""

    def not_retrying(self, reason: CognitionError) -> None:
        """Forget it."""

    async def may_enter(self) -> bool:
        """Try again."""
        return True

    def falling_back(self, target: Target, follower: Target, error: CognitionError) -> None:
        """Forget it."""


def main() -> int:
    """Measure and print; fail when the goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=50, help="how many rounds of calls")
    parser.add_argument("--json", action="store_true", help="print JSON for machines")
    arguments = parser.parse_args()
    with _breakers() as (loop, breakers):
        times = loop.call(_measure(_parts(breakers), arguments.rounds))
    bare, whole = times["the attempt alone"], times["+ chain of models, its making included"]
    met = whole - bare <= GOAL_US
    if arguments.json:
        print(json.dumps({"microseconds": times, "overhead": whole - bare, "goal": GOAL_US, "met": met}))
        return 0 if met else 1
    before = 0.0
    for name, microseconds in times.items():
        print(f"{name:<42}{microseconds - before:>10.1f} µs")
        before = microseconds
    verdict = "met" if met else "MISSED"
    print(f"{'overhead of the pipeline':<42}{whole - bare:>10.1f} µs  goal <= {GOAL_US:g} µs  {verdict}")
    return 0 if met else 1


@contextmanager
def _breakers() -> Generator[tuple[OwnerLoop, SharedBreakers]]:
    """Give circuit breakers as an engine has them, and the loop they live on."""
    with temporary_servers() as servers:
        migrate.upgrade(servers.database_url)
        engine, loop = connect(servers.database_url), OwnerLoop(4)
        store: BreakerStore = PostgresBreakers(engine, "default")
        breaker = StoreBreaker("breakers", store.ping, _ignore)
        breakers = SharedBreakers(Guarded(store, breaker), loop.in_thread, _ignore, worker_name)
        yield loop, breakers
        breakers.close()
        loop.close(asyncio.sleep(0))
        engine.dispose()


def _ignore(_: Event) -> None:
    """Want to know nothing."""


def _parts(breakers: Breakers) -> Mapping[str, Part]:
    """Return the pipeline in steps, each of which holds the ones before it."""
    bulkheads, budgets = Bulkheads(), RetryBudgets()
    timing = Timing(clock=partial(datetime.now, UTC))
    pipeline, witness, rules = Pipeline(breakers, bulkheads, budgets, timing), _Silent(), Rules(_POLICY)
    (target,) = chain_of(_REQUEST, [], None)

    async def attempt(target: Target, seconds: float) -> str:
        async with asyncio.timeout(seconds):  # noqa: ASYNC100  its price is what is measured
            return target.model

    async def alone() -> str:
        return await attempt(target, 60.0)

    async def in_bulkhead() -> str:
        async with bulkheads.of(target.service).place(Quota(32, 1000)), nullcontext():
            return await alone()

    async def behind_breaker() -> str:
        async with (
            breakers.passage(target.breaker, _POLICY.breaker) as passage,
            bulkheads.of(target.service).place(Quota(32, 1000)),
            nullcontext(),
            recorded(breakers, passage, target, _POLICY, Deadline(_POLICY.deadline, timing.monotonic)),
        ):
            await passage.begin()
            return await alone()

    async def retried() -> str:
        deadline = Deadline(_POLICY.deadline, timing.monotonic)
        retry = Retry(target.model, _POLICY, timing, budgets.of("openai-chat"), deadline, 0, witness)
        return await retry.run(behind_breaker)

    async def whole() -> str:
        return await pipeline.run(chain_of(_REQUEST, _ROUTES, None), attempt, rules, witness)

    return {
        "the attempt alone": alone,
        "+ bulkhead": in_bulkhead,
        "+ breaker and its record": behind_breaker,
        "+ retry": retried,
        "+ chain of models, its making included": whole,
    }


async def _measure(parts: Mapping[str, Part], rounds: int) -> dict[str, float]:
    """Return the median time of one call of each part, in microseconds."""
    times: dict[str, list[float]] = {name: [] for name in parts}
    for _ in range(rounds):
        for name, part in parts.items():
            started = time.perf_counter()
            for _ in range(_CALLS):
                await part()
            times[name].append((time.perf_counter() - started) / _CALLS * 1e6)
    return {name: median(taken) for name, taken in times.items()}


if __name__ == "__main__":
    sys.exit(main())
