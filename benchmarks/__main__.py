"""Runs every benchmark in turn: `python -m benchmarks`, or `make bench`; names run only some of them."""

import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parent


def main() -> None:
    """Run them as processes of their own, so that none inherits another's caches, threads or imports."""
    known = sorted(path.stem for path in FOLDER.glob("[a-z]*.py"))
    unknown = [name for name in sys.argv[1:] if name not in known]
    if unknown:
        sys.exit(f"There is no benchmark {', '.join(unknown)}; choose from {', '.join(known)}.")
    failed: list[str] = []
    for name in sys.argv[1:] or known:
        print(f"== {name}", flush=True)
        if subprocess.run(  # noqa: S603  our own files
            [sys.executable, "-m", f"benchmarks.{name}"], check=False, cwd=FOLDER.parent
        ).returncode:
            failed.append(name)
        print(flush=True)
    if failed:
        sys.exit(f"Failed: {', '.join(failed)}.")


if __name__ == "__main__":
    main()
