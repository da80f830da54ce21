"""Whether L3 stays fast when it grows, and up to which size a scope is better scanned than searched with the index.

Run `python -m benchmarks.l3_scaling` (about half an hour; `--rows 100000` for two minutes, `--json` for machines). The
index is built after each load. A look-up in the scope that has nearly all rows takes turns with a raw query of the same
index without any condition on a connection of its own, so that a machine that is busy for a moment disturbs both; so do
look-ups by both ways in smaller scopes of the largest table.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from statistics import median
from typing import Any

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from benchmarks._semantic_rows import EMBEDDER, INDEX, Population, build_index, database, fill, question
from cognition.adapters.postgres.connection import connect
from cognition.adapters.postgres.rows import vector_text
from cognition.adapters.postgres.semantic_entries import EXACT_ROWS, PostgresSemanticEntries
from cognition.domain.semantic import Vector, Vectors

SIZES = (1_000, 10_000, 100_000, 1_000_000)
LARGE_SCOPE = 0
# By number; spread over the rows between the second and the third size.
SMALL_SCOPES = {1: 250, 2: 500, 3: 1_000, 4: 2_000, 5: 4_000, 6: 8_000}
LOOK_UPS = 300
NEIGHBOURS = 3
RAW = """
    SELECT payload, embedding::halfvec(384) <=> %(vector)s::halfvec(384) FROM llm_semantic_cache WHERE dimensions = 384
    ORDER BY embedding::halfvec(384) <=> %(vector)s::halfvec(384) LIMIT %(neighbours)s
"""

LookUp = Callable[[Vector], object]


@dataclass(frozen=True, slots=True)
class Crossing:
    """How long look-ups in a small scope take, by either way."""

    scope_rows: int
    scan_ms: float
    index_ms: float


@dataclass(frozen=True, slots=True)
class Figures:
    """What was measured at one size of the table."""

    rows: int
    load_seconds: float
    build_seconds: float
    look_up_ms: float
    raw_ms: float
    table_mb: float
    index_mb: float
    crossing: list[Crossing]


def main() -> None:
    """Print one line a size, and what either way takes in small scopes."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rows", type=int, default=SIZES[-1], help="size of the largest table")
    options.add_argument("--json", action="store_true", help="print JSON")
    chosen = options.parse_args()
    figures: list[Figures] = []
    with database() as (url, raw):
        for figure in measure(url, raw, [size for size in SIZES if size < chosen.rows] + [chosen.rows]):
            figures.append(figure)
            if not chosen.json:
                show(figure, header=len(figures) == 1)
    if chosen.json:
        print(json.dumps([asdict(figure) for figure in figures], indent=2))


def measure(url: str, raw: Any, sizes: Sequence[int]) -> Iterator[Figures]:
    """Grow the table step by step and measure at each."""
    engine = connect(url)
    population, scopes = Population(sizes[-1]), owners(sizes[-1])
    held = 0
    for size in sizes:
        vectors = population.vectors(size - held)
        started = time.perf_counter()
        fill(raw, vectors, held, lambda number: int(scopes[number]))
        loaded = time.perf_counter()
        build_index(raw)
        built = time.perf_counter()
        held = size
        asked = population.asked(vectors[np.random.default_rng(1).choice(len(vectors), LOOK_UPS)])
        look_up_ms, raw_ms = in_turns(asked, look_up(engine, LARGE_SCOPE), raw_query(raw))
        table_mb, index_mb = sizes_of(raw)
        small = SMALL_SCOPES if size >= SIZES[2] else {}
        yield Figures(
            rows=size,
            load_seconds=loaded - started,
            build_seconds=built - loaded,
            look_up_ms=look_up_ms,
            raw_ms=raw_ms,
            table_mb=table_mb,
            index_mb=index_mb,
            crossing=[
                Crossing(rows, *in_turns(asked, look_up(engine, scope, rows), look_up(engine, scope, 0)))
                for scope, rows in small.items()
            ],
        )
    engine.dispose()


def owners(rows: int) -> NDArray[np.int64]:
    """Return the scope of each row."""
    scopes = np.full(rows, LARGE_SCOPE)
    if rows >= SIZES[2]:
        numbers = np.repeat(list(SMALL_SCOPES), list(SMALL_SCOPES.values()))
        scopes[np.random.default_rng(0).choice(range(SIZES[1], SIZES[2]), len(numbers), replace=False)] = numbers
    return scopes


def look_up(engine: sa.Engine, scope: int, exact_rows: int = EXACT_ROWS) -> LookUp:
    """Return how to look up in a scope."""
    store = PostgresSemanticEntries(engine, lambda: datetime.now(UTC), exact_rows)

    def nearest(vector: Vector) -> None:
        (nearby,) = store.nearest(EMBEDDER, [question(scope, vector)], NEIGHBOURS)
        assert len(nearby.neighbours) == NEIGHBOURS

    return nearest


def raw_query(raw: Any) -> LookUp:
    """Return how to ask pgvector alone."""

    def nearest(vector: Vector) -> None:
        with raw.cursor() as cursor:
            cursor.execute(RAW, {"vector": vector_text(vector), "neighbours": NEIGHBOURS})
            assert len(cursor.fetchall()) == NEIGHBOURS

    return nearest


def in_turns(asked: Vectors, one: LookUp, other: LookUp) -> tuple[float, float]:
    """Return the median times of two ways to look up, in milliseconds."""
    times = [(seconds(one, vector), seconds(other, vector)) for vector in asked]
    return 1000 * median(first for first, _ in times), 1000 * median(second for _, second in times)


def seconds(call: LookUp, vector: Vector) -> float:
    """Return how long a call takes."""
    started = time.perf_counter()
    call(vector)
    return time.perf_counter() - started


def sizes_of(raw: Any) -> tuple[float, float]:
    """Return the sizes of the table and of its HNSW index, in megabytes."""
    with raw.cursor() as cursor:
        cursor.execute(f"SELECT pg_table_size('llm_semantic_cache') / 1e6, pg_relation_size('{INDEX}') / 1e6")
        table, index = cursor.fetchone()
        return float(table), float(index)


def show(figures: Figures, *, header: bool) -> None:
    """Print one line, and one for each small scope."""
    if header:
        print("     rows |   load |  build |   table | HNSW index |  look-up | raw query | ratio")
    print(
        f"{figures.rows:9,} | {figures.load_seconds:4.0f} s | {figures.build_seconds:4.0f} s |"
        f" {figures.table_mb:4.0f} MB | {figures.index_mb:7.0f} MB | {figures.look_up_ms:5.2f} ms |"
        f" {figures.raw_ms:6.2f} ms | {figures.look_up_ms / figures.raw_ms:5.2f}",
        flush=True,
    )
    for crossing in figures.crossing:
        print(
            f"          | scope of {crossing.scope_rows:5,} rows: {crossing.scan_ms:6.2f} ms scanned,"
            f" {crossing.index_ms:6.2f} ms by the index",
            flush=True,
        )


if __name__ == "__main__":
    main()
