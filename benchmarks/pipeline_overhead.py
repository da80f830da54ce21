"""What the pipeline adds to a call while every breaker is closed: microseconds, part by part.

Run `python -m benchmarks.pipeline_overhead` (or `make bench`). Each part is measured with all parts inside it, so that
the differences add up: an attempt that answers at once, then the bulkhead around it, then the breaker, then retry, then
the chain of models. Figures are medians of rounds of many calls, interleaved over the parts.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import nullcontext
from datetime import UTC, datetime
from functools import partial
from statistics import median

from cognition import CompletionRequest, Fallback, ResiliencePolicy
from cognition.domain.routing import Route, Target, chain_of
from cognition.errors import CognitionError
from cognition.resilience.bulkhead import Bulkheads, Quota
from cognition.resilience.pipeline import Pipeline
from cognition.resilience.policy import Rules
from cognition.resilience.recording import OpenBreakers, recorded
from cognition.resilience.retry import Retry
from cognition.resilience.retry_budget import RetryBudgets
from cognition.resilience.timing import Deadline, Timing

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

    def falling_back(self, target: Target, follower: Target, error: CognitionError) -> None:
        """Forget it."""


def main() -> int:
    """Measure and print; fail when the goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=50, help="how many rounds of calls")
    parser.add_argument("--json", action="store_true", help="print JSON for machines")
    arguments = parser.parse_args()
    times = asyncio.run(_measure(_parts(), arguments.rounds))
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


def _parts() -> Mapping[str, Part]:
    """Return the pipeline in steps, each of which holds the ones before it."""
    breakers, bulkheads, budgets = OpenBreakers(), Bulkheads(), RetryBudgets()
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
