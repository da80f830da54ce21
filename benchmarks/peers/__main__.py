"""Measures us and what people would use instead, and writes `docs/benchmarks.md`: `python -m benchmarks.peers`.

Names of measures run only those; the page is always written anew from all results there are. `make bench-peers` runs
everything. Peers live in environments of their own below `.peers/`, made on first use.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.peers.environments import FOLDER, ROOT
from benchmarks.peers.scene import Scene, folder_of_a_run
from benchmarks.peers.servers import running
from benchmarks.semantic.data import DATA

MEASURES = ("latency", "semantic", "quality", "stampede", "replay", "growth")


def main() -> None:
    """Measure, keep the results as JSON, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("measures", nargs="*", help=f"which ones: {', '.join(MEASURES)}; all when none is named")
    parser.add_argument("--quick", action="store_true", help="one short round of each: the figures mean nothing")
    parser.add_argument("--data", type=Path, default=DATA, help="the folder of the data for development")
    parser.add_argument("--results", type=Path, default=FOLDER / "results", help="where results are kept as JSON")
    parser.add_argument("--page", type=Path, default=ROOT / "docs/benchmarks.md", help="the page to write")
    arguments = parser.parse_args()
    if unknown := set(arguments.measures) - {*MEASURES, "none"}:
        sys.exit(f"There is no measure {', '.join(sorted(unknown))}; choose from {', '.join(MEASURES)}, or none.")
    arguments.results.mkdir(parents=True, exist_ok=True)
    for name in arguments.measures or MEASURES:
        if name != "none":
            _measure(name, arguments)
    # Late, because drawing loads a library that no measure should have in its memory.
    page = importlib.import_module("benchmarks.peers.page")
    page.write(arguments.results, arguments.page)


def _measure(name: str, arguments: argparse.Namespace) -> None:
    print(f"== {name}", flush=True)
    module = importlib.import_module(f"benchmarks.peers.measures.{name}")
    started, load = time.monotonic(), os.getloadavg()[0]
    with folder_of_a_run() as folder, running(with_search=getattr(module, "WITH_SEARCH", False)) as servers:
        scene = Scene(servers, folder, arguments.data, arguments.quick)
        found = module.measure(scene)
    found |= {
        "at": datetime.now(UTC).isoformat(timespec="minutes"),
        "seconds": time.monotonic() - started,
        "load_before": load,
        "quick": arguments.quick,
    }
    (arguments.results / f"{name}.json").write_text(json.dumps(found, indent=1), encoding="utf-8")
    print(f"   {found['seconds']:.0f} s", flush=True)


if __name__ == "__main__":
    main()
