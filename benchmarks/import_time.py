"""What `import cognition` takes beyond its dependencies' own import; the goal is below 150 ms.

Each figure is the median of fresh processes. The dependencies are the top-level packages that `import cognition`
loads, as far as they can be imported by themselves; they are imported first and the engine after them.
"""

import argparse
import json
import subprocess
import sys
from statistics import median

PROCESSES = 7
GOAL_MS = 150.0

_DEPENDENCIES = """
import sys
before = set(sys.modules)
import cognition
print(*sorted(name for name in set(sys.modules) - before if not name.startswith("cognition")))
"""

_TIMED = """
import importlib, json, sys, time
started = time.perf_counter()
for name in {names!r}:
    try:
        importlib.import_module(name)
    except ImportError:
        pass
dependencies = time.perf_counter()
import cognition
print(json.dumps([1000 * (dependencies - started), 1000 * (time.perf_counter() - dependencies)]))
"""


def main() -> None:
    """Measure and print; fail when the goal is missed."""
    parser = argparse.ArgumentParser(description="import time of the engine")
    parser.add_argument("--json", action="store_true", help="print JSON for machines")
    names = _run(_DEPENDENCIES).split()
    samples = [json.loads(_run(_TIMED.format(names=names))) for _ in range(PROCESSES)]
    dependencies, own = (median(values) for values in zip(*samples, strict=True))
    if parser.parse_args().json:
        print(json.dumps({"dependencies_ms": dependencies, "own_ms": own, "goal_ms": GOAL_MS}))
    else:
        print(f"dependencies {dependencies:8.1f} ms\nimport cognition {own:4.1f} ms more (goal: below {GOAL_MS:g} ms)")
    sys.exit(own >= GOAL_MS)


def _run(code: str) -> str:
    return subprocess.run(  # noqa: S603  our own code
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    ).stdout


if __name__ == "__main__":
    main()
