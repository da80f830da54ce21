"""What happens as a cache grows, and as a flow grows: look-ups, insert rate, memory; tasks against one batch."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from typing import Any

import psycopg2
import redis
from prefect import flow
from prefect.settings import PREFECT_LOGGING_LEVEL, PREFECT_SERVER_ANALYTICS_ENABLED, temporary_settings
from prefect.testing.utilities import prefect_test_harness
from pydantic import SecretStr
from sqlalchemy import make_url

from benchmarks.peers.scene import Lacking, Scene, Worker
from benchmarks.peers.servers import Servers
from cognition.runtime import engine_for
from cognition.testing import FakeOpenAI
from cognition_blocks import CachedLLM, CognitionStore, llm_task

NAMES = ("ours-l1", "ours-l2", "langchain-redis", "langchain-sqlalchemy", "litellm-redis", "diskcache")
SIZES = (1_000, 10_000, 100_000)
FLOWS = (1, 10, 100, 1000)
_PART = 1000
_MOST_SECONDS = 40.0  # for one peer to grow by one step; who needs longer stops where he is
_ROUNDS = 5
_ASKED = 100


def measure(scene: Scene) -> dict[str, Any]:
    """Return look-ups, rates and memory by name and size, and the time of flows."""
    sizes = (100, 200) if scene.quick else SIZES
    exact = {name: found for name in NAMES if (found := _grown(scene, name, sizes))}
    return {"most_seconds": _MOST_SECONDS, "exact": exact, "flows": _flows(scene, (1, 3) if scene.quick else FLOWS)}


def _grown(scene: Scene, name: str, sizes: Sequence[int]) -> list[dict[str, Any]]:
    """Return what one peer does at each size that it reaches in time; the servers are emptied before."""
    _emptied(scene.servers)
    steps: list[dict[str, Any]] = []
    there = 0
    try:
        with scene.worker(name) as worker:
            worker.answer()
            for size in sizes:
                seconds, reached = _filled(worker, there, size)
                steps.append(_looked_up(worker, reached) | _sizes(scene.servers, worker))
                steps[-1] |= {"entries": reached, "per_second": (reached - there) / seconds}
                there = reached
                if reached < size:
                    break
    except Lacking as reason:
        steps.append({"lacking": str(reason)})
    return steps


def _filled(worker: Worker, first: int, last: int) -> tuple[float, int]:
    seconds = 0.0
    while first < last and seconds < _MOST_SECONDS:
        until = min(last, first + _PART)
        seconds += worker.do("fill", prompts=[_prompt(number) for number in range(first, until)])["seconds"]
        first = until
    return seconds, first


def _looked_up(worker: Worker, entries: int) -> dict[str, Any]:
    step = max(1, entries // _ASKED)
    prompts = [_prompt(number) for number in range(0, entries, step)][:_ASKED]
    worker.do("hits", prompts=prompts)
    return {"microseconds": [worker.do("hits", prompts=prompts)["microseconds"] for _ in range(_ROUNDS)]}


def _prompt(number: int) -> str:
    return f"What does paragraph {number} of the contract say?"


def _emptied(servers: Servers) -> None:
    client: Any = redis.Redis.from_url(servers.redis_url)  # pyright: ignore[reportUnknownMemberType]
    client.flushall()
    client.close()


def _sizes(servers: Servers, worker: Worker) -> dict[str, float]:
    """Return megabytes of Redis, of PostgreSQL's database and of the process."""
    client: Any = redis.Redis.from_url(servers.redis_url)  # pyright: ignore[reportUnknownMemberType]
    used = client.info("memory")["used_memory"]
    client.close()
    url = make_url(servers.database_url)
    connection: Any = psycopg2.connect(dbname=url.database, user=url.username, host=url.query["host"])
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_database_size(current_database())")
        (database,) = cursor.fetchone()
    connection.close()
    process = worker.do("memory")["megabytes"]
    return {"redis_mb": used / 2**20, "postgres_mb": database / 2**20, "process_mb": process}


def _flows(scene: Scene, sizes: Sequence[int]) -> list[dict[str, Any]]:
    """Return how long a flow run takes whose calls L1 answers: as that many tasks, and as one batch."""
    quiet: dict[Any, Any] = {PREFECT_LOGGING_LEVEL: "CRITICAL", PREFECT_SERVER_ANALYTICS_ENABLED: False}
    logging.getLogger("prefect").setLevel(logging.CRITICAL)
    store = CognitionStore(
        database_url=SecretStr(scene.servers.database_url), redis_url=SecretStr(scene.servers.redis_url)
    )
    with FakeOpenAI() as provider, temporary_settings(quiet), prefect_test_harness(300):
        llm = CachedLLM(
            model_name="openai-chat:gpt-5-mini", api_key=SecretStr("any"), base_url=provider.base_url, store=store
        )
        llm.complete_many([_prompt(number) for number in range(max(sizes))])

        @llm_task(llm=llm)
        def answer(prompt: str) -> str:
            return prompt

        @flow
        def as_tasks(prompts: list[str]) -> None:
            answer.map(prompts).result()

        @flow
        def as_a_batch(prompts: list[str]) -> None:
            llm.complete_many(prompts)

        found = [{"calls": size, "tasks": _times(as_tasks, size), "batch": _times(as_a_batch, size)} for size in sizes]
    engine_for(store.to_settings()).close()
    return found


def _times(run: Callable[[list[str]], Any], size: int) -> list[float]:
    prompts = [_prompt(number) for number in range(size)]
    rounds = 1 if size >= _PART else _ROUNDS
    times: list[float] = []
    for _ in range(rounds):
        started = time.perf_counter()
        run(prompts)
        times.append(time.perf_counter() - started)
    return times
