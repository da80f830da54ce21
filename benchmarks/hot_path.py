"""What the engine adds to its stores, as ratios of raw calls measured in the same run.

Run `python -m benchmarks.hot_path` (or `make bench`). Each figure is the median over interleaved rounds, so that a
machine that is busy for a moment disturbs both sides of a ratio. Stores are the embedded ones, on Unix sockets, in a
home of their own; the provider answers at once, so that a miss measures the engine alone. A miss is booked on the disk
before it returns, and no faster than the disk is: the raw COMMIT shows how long that takes here.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

import psycopg2
import redis
from pydantic_ai.messages import ModelResponse, TextPart
from pydantic_ai.usage import RequestUsage
from sqlalchemy import make_url

from cognition import Cognition, CompletionRequest, Settings
from cognition.adapters.embedded import EmbeddedServers
from cognition.adapters.postgres import migrate
from cognition.adapters.redis.keys import namespace_keys
from cognition.domain.entry import Address
from cognition.domain.fingerprint import address_of
from cognition.testing import temporary_servers

MODEL = "openai-chat:gpt-5-mini"
BATCH = 1000
_SINGLES = 20
_ANSWER = "A circuit breaker stops calling a service that fails, and tries again after a while. " * 4


class InstantProvider:
    """Answers at once."""

    async def prepare(self, request: CompletionRequest) -> None:
        """Be ready."""

    async def ask(self, request: CompletionRequest) -> ModelResponse:
        """Return always the same text."""
        del request
        usage = RequestUsage(input_tokens=20, output_tokens=80)
        return ModelResponse(parts=[TextPart(_ANSWER)], usage=usage, finish_reason="stop")

    async def close(self) -> None:
        """Hold nothing."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A measured ratio or time beside its goal."""

    name: str
    value: float
    unit: str
    goal: str
    met: bool


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=400, help="how many rounds of single calls")
    parser.add_argument("--json", action="store_true", help="print JSON for machines")
    arguments = parser.parse_args()
    with _servers() as servers, Cognition.open(_settings(servers), provider=InstantProvider()) as engine:
        parts = _single_calls(engine, servers, arguments.rounds)
        batches, ratios = _batches(engine, max(5, arguments.rounds // 40))
    parts |= batches
    figures = _figures(parts, ratios)
    if arguments.json:
        figures_of = [asdict(figure) for figure in figures]
        print(json.dumps({"microseconds": parts, "figures": figures_of, "ratios": ratios}))
        return
    for name, microseconds in parts.items():
        print(f"{name:<42}{microseconds:>10.1f} µs")
    print()
    for figure in figures:
        verdict = "met" if figure.met else "MISSED"
        print(f"{figure.name:<52}{figure.value:>8.2f} {figure.unit:<3}goal {figure.goal:<8}{verdict}")
    for name, ratio in ratios.items():
        if "read" in name:
            print(f"{name:<52}{ratio:>8.2f} x")


def _figures(parts: dict[str, float], batches: dict[str, float]) -> list[Figure]:
    l1, l2 = parts["L1 hit"], parts["L2 hit"]
    return [
        _at_most(2.5, "x", "L1 hit / raw GET", l1 / parts["raw GET"]),
        _at_most(3.0, "x", "L2 hit / (raw GET + raw SELECT)", l2 / (parts["raw GET"] + parts["raw SELECT"])),
        _at_most(5.0, "ms", "overhead of a miss", parts["miss, provider instant"] / 1000),
        *(_at_least(10.0, "x", name, ratio) for name, ratio in batches.items() if "read" not in name),
    ]


def _at_most(goal: float, unit: str, name: str, value: float) -> Figure:
    return Figure(name, value, unit, f"<= {goal:g}", value <= goal)


def _at_least(goal: float, unit: str, name: str, value: float) -> Figure:
    return Figure(name, value, unit, f">= {goal:g}", value >= goal)


def _single_calls(engine: Cognition, servers: EmbeddedServers, rounds: int) -> dict[str, float]:
    prompt = "What is a circuit breaker?"
    engine.complete(prompt, model=MODEL)
    address = address_of(engine.request(prompt, model=MODEL))
    with _raw(servers, address) as (get, select, commit):
        samples: dict[str, list[float]] = {}

        def measure(name: str, use: Callable[[], object]) -> None:
            started = time.perf_counter()
            use()
            samples.setdefault(name, []).append((time.perf_counter() - started) * 1e6)

        for number in range(rounds):
            measure("raw GET", get)
            measure("L1 hit", lambda: engine.complete(prompt, model=MODEL))
            measure("raw SELECT", select)
            engine.cache.evict_from_l1([address])
            measure("L2 hit", lambda: engine.complete(prompt, model=MODEL))
            if number % 4 == 2:  # noqa: PLR2004  between the misses, which it would else follow in step with the disk
                measure("raw COMMIT of one row", commit)
            if number % 4 == 0:
                new = f"Question {number}?"
                measure("miss, provider instant", lambda new=new: engine.complete(new, model=MODEL))
    return {name: median(values) for name, values in samples.items()}


def _batches(engine: Cognition, rounds: int) -> tuple[dict[str, float], dict[str, float]]:
    """Measure batches of hits, per call, and how many times longer a single hit takes just before."""
    prompts = [f"What is number {number}?" for number in range(BATCH)]
    engine.complete_many(prompts, model=MODEL)
    addresses = [address_of(engine.request(prompt, model=MODEL)) for prompt in prompts]
    samples: defaultdict[str, list[float]] = defaultdict(list)
    ratios: defaultdict[str, list[float]] = defaultdict(list)
    for _ in range(rounds):
        for layer in ("L1", "L2"):
            evict = [] if layer == "L1" else addresses
            single = [_single(engine, prompts[0], evict[:1]) for _ in range(_SINGLES)]
            engine.cache.evict_from_l1(evict)
            started = time.perf_counter()
            done = engine.complete_many(prompts, model=MODEL)
            answered = time.perf_counter()
            # An answer is decoded when it is looked at.
            read = [one.text for one in done]
            ended = time.perf_counter()
            if any(one.layer != layer.lower() for one in done) or not all(read):
                sys.exit(f"Not every answer came from {layer}; the figures would be wrong.")
            for name, end, alone in (
                (f"{layer} hit", answered, median(hit for hit, _ in single)),
                (f"{layer} hit, text read", ended, median(text for _, text in single)),
            ):
                in_batch = (end - started) / BATCH * 1e6
                samples[f"{name} in complete_many({BATCH})"].append(in_batch)
                ratios[f"{name} / the same in complete_many({BATCH})"].append(alone / in_batch)
    return _medians(samples), _medians(ratios)


def _single(engine: Cognition, prompt: str, evict: Sequence[Address]) -> tuple[float, float]:
    """Return how many microseconds one hit takes, without and with its text being read."""
    engine.cache.evict_from_l1(evict)
    started = time.perf_counter()
    done = engine.complete(prompt, model=MODEL)
    answered = time.perf_counter()
    read = done.text
    ended = time.perf_counter()
    if not read:
        sys.exit("An answer has no text; the figures would be wrong.")
    return (answered - started) * 1e6, (ended - started) * 1e6


def _medians(samples: Mapping[str, Sequence[float]]) -> dict[str, float]:
    return {name: median(values) for name, values in samples.items()}


@contextmanager
def _raw(servers: EmbeddedServers, address: Address) -> Generator[tuple[Callable[[], object], ...]]:
    """Give a raw GET of the same value from Redis, a raw SELECT of the same row by primary key, and a raw COMMIT."""
    client: Any = redis.Redis.from_url(servers.redis_url or "")  # pyright: ignore[reportUnknownMemberType]
    key = namespace_keys(address.tenant, address.namespace).entry + address.key.hex()
    url = make_url(servers.database_url)
    connection: Any = psycopg2.connect(dbname=url.database, user=url.username, host=url.query["host"])
    connection.autocommit = True
    cursor = connection.cursor()
    statement = "SELECT payload FROM llm_cache WHERE tenant = %s AND key = %s"

    def select() -> object:
        cursor.execute(statement, (address.tenant, address.key))
        return cursor.fetchone()

    def commit() -> None:
        cursor.execute("INSERT INTO benchmark_rows VALUES (1)")

    cursor.execute("CREATE TABLE benchmark_rows (number integer)")
    yield (lambda: client.get(key)), select, commit
    connection.close()
    client.close()


def _settings(servers: EmbeddedServers) -> Settings:
    return Settings.model_validate({"database_url": servers.database_url, "redis_url": servers.redis_url})


@contextmanager
def _servers() -> Generator[EmbeddedServers]:
    with temporary_servers() as servers:
        migrate.upgrade(servers.database_url)
        yield servers


if __name__ == "__main__":
    main()
