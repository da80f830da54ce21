"""Whether a cache keeps a crowd from the provider, callers apart, and spending below its limit."""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from typing import Any

from prefect.settings import (
    PREFECT_API_URL,
    PREFECT_SERVER_ANALYTICS_ENABLED,
    PREFECT_SERVER_LOGGING_LEVEL,
    temporary_settings,
)
from prefect.testing.utilities import prefect_test_harness

from benchmarks.peers.port import MODEL, Caller
from benchmarks.peers.scene import Lacking, Scene, Worker
from cognition.testing import FakeOpenAI, Reply, Usage

WITH_SEARCH = True
PROCESSES, CALLERS = 4, 25
CROWD = (
    "ours-l1",
    "langchain-redis",
    "langchain-sqlalchemy",
    "litellm-redis",
    "gptcache",
    "redisvl",
    "diskcache",
    "diskcache-barrier",
    "cashews",
    "cashews-lock",
    "prefect-inputs",
    "no-cache",
)
APART = (
    "ours-l1",
    "ours-l3",
    "langchain-redis",
    "langchain-sqlalchemy",
    "langchain-semantic",
    "litellm-redis",
    "gptcache",
    "redisvl",
    "diskcache",
    "prefect-inputs",
)
BUDGETS = ("ours-l1", "litellm-local")
DIFFERENCES = {
    "two tenants": (Caller(tenant="acme"), Caller(tenant="globex")),
    "two models": (Caller(model=MODEL), Caller(model="gpt-5")),
    "two system prompts": (Caller(system="You advise tenants."), Caller(system="You advise landlords.")),
}
# So far apart that none is near another, for the caches that look for neighbours.
_CROWDED = (
    "Who wrote the oldest surviving novel?",
    "How is the boiling point of water measured?",
    "Which train leaves for Lisbon at noon?",
    "Why do cats purr?",
    "May I return shoes without the receipt?",
)
# So far apart that none is near another.
_ASKED_BY_BOTH = {
    "two tenants": "When does the annual report appear?",
    "two models": "How many moons has Jupiter?",
    "two system prompts": "May the deposit be kept?",
}
_SLOW_ANSWER = Reply(text="An answer.", delay_seconds=1.0)
_LIMIT_CENTS, _OFFERED = 10, 160
_DEAR = Usage(input_tokens=20, output_tokens=1000)
_CALL_USD = 0.002005  # what genai-prices and LiteLLM both say of gpt-5-mini: 0.25 and 2 dollars a million tokens
_READY_SECONDS = 1.0


def measure(scene: Scene) -> dict[str, Any]:
    """Return provider calls, leaks and spending by name, and why somebody has none."""
    rounds = 1 if scene.quick else 5
    reasons: dict[str, str] = {}
    told: dict[str, Any] = {}
    with _prefect_address() as address, FakeOpenAI(default=_SLOW_ANSWER) as provider:
        for name in dict.fromkeys((*CROWD, *APART)):
            told[name] = _guarded(reasons, name, _told, scene, provider, rounds, address)
            print(f"   {name}", flush=True)
    crowd = {name: told[name]["crowd"] for name in CROWD if told[name]}
    leaks = {name: told[name]["leaks"] for name in APART if told[name]}
    with FakeOpenAI(default=Reply(text="An answer.", usage=_DEAR, delay_seconds=0.3)) as provider:
        spent = {
            f"{name} in {processes}": _guarded(reasons, name, _spent, scene, provider, processes)
            for name in BUDGETS
            for processes in (1, PROCESSES)
        }
    sizes = {"processes": PROCESSES, "callers": CALLERS, "rounds": rounds, "limit_cents": _LIMIT_CENTS}
    return sizes | {"crowd": crowd, "leaks": leaks, "spent": spent, "reasons": reasons}


def _guarded(reasons: dict[str, str], name: str, work: Any, *arguments: Any) -> Any:
    try:
        return work(name, *arguments)
    except Lacking as reason:
        reasons[name] = str(reason)
        return None


def _told(name: str, scene: Scene, provider: FakeOpenAI, rounds: int, address: str) -> dict[str, Any]:
    """Return what a peer does with a crowd, and with callers who differ."""
    with _crew(name, scene, provider, PROCESSES if name in CROWD else 1, address) as crew:
        crowd = _crowd(name, crew, provider, rounds) if name in CROWD else {}
        return {"crowd": crowd, "leaks": _leaks(crew[0], provider) if name in APART else {}}


def _crowd(name: str, crew: Sequence[Worker], provider: FakeOpenAI, rounds: int) -> dict[str, Any]:
    """Return how many calls reached the provider in each round, and what callers got instead of an answer."""
    calls: list[int] = []
    errors: list[str] = []
    for turn in range(rounds):
        provider.reset()
        begin = time.time() + _READY_SECONDS
        for worker in crew:
            worker.order("at_once", prompt=f"{_CROWDED[turn]} ({name})", callers=CALLERS, begin=begin)
        errors += [found["error"] for worker in crew if "error" in (found := worker.answer())]
        calls.append(provider.count)
    return {"calls": calls, "errors": errors}


def _leaks(worker: Worker, provider: FakeOpenAI) -> dict[str, bool]:
    """Return for each difference whether the second caller got the first one's answer."""
    found: dict[str, bool] = {}
    for title, (first, second) in DIFFERENCES.items():
        prompt = _ASKED_BY_BOTH[title]
        provider.reset()
        worker.do("ask", prompt=prompt, caller=asdict(first))
        before = provider.count
        worker.do("ask", prompt=prompt, caller=asdict(second))
        found[title] = provider.count == before
    return found


def _spent(name: str, scene: Scene, provider: FakeOpenAI, processes: int) -> dict[str, Any]:
    """Return the percentage of the limit that was spent by so many processes at once."""
    provider.reset()
    each = _OFFERED // processes
    with _crew(name, scene, provider, processes, "") as crew:
        begin = time.time() + _READY_SECONDS
        for number, worker in enumerate(crew):
            prompts = [f"What is number {call} of {number} in {processes}?" for call in range(each)]
            worker.order("spend", limit_cents=_LIMIT_CENTS, prompts=prompts, callers=16, begin=begin)
        admitted = sum(worker.answer()["admitted"] for worker in crew)
    return {
        "percent": 100 * provider.count * _CALL_USD / (_LIMIT_CENTS / 100),
        "admitted": admitted,
        "offered": each * processes,
    }


@contextmanager
def _crew(name: str, scene: Scene, provider: FakeOpenAI, count: int, address: str) -> Generator[list[Worker]]:
    """Start some processes of one peer that share whatever they can share."""
    options: dict[str, Any] = {
        "provider_url": provider.base_url,
        "beside": f"{name}-{time.time_ns()}",
        "prefect_url": address,
    }
    with ExitStack() as stack:
        crew = [stack.enter_context(scene.worker(name, **options)) for _ in range(count)]
        for worker in crew:
            worker.answer()
        yield crew


@contextmanager
def _prefect_address() -> Generator[str]:
    """Run one Prefect server for all processes that need one."""
    quiet: dict[Any, Any] = {PREFECT_SERVER_ANALYTICS_ENABLED: False, PREFECT_SERVER_LOGGING_LEVEL: "CRITICAL"}
    with temporary_settings(quiet), prefect_test_harness(server_startup_timeout=180):
        yield str(PREFECT_API_URL.value())
