"""How long a hit, a miss and a batch take: all peers and us in turn, round by round."""

from __future__ import annotations

from typing import Any

from benchmarks.peers.rounds import Rounds, Task
from benchmarks.peers.scene import Scene
from cognition.testing import FakeOpenAI

NAMES = (
    "ours-l1",
    "ours-l2",
    "langchain-redis",
    "langchain-sqlalchemy",
    "litellm-local",
    "litellm-redis",
    "gptcache",
    "diskcache",
    "cashews",
    "ours-task",
    "prefect-inputs",
    "no-cache",
)
CALLERS = 32
BATCH = 1000
_SLOW = {"gptcache", "prefect-inputs", "ours-task"}  # each look-up embeds, or is a task run
_SMALL = {"litellm-local": 128}  # it keeps 200 entries
_FEWEST = 5
_SLOWER = 16


def measure(scene: Scene) -> dict[str, Any]:
    """Return rounds by title and name, and why some have none."""
    rounds, calls, batch = (1, 10, 20) if scene.quick else (5, 256, BATCH)
    prompts = [f"What does rule {number} of the contract say?" for number in range(batch)]
    kept = Rounds()
    # Only our task asks a server, for which functions stand with the others: its answers are as long as the prompts.
    with FakeOpenAI() as provider, scene.workers(NAMES, provider_url={"ours-task": provider.base_url}) as found:
        workers, kept.reasons["start"] = found
        for name, worker in workers.items():
            kept.attempt(worker, "fill", "fill", prompts=prompts[: _stored(name, calls, batch)])
        tasks = _tasks(prompts, calls)
        kept.play(workers, tasks, counts=False)
        for _ in range(rounds):
            kept.play(workers, tasks)
    return {"rounds": rounds, "calls": calls, "batch": batch} | kept.found()


def _tasks(prompts: list[str], calls: int) -> list[Task]:
    few = max(_FEWEST, calls // _SLOWER)

    def some(name: str) -> dict[str, Any]:
        return {"prompts": prompts[: _stored(name, calls, calls)]}

    def look_ups(name: str) -> dict[str, Any] | None:
        return None if name == "no-cache" else some(name)

    def new(name: str) -> dict[str, Any] | None:
        return None if name == "ours-task" else {"calls": few}

    def all_of_them(name: str) -> dict[str, Any] | None:
        return None if name in _SLOW or name in _SMALL else {"prompts": prompts}

    return [
        Task("sync", "hits", "microseconds", some),
        Task("sync of 32", "hits", "per_second", lambda name: some(name) | {"callers": CALLERS}),
        Task("async", "async_hits", "microseconds", some),
        Task("async of 32", "async_hits", "per_second", lambda name: some(name) | {"callers": CALLERS}),
        Task("look-up alone", "look_ups", "microseconds", look_ups),
        Task("miss", "misses", "microseconds", new),
        Task("batch", "batch", "milliseconds", all_of_them),
    ]


def _stored(name: str, calls: int, most: int) -> int:
    """Return how many answers somebody gets to store, and is asked for."""
    return max(_FEWEST, calls // _SLOWER) if name in _SLOW else min(most, _SMALL.get(name, most))
