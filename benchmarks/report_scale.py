"""How long reports take over a large ledger, and how much memory this process needs for them.

Goals, at a million rows: each report in less than 5 seconds, the process below 500 MB; pandas gets the lines of a
report, not the rows of the ledger. Prints one line a report and fails when a goal is missed.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import timedelta

from pydantic import SecretStr

from cognition import Cognition, Settings
from cognition.adapters.postgres import migrate
from cognition.adapters.postgres.connection import connect, connected
from cognition.testing import temporary_servers

ROWS = 1_000_000
SECONDS_MAX = 5.0
MEGABYTES_MAX = 500.0
WINDOW = timedelta(days=30)

# A month: 2,000 flow runs of 500 calls each, of 20 workflows, for 50 users in 8 teams; four tasks and two models a run,
# 400,000 different requests, and two calls of five are hits.
FILL = """
INSERT INTO llm_cost_tracking (tenant, call_key, attempt, request_id, request_key, payload_hash, status, user_id, team,
    workflow_id, flow_run_id, task_name, namespace, provider, model, requested_model, prompt_tokens, completion_tokens,
    cost_usd, saved_usd, cache_layer, latency_ms, created_at)
SELECT 'default', gen_random_uuid(), asked, gen_random_uuid(), sha256(mod(n, 400000)::text::bytea), '\\x00',
    CASE asked WHEN 1 THEN 'ok' ELSE 'cache_hit' END, 'user-' || mod(run, 50), 'team-' || mod(run, 8),
    'flow-' || mod(run, 20), 'run-' || run, 'task-' || mod(n, 4), 'space-' || mod(run, 10), 'openai', model, model,
    asked * mod(n, 4000), asked * mod(n, 500), asked * mod(n, 9973) * 0.000000137,
    (1 - asked) * mod(n, 9973) * 0.000000137, CASE mod(n, 5) WHEN 0 THEN 'l1' WHEN 1 THEN 'l2' ELSE 'provider' END,
    mod(n, 3000), now() - n * interval '2.5 seconds'
FROM generate_series(1, %(rows)s) AS n,
    LATERAL (SELECT n / 500 AS run, (mod(n, 5) > 1)::int AS asked, 'openai:m' || mod(n, 2) AS model) AS call
"""
ROLLUPS = """
INSERT INTO llm_cache_stats (tenant, layer, namespace, model, hour, hits, misses, saved_usd)
SELECT 'default', layer, 'space-' || space, 'openai:m' || model,
    date_trunc('hour', now(), 'UTC') - hour * interval '1h',
    mod(hour, 7), mod(hour, 5), 0.000000137 * hour
FROM unnest(ARRAY['l1', 'l2', 'l3']) AS layer, generate_series(0, 9) AS space, generate_series(0, 5) AS model,
    generate_series(0, 1500) AS hour
"""


@dataclass(frozen=True)
class Figure:
    """What one report took: its time, and the most memory that the process has held until then."""

    report: str
    rows: int
    seconds: float
    peak_mb: float


def main() -> None:
    """Fill a ledger, make each report, print what it took."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rows", type=int, default=ROWS)
    options.add_argument("--json", action="store_true", help="print JSON")
    chosen = options.parse_args()
    with temporary_servers() as servers:
        figures = measure(servers.database_url, chosen.rows)
    if chosen.json:
        print(json.dumps([asdict(figure) for figure in figures]))
    else:
        for figure in figures:
            print(f"{figure.report:<40} {figure.rows:>10,} rows {figure.seconds:6.2f} s {figure.peak_mb:6.0f} MB")
    missed = [one.report for one in figures if one.seconds > SECONDS_MAX or one.peak_mb > MEGABYTES_MAX]
    if missed:
        sys.exit(f"Slower than {SECONDS_MAX:g} s or larger than {MEGABYTES_MAX:g} MB: {', '.join(missed)}.")


def measure(database_url: str, rows: int) -> list[Figure]:
    """Return what each report takes over so many rows."""
    migrate.upgrade(database_url)
    fill(database_url, rows)
    settings = Settings(database_url=SecretStr(database_url), redis_url=SecretStr("memory://"))
    with Cognition.open(settings) as engine:
        reports: dict[str, Callable[[], object]] = {
            "chargeback by everything": engine.reports.costs,
            "chargeback by everything, CSV by pandas": lambda: engine.reports.costs().render("csv"),
            "chargeback by everything, Markdown": lambda: engine.reports.costs().render("markdown", most=20),
            "hit rate of 30 days, and the 30 before": lambda: engine.reports.hit_rate(WINDOW),
        }
        return [figure(name, rows, make) for name, make in reports.items()]


def fill(database_url: str, rows: int) -> None:
    """Write a ledger and rollups."""
    engine = connect(database_url)
    with connected(engine) as connection:
        connection.exec_driver_sql(FILL, {"rows": rows})
        connection.exec_driver_sql(ROLLUPS)
        connection.exec_driver_sql("VACUUM ANALYZE llm_cost_tracking")
    engine.dispose()


def figure(name: str, rows: int, make: Callable[[], object]) -> Figure:
    """Make one report; return what it took."""
    started = time.perf_counter()
    make()
    seconds = time.perf_counter() - started
    # Linux counts in KiB.
    return Figure(name, rows, seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


if __name__ == "__main__":
    main()
