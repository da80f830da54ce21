"""What `llm_task` adds to a plain Prefect `@task`, for an answer that L1 holds.

Run `python -m benchmarks.prefect_overhead` (or `make bench`). The tasks run in blocks of 25, in a new order each round,
inside one flow and against one Prefect server. A block, because Prefect's threads send a task's states and logs after
it has returned: timed one by one, that work falls on whichever call waits next, and only ours waits, for Redis. A
pause before each block lets those threads finish what the last one left. The ratio is the median over the rounds, so
that a machine that is busy for a moment disturbs both of its sides. The parts are measured inside the same flow run,
where the context that they read exists.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import random
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.logging.handlers import PrefectConsoleHandler
from prefect.settings import (
    PREFECT_FLOWS_HEARTBEAT_FREQUENCY,
    PREFECT_SERVER_ANALYTICS_ENABLED,
    PREFECT_SERVER_LOGGING_LEVEL,
    temporary_settings,
)
from prefect.testing.utilities import prefect_test_harness
from pydantic import SecretStr

from cognition.adapters.postgres import migrate
from cognition.runtime import engine_for
from cognition.testing import FakeOpenAI, temporary_servers
from cognition_blocks import CachedLLM, CognitionStore, llm_task
from cognition_blocks.run_context import current_attribution
from cognition_blocks.run_summary import add_run_summary

GOAL = 1.15
BLOCK = 25
QUIET_SECONDS = 0.3
PROMPT = "What is a circuit breaker?"

PLAIN = "plain @task"
BARE = "plain @task without Prefect's cache"
OURS = "llm_task, answered by L1"


@task
def plain(topic: str) -> str:
    """Do nothing, as Prefect runs it by default."""
    return topic


@task(cache_policy=NO_CACHE, persist_result=False)
def bare(topic: str) -> str:
    """Do nothing, without Prefect's cache, which `llm_task` leaves out too."""
    return topic


def main() -> int:
    """Measure and print; fail when the goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=15, help="how often each block of tasks runs")
    parser.add_argument("--json", action="store_true", help="print JSON for machines")
    arguments = parser.parse_args()
    with _llm() as llm, _prefect():
        samples = _measure(llm, arguments.rounds)
    parts = {name: median(times) for name, times in samples.items()}
    ratios = {
        f"{OURS} / {name}": median(ours / other for ours, other in zip(samples[OURS], samples[name], strict=True))
        for name in (PLAIN, BARE)
    }
    met = ratios[f"{OURS} / {PLAIN}"] <= GOAL
    if arguments.json:
        print(json.dumps({"microseconds": parts, "ratios": ratios, "goal": GOAL, "met": met}))
        return 0 if met else 1
    for name, microseconds in parts.items():
        print(f"{name:<66}{microseconds:>12.1f} µs")
    for name, ratio in ratios.items():
        print(f"{name:<66}{ratio:>12.3f}")
    print(f"{f'goal for {OURS} / {PLAIN}':<66}{GOAL:>12.3f}  {'met' if met else 'MISSED'}")
    return 0 if met else 1


def _measure(llm: CachedLLM, rounds: int) -> dict[str, list[float]]:
    """Return microseconds a call, one figure for each round."""

    @llm_task(llm=llm)
    def ours(topic: str) -> str:
        return topic

    single: dict[str, Callable[[], Any]] = {
        "the block's hit: CachedLLM.complete": lambda: llm.complete(PROMPT),
        "  the engine's hit: Cognition.complete": lambda: llm.engine.complete(PROMPT, **llm.to_config().completing({})),
        "  who it is booked to: current_attribution": current_attribution,
        "  that the run reports it: add_run_summary": add_run_summary,
        "  what the block says: to_config": llm.to_config,
        "  the engine behind it: CachedLLM.engine": lambda: llm.engine,
    }
    tasks: dict[str, Callable[[], Any]] = {
        PLAIN: lambda: plain(PROMPT),
        BARE: lambda: bare(PROMPT),
        OURS: lambda: ours(PROMPT),
    }

    @flow
    def blocks() -> dict[str, list[float]]:
        calls = tasks | single
        times: dict[str, list[float]] = {name: [] for name in calls}
        for call in [*calls.values()] * 3:
            call()
        for _ in range(rounds):
            for name, call in random.sample(list(calls.items()), len(calls)):
                time.sleep(QUIET_SECONDS)
                started = time.perf_counter()
                for _ in range(BLOCK):
                    call()
                times[name].append((time.perf_counter() - started) / BLOCK * 1e6)
        return times

    return blocks()


@contextmanager
def _llm() -> Generator[CachedLLM]:
    """Return a block on embedded servers in a home of their own and a provider on loopback."""
    with temporary_servers() as servers:
        migrate.upgrade(servers.database_url)
        redis_url = SecretStr(servers.redis_url) if servers.redis_url else None
        store = CognitionStore(database_url=SecretStr(servers.database_url), redis_url=redis_url)
        with FakeOpenAI() as provider:
            key = SecretStr("any")
            yield CachedLLM(model_name="openai-chat:gpt-5-mini", api_key=key, base_url=provider.base_url, store=store)
        engine_for(store.to_settings()).close()


@contextmanager
def _prefect() -> Generator[None]:
    """Run a Prefect server on SQLite; Prefect's messages are made as in any run, but nobody sees them."""
    quiet: dict[Any, Any] = {
        PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None,
        # The server has pages to say when two of its own writes meet in SQLite, and when it is stopped at work.
        PREFECT_SERVER_ANALYTICS_ENABLED: False,
        PREFECT_SERVER_LOGGING_LEVEL: "CRITICAL",
    }
    with (
        temporary_settings(quiet),
        prefect_test_harness(server_startup_timeout=180),
        Path(os.devnull).open("w", encoding="utf-8") as nowhere,
    ):
        consoles = [one.console for one in logging.getLogger().handlers if isinstance(one, PrefectConsoleHandler)]
        shown = [console.file for console in consoles]
        for console in consoles:
            console.file = nowhere
        yield
        for console, file in zip(consoles, shown, strict=True):
            console.file = file


if __name__ == "__main__":
    sys.exit(main())
