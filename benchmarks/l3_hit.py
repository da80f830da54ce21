"""What a semantic hit costs beside what it cannot do without: one embedding and one search of the index.

Run `python -m benchmarks.l3_hit`. Each measured prompt is new, because a hit is copied to the exact layers: a greeting
is put before a stored question. The raw search runs on a connection of its own and takes turns with the hits, so that a
machine that is busy for a moment disturbs both. The ratio is printed for a scope that is compared row by row and for
one that is large enough for the index.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from statistics import median
from typing import Any

import psycopg2
from sqlalchemy import make_url

from benchmarks.hot_path import MODEL, InstantProvider
from cognition import Cognition, SemanticPolicy, Settings
from cognition.adapters.embedded import EmbeddedServers
from cognition.adapters.embedders import LocalEmbedder
from cognition.adapters.postgres import migrate
from cognition.testing import temporary_servers

EMBEDDER = "all-minilm-l6-v2"
GOAL = 1.3
PLACES = ("Berlin", "Lisbon", "Ottawa", "Nairobi", "Jakarta", "Lima", "Oslo", "Quito", "Hanoi", "Dublin")
THINGS = ("library", "harbour", "museum", "market", "station", "theatre", "bridge", "park", "castle", "university")
ASKED = (
    "When was the {thing} of {place} number {number} built?",
    "Who designed the {thing} of {place} number {number}?",
)
GREETINGS = ("Hello, {}", "Please tell me: {}", "Hi there! {}", "Good morning. {}")
RAW = """
SET LOCAL hnsw.iterative_scan = strict_order; SET LOCAL hnsw.ef_search = 100; SET LOCAL enable_sort = off;
SELECT id FROM llm_semantic_cache WHERE dimensions = 384 AND tenant = 'default' AND expires_at > now()
ORDER BY embedding::halfvec(384) <=> %s::halfvec(384) LIMIT 3
"""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rows", type=int, default=10_000, help="questions in the large scope")
    parser.add_argument("--rounds", type=int, default=200, help="hits to measure in each scope")
    parser.add_argument("--json", action="store_true", help="print JSON for machines")
    chosen = parser.parse_args()
    figures = {rows: measure(rows, chosen.rounds) for rows in (500, chosen.rows)}
    if chosen.json:
        print(json.dumps(figures))
        return
    for rows, parts in figures.items():
        print(f"{rows:,} questions in the scope")
        for name in ("L3 hit", "embedding", "raw search"):
            print(f"  {name:<12}{parts[name]:>8.2f} ms")
        ratio, verdict = parts["ratio"], "met" if parts["ratio"] <= GOAL else "MISSED"
        print(f"  L3 hit / (embedding + raw search) {ratio:.2f}   goal <= {GOAL}   {verdict}")


def measure(rows: int, rounds: int) -> dict[str, float]:
    """Return medians in milliseconds over a scope of some size, and their ratio."""
    with temporary_servers() as servers:
        migrate.upgrade(servers.database_url)
        names: dict[str, Any] = {"database_url": servers.database_url, "redis_url": servers.redis_url}
        policy = SemanticPolicy(threshold=0.5, max_error=None, check_share=0)
        settings = Settings(embedder=f"local:{EMBEDDER}", semantic=policy, model=MODEL, **names)
        with Cognition.open(settings, provider=InstantProvider()) as engine:
            questions = stored(rows)
            for start in range(0, rows, 500):
                # Unseen by L3's look-up, so that no question answers another; all are stored.
                engine.complete_many(questions[start : start + 500], cache="refresh")
            return compare(engine, servers, questions, rounds)


def stored(rows: int) -> list[str]:
    """Return as many different questions."""
    return [
        ASKED[number % 2].format(thing=THINGS[number % 10], place=PLACES[number // 10 % 10], number=number)
        for number in range(rows)
    ]


def compare(engine: Cognition, servers: EmbeddedServers, questions: Sequence[str], rounds: int) -> dict[str, float]:
    """Measure hits, embeddings and raw searches in turn."""
    embedder = LocalEmbedder(EMBEDDER)
    url = make_url(servers.database_url)
    connection: Any = psycopg2.connect(dbname=url.database, user=url.username, host=url.query["host"])
    cursor = connection.cursor()
    cursor.execute("ANALYZE llm_semantic_cache")
    connection.commit()

    def search(vector: str) -> None:
        cursor.execute(RAW, (vector,))
        cursor.fetchall()
        connection.commit()

    samples: dict[str, list[float]] = {"L3 hit": [], "embedding": [], "raw search": []}
    step = max(1, len(questions) // rounds)
    for number in range(rounds):
        prompt = GREETINGS[number % len(GREETINGS)].format(questions[number * step % len(questions)])
        samples["L3 hit"].append(milliseconds(lambda prompt=prompt: hit(engine, prompt)))
        other = f"{prompt} "
        samples["embedding"].append(milliseconds(lambda other=other: embedder.embed([other])))
        vector = json.dumps(embedder.embed([other])[0].tolist())
        samples["raw search"].append(milliseconds(lambda vector=vector: search(vector)))
    connection.close()
    parts = {name: median(values) for name, values in samples.items()}
    return parts | {"ratio": parts["L3 hit"] / (parts["embedding"] + parts["raw search"])}


def hit(engine: Cognition, prompt: str) -> None:
    """Ask; only a semantic hit is what we measure."""
    done = engine.complete(prompt)
    assert done.layer == "l3", f"{prompt!r} was answered by {done.layer}"


def milliseconds(use: Callable[[], object]) -> float:
    """Return how long a call takes."""
    started = time.perf_counter()
    use()
    return (time.perf_counter() - started) * 1000


if __name__ == "__main__":
    main()
