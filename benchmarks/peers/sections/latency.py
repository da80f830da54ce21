"""The section about exact hits, misses and batches."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from benchmarks.peers.roster import BY_NAME
from benchmarks.peers.spread import Spread, number, spread_of
from benchmarks.peers.tables import NOTHING, table, title_of, verdict

_HITS = ("sync", "look-up alone", "async", "sync of 32", "async of 32")
_HEAD = ("µs a call", "µs, the look-up alone", "µs a call, async", "calls/s of 32 threads", "calls/s of 32 tasks")
_SHARED = {"Valkey", "PostgreSQL", "files and Prefect's server"}
_LOCAL = {"SQLite files", "the process", "SQLite and FAISS files"}

_EXPLAINED = """\
Answers of 2 KB, {calls} calls a round, {rounds} rounds; the median of the rounds' medians (smallest to largest). *A
call* is what the peer's users write; *the look-up alone* is the cache without the model class around
it, where it has one."""
_WHY_A_MISS_COSTS = """\
A miss of ours does more before it returns: it keeps others from asking the same at the same time, and what the call
cost is on the disk before the caller has his answer. Beside a provider that takes a second it is not seen."""

Samples = Mapping[str, Mapping[str, Sequence[float]]]


def section(found: Mapping[str, Any]) -> str:
    """Return it in Markdown."""
    samples: Samples = found["samples"]
    names = list(dict.fromkeys(name for title in _HITS for name in samples.get(title, {})))
    names.sort(key=[*BY_NAME].index)
    rows = [[title_of(name), BY_NAME[name].stores, *(cell(samples, title, name) for title in _HITS)] for name in names]
    others = [
        [title_of(name), cell(samples, "miss", name), cell(samples, "batch", name), _each(found, name)]
        for name in names
    ]
    return "\n\n".join(
        [
            _EXPLAINED.format(**found),
            table(["exact hits", "answers live in", *_HEAD], rows),
            _verdicts(samples),
            table(
                ["misses, batches", "µs a miss adds", f"ms for a batch of {found['batch']}", "µs a hit in it"], others
            ),
            _batch_verdict(samples),
            _notes(found["reasons"]),
        ]
    )


def cell(samples: Samples, title: str, name: str) -> str:
    """Write a figure, or that there is none."""
    values = samples.get(title, {}).get(name)
    return str(spread_of(values)) if values else NOTHING


def _each(found: Mapping[str, Any], name: str) -> str:
    values = found["samples"].get("batch", {}).get(name)
    return number(spread_of(values).middle * 1000 / found["batch"]) if values else NOTHING


def _verdicts(samples: Samples) -> str:
    lines: list[str] = []
    for title, what in (
        ("sync", "A hit"),
        ("async", "An asynchronous hit"),
        ("sync of 32", "32 threads"),
        ("async of 32", "32 tasks"),
    ):
        small = "32" not in title
        for stores, where in (
            (_SHARED, "from a server that machines share"),
            (_LOCAL, "against caches of one machine or process"),
        ):
            theirs = _those(samples, title, (name for name in BY_NAME if BY_NAME[name].stores in stores))
            lines.append(verdict(_ours(samples, title), theirs, small_is_good=small, what=f"{what}, {where}"))
    alone = _those(samples, "look-up alone", (name for name in BY_NAME if BY_NAME[name].stores in _SHARED))
    lines.append(
        verdict(_ours(samples, "sync"), alone, small_is_good=True, what="Our whole call against their look-up alone")
    )
    return "\n".join(f"- {line}" for line in lines if line)


def _batch_verdict(samples: Samples) -> str:
    theirs = _those(samples, "batch", (name for name in BY_NAME if name != "no-cache"))
    misses = _those(samples, "miss", (name for name in BY_NAME if name != "no-cache"))
    lines = [
        verdict(_ours(samples, "batch"), theirs, small_is_good=True, what="A batch"),
        verdict(_ours(samples, "miss"), misses, small_is_good=True, what="What a miss adds"),
        _WHY_A_MISS_COSTS,
    ]
    return "\n".join(f"- {line}" for line in lines if line)


def _ours(samples: Samples, title: str) -> dict[str, Spread]:
    return {
        name: spread_of(values) for name, values in samples.get(title, {}).items() if name in {"ours-l1", "ours-l2"}
    }


def _those(samples: Samples, title: str, names: Iterable[str]) -> dict[str, Spread]:
    known = samples.get(title, {})
    return {name: spread_of(known[name]) for name in names if name in known and not name.startswith("ours")}


def _notes(reasons: Mapping[str, Mapping[str, str]]) -> str:
    by_reason: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for title, whys in reasons.items():
        for name, why in whys.items():
            by_reason[name, why].append(title)
    lines = [
        f"- {title_of(name)}: {why} ({', '.join(titles)})"
        for (name, why), titles in by_reason.items()
        if not (name.startswith("ours") or name == "no-cache")
    ]
    return "Without a figure:\n\n" + "\n".join(lines) if lines else ""
