"""The environment of each peer, made from its lock file below `.peers/`, apart from ours and from one another."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / ".peers"
LOCKS = Path(__file__).parent / "locks"
REDIS_STACK = "redis-stack"


def ensure(name: str) -> Path:
    """Return the interpreter of an environment, making it when it is not there or its lock file has changed."""
    lock = LOCKS / f"{name}.lock"
    place = FOLDER / name
    python, stamp = place / "bin/python", place / ".lock"
    digest = hashlib.sha256(lock.read_bytes()).hexdigest()
    if not stamp.exists() or stamp.read_text(encoding="ascii") != digest:
        uv = str(Path(sys.executable).with_name("uv"))
        print(f"Making the environment {name} ...", file=sys.stderr, flush=True)
        _run([uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(place)])
        _run([uv, "pip", "install", "--quiet", "--python", str(python), "--require-hashes", "-r", str(lock)])
        stamp.write_text(digest, encoding="ascii")
    return python


def versions(name: str) -> dict[str, str]:
    """Return what is installed in an environment, by name."""
    uv = str(Path(sys.executable).with_name("uv"))
    python = str(ensure(name))
    listed = subprocess.run(  # noqa: S603  our own arguments
        [uv, "pip", "list", "--python", python, "--format", "json"], check=True, capture_output=True, text=True
    )
    return {one["name"]: one["version"] for one in json.loads(listed.stdout)}


def _run(command: list[str]) -> None:
    subprocess.run(command, check=True)  # noqa: S603  our own arguments
