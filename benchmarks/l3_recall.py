"""How much of what is near L3 finds, compared with brute force, and what that takes.

Run `python -m benchmarks.l3_recall` (some minutes; `--rows 10000` for less, `--json` for machines). The rows of each
size belong to 1, 10 or 1,000 scopes in turn, and a question is answered from its own scope alone. See `_semantic_rows`
for the vectors.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from statistics import median
from typing import Any

import numpy as np

from benchmarks._semantic_rows import EMBEDDER, Population, build_index, database, fill, key_of, question
from cognition.adapters.postgres.connection import connect
from cognition.adapters.postgres.semantic_entries import PostgresSemanticEntries
from cognition.domain.semantic import Vectors

SIZES = (1_000, 10_000, 100_000)
SCOPES = (1, 10, 1_000)
NEIGHBOURS = (3, 10)
QUESTIONS = 300
GOAL = 0.99


@dataclass(frozen=True, slots=True)
class Figures:
    """What was found at one size with one number of scopes."""

    rows: int
    scopes: int
    recall: dict[int, float]
    look_up_ms: float


def main() -> None:
    """Print one line a table, and fail if any recall misses the goal."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rows", type=int, default=SIZES[-1], help="size of the largest table")
    options.add_argument("--json", action="store_true", help="print JSON")
    chosen = options.parse_args()
    figures: list[Figures] = []
    with database() as (url, raw):
        for figure in measure(url, raw, [size for size in SIZES if size <= chosen.rows]):
            figures.append(figure)
            if not chosen.json:
                show(figure, header=len(figures) == 1)
    if chosen.json:
        print(json.dumps([asdict(figure) for figure in figures], indent=2))
    worst = min(recall for figure in figures for recall in figure.recall.values())
    assert worst >= GOAL, f"only {worst:.2%} of the nearest rows were found"


def measure(url: str, raw: Any, sizes: list[int]) -> Iterator[Figures]:
    """Fill the table anew for each size and number of scopes."""
    engine = connect(url)
    store = PostgresSemanticEntries(engine, lambda: datetime.now(UTC))
    for size in sizes:
        population = Population(size)
        vectors = population.vectors(size)
        sampled = np.random.default_rng(1).choice(size, QUESTIONS)
        asked = population.asked(vectors[sampled])
        for scopes in SCOPES:
            with raw.cursor() as cursor:
                cursor.execute("TRUNCATE llm_semantic_cache")
            fill(raw, vectors, 0, lambda number, scopes=scopes: number % scopes)
            build_index(raw)
            recall, look_up_ms = compare(store, vectors, asked, (sampled % scopes).tolist(), scopes)
            yield Figures(size, scopes, recall, look_up_ms)
    engine.dispose()


def compare(
    store: PostgresSemanticEntries, vectors: Vectors, asked: Vectors, owners: list[int], scopes: int
) -> tuple[dict[int, float], float]:
    """Return the share that was found of the nearest rows, by their number, and the median time of a look-up."""
    right, total, times = dict.fromkeys(NEIGHBOURS, 0), dict.fromkeys(NEIGHBOURS, 0), list[float]()
    for vector, owner in zip(asked, owners, strict=True):
        own = np.arange(owner, len(vectors), scopes)
        ranked: list[int] = own[np.argsort(-(vectors[own] @ vector))[: max(NEIGHBOURS)]].tolist()
        for count in NEIGHBOURS:
            started = time.perf_counter()
            (nearby,) = store.nearest(EMBEDDER, [question(owner, vector)], count)
            times += [time.perf_counter() - started] if count == NEIGHBOURS[0] else []
            wanted = {key_of(number).hex() for number in ranked[:count]}
            right[count] += len(wanted & {one.entry.key for one in nearby.neighbours})
            total[count] += len(wanted)
    return {count: right[count] / total[count] for count in NEIGHBOURS}, 1000 * median(times)


def show(figures: Figures, *, header: bool) -> None:
    """Print one line."""
    if header:
        print("   rows | scopes | " + " | ".join(f"recall of {count:2}" for count in NEIGHBOURS) + " | look-up")
    recall = " | ".join(f"{figures.recall[count]:12.4f}" for count in NEIGHBOURS)
    print(f"{figures.rows:7,} | {figures.scopes:6,} | {recall} | {figures.look_up_ms:4.1f} ms", flush=True)


if __name__ == "__main__":
    main()
