"""Whether L2 stays as fast when it grows, and what it takes on disk and in the memory of this process.

Run `python -m benchmarks.l2_scaling` (a few minutes; `--rows 100000` for less, `--json` for machines). Entries to look
up are stored by the adapter and spread over the whole table; the rest of the table is copies that PostgreSQL makes
itself. Each look-up takes turns with a raw SELECT by primary key on a connection of its own, so that a machine that is
busy for a moment disturbs both. Processes of the engine keep nothing of L2 in memory, and PostgreSQL only what is used.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import psycopg2
import sqlalchemy as sa

from cognition.adapters.postgres import migrate
from cognition.adapters.postgres.connection import connect, connected
from cognition.adapters.postgres.entries import PostgresEntries
from cognition.domain.entry import Address
from cognition.testing import temporary_servers
from cognition.testing.contracts.samples import an_address, an_entry

SIZES = (1_000, 100_000, 1_000_000)
LOOK_UPS = 4_000
SLICES = 10
SAMPLES_A_SLICE = 50
WORDS_AN_ANSWER = 150
GROWTH_LIMIT = 2.0  # of the time of a hit, from the smallest to the largest table

# Copies the first entry under new keys; only the size of its payload counts, nobody looks these up.
FILL = sa.text("""
    INSERT INTO llm_cache (
        tenant, key, namespace, scope_key, model, provider, requested_model, payload, payload_bytes,
        generation, tags, request_id, created_at, expires_at
    )
    SELECT
        tenant, sha256(convert_to('filler ' || number, 'UTF8')), namespace, scope_key, model, provider, requested_model,
        payload, payload_bytes, generation, tags, gen_random_uuid(), created_at, expires_at
    FROM generate_series(CAST(:first AS bigint), :last) AS number
    CROSS JOIN (SELECT * FROM llm_cache WHERE tenant = :tenant AND key = :key)
""")
RAW = "SELECT payload FROM llm_cache WHERE tenant = %s AND key = %s"


@dataclass(frozen=True, slots=True)
class Figures:
    """What was measured at one size of the table."""

    rows: int
    hit_us: float
    hit_p95_us: float
    raw_select_us: float
    table_mb_per_100k: float
    indexes_mb_per_100k: float
    process_growth_mb: float


def main() -> None:
    """Print one line a size and fail if a hit takes much longer in the largest table than in the smallest."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rows", type=int, default=SIZES[-1], help="size of the largest table")
    options.add_argument("--json", action="store_true", help="print JSON")
    chosen = options.parse_args()
    sizes = [size for size in SIZES if size < chosen.rows] + [chosen.rows]
    figures: list[Figures] = []
    with database() as url:
        for figure in measure(url, sizes):
            figures.append(figure)
            if not chosen.json:
                show(figure, header=len(figures) == 1)
    growth = figures[-1].hit_us / figures[0].hit_us
    if chosen.json:
        print(json.dumps({"sizes": [asdict(figure) for figure in figures], "growth": growth}, indent=2))
    else:
        print(f"growth of a hit's time from {figures[0].rows:,} to {figures[-1].rows:,} rows: {growth:.2f}")
    assert growth < GROWTH_LIMIT, f"a hit took {growth:.2f} times as long in the largest table as in the smallest"


@contextmanager
def database() -> Generator[str]:
    """Give a database of our own."""
    with temporary_servers() as servers:
        migrate.upgrade(servers.database_url)
        yield servers.database_url


def measure(url: str, sizes: list[int]) -> Iterator[Figures]:
    """Grow the table step by step and measure at each."""
    engine = connect(url)
    store = PostgresEntries(engine, lambda: datetime.now(UTC))
    raw = psycopg2.connect(sa.make_url(url).set(drivername="postgresql").render_as_string(hide_password=False))
    raw.autocommit = True
    samples: list[Address] = []
    # What the process takes for its first entries it takes for any number of them.
    held = grow(engine, store, samples, 0, SAMPLES_A_SLICE)
    look_ups(store, raw, samples)
    at_first = resident_bytes()
    for size in sizes:
        for part in range(1, SLICES + 1):
            held = grow(engine, store, samples, held, held + (size - held) * part // SLICES)
        with connected(engine) as connection:
            connection.exec_driver_sql("VACUUM ANALYZE llm_cache")
        hits, selects = look_ups(store, raw, samples)
        with connected(engine) as connection:
            table, indexes = connection.execute(
                sa.text("SELECT pg_table_size('llm_cache'), pg_indexes_size('llm_cache')")
            ).one()
        yield Figures(
            rows=held,
            hit_us=median(hits),
            hit_p95_us=quantiles(hits, n=20)[-1],
            raw_select_us=median(selects),
            table_mb_per_100k=table / held / 10,
            indexes_mb_per_100k=indexes / held / 10,
            # The addresses of the samples are among it.
            process_growth_mb=(resident_bytes() - at_first) / 1e6,
        )
    raw.close()
    engine.dispose()


def resident_bytes() -> int:
    """Return how much memory this process holds; 0 where the system does not say."""
    statistics = Path("/proc/self/statm")
    return int(statistics.read_text(encoding="ascii").split()[1]) * resource.getpagesize() if statistics.exists() else 0


def grow(engine: sa.Engine, store: PostgresEntries, samples: list[Address], held: int, size: int) -> int:
    """Add entries up to a size: some to look up, the rest copies; return the new size."""
    words = Path(__file__).read_text(encoding="utf-8").split()
    fresh = [an_address(f"question {held + number}") for number in range(min(SAMPLES_A_SLICE, size - held))]
    draw = random.Random(held)  # noqa: S311  no secret
    now = datetime.now(UTC)
    text = [" ".join(draw.choices(words, k=WORDS_AN_ANSWER)) for _ in fresh]
    life = {"created_at": now, "expires_at": now + timedelta(days=1)}
    store.put([(address, an_entry(address, answer, **life)) for address, answer in zip(fresh, text, strict=True)])
    samples += fresh
    with connected(engine) as connection:
        pattern = {"tenant": samples[0].tenant, "key": samples[0].key}
        connection.execute(FILL, {"first": held + len(fresh) + 1, "last": size, **pattern})
    return size


def look_ups(store: PostgresEntries, raw: Any, samples: list[Address]) -> tuple[list[float], list[float]]:
    """Return the times of hits and of raw SELECTs of random entries, in microseconds."""

    def hit(address: Address) -> None:
        assert store.get(address).entry is not None

    def select(address: Address) -> None:
        with raw.cursor() as cursor:
            cursor.execute(RAW, (address.tenant, address.key))
            assert cursor.fetchone()

    draw = random.Random(0)  # noqa: S311  no secret
    chosen = draw.choices(samples, k=LOOK_UPS)
    times = [(seconds(hit, address), seconds(select, address)) for address in chosen]
    return [1e6 * first for first, _ in times], [1e6 * second for _, second in times]


def seconds(call: Callable[[Address], None], address: Address) -> float:
    """Return how long a call takes."""
    started = time.perf_counter()
    call(address)
    return time.perf_counter() - started


def show(figures: Figures, *, header: bool) -> None:
    """Print one line."""
    if header:
        print(
            "     rows |  hit, median |  hit, 95 % |  raw SELECT |  table, 100k rows |  indexes, 100k rows"
            " |  this process grew by"
        )
    print(
        f"{figures.rows:9,} | {figures.hit_us:9.0f} µs | {figures.hit_p95_us:7.0f} µs | {figures.raw_select_us:8.0f} µs"
        f" | {figures.table_mb_per_100k:14.0f} MB | {figures.indexes_mb_per_100k:16.0f} MB"
        f" | {figures.process_growth_mb:17.1f} MB",
        flush=True,
    )


if __name__ == "__main__":
    main()
