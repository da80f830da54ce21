"""The section about growth."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks.peers.spread import number, spread_of
from benchmarks.peers.tables import NOTHING, table, title_of

_EXPLAINED = """\
Answers of 2 KB are added until there are so many, through the call that users write (in batches where there are
any); who is not there after {seconds:.0f} s stays where he is, and the table says how far he came. Look-ups are of
entries from all over. *Grown* is what Redis and PostgreSQL and the process together have more than at the smallest
size. `python -m benchmarks.l2_scaling` and `benchmarks.l3_scaling` load ours in bulk, up to a million rows."""
_FLOWS = """\
A flow run whose calls L1 answers, against Prefect's own temporary server on SQLite: seconds as that many tasks, and as
one `complete_many` inside the flow. What a task run costs is Prefect's; a batch pays it once."""


def section(found: Mapping[str, Any]) -> str:
    """Return it in Markdown."""
    rows = [_row(name, steps[0], step) for name, steps in found["exact"].items() for step in steps]
    flows = [
        [f"{one['calls']:,}", str(spread_of(one["tasks"])), str(spread_of(one["batch"])), _times(one)]
        for one in found["flows"]
    ]
    return "\n\n".join(
        [
            _EXPLAINED.format(seconds=found["most_seconds"]),
            table(["growth", "entries", "µs a hit", "entries stored/s", "MB grown"], rows),
            _FLOWS,
            table(["LLM calls", "s as tasks", "s as one batch", "tasks / batch"], flows),
        ]
    )


def _row(name: str, first: Mapping[str, Any], step: Mapping[str, Any]) -> list[str]:
    if "lacking" in step:
        return [title_of(name), NOTHING, NOTHING, NOTHING, step["lacking"]]
    parts = ("redis_mb", "postgres_mb", "process_mb")
    grown = sum(step[part] - first[part] for part in parts)
    hit = str(spread_of(step["microseconds"]))
    return [title_of(name), f"{step['entries']:,}", hit, number(step["per_second"]), number(grown)]


def _times(one: Mapping[str, Any]) -> str:
    return number(spread_of(one["tasks"]).middle / spread_of(one["batch"]).middle)
