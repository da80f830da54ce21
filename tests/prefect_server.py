"""A real `prefect server start`: the scheduler, the UI and our entry point, as a user has them."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import tomllib
import urllib.error
import urllib.request
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@contextmanager
def prefect_server(folder: Path) -> Generator[str]:
    """Run a server of its own on loopback, with an empty database; yield its address, to which `/api` is added.

    Args:
        folder: Where it keeps its database and its log.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    environment = environment_of(folder) | {
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        # Without it the UI talks to port 4200, whatever the server's own is.
        "PREFECT_SERVER_UI_API_URL": f"{address}/api",
        "PYTHONPATH": os.pathsep.join([str(_metadata_of_the_wheel(folder)), *sys.path]),
    }
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        _wait_for(f"{address}/api/health", process)
        yield address
    finally:
        process.terminate()
        process.wait(timeout=30)


def environment_of(folder: Path) -> dict[str, str]:
    """Return the environment of a process with a Prefect of its own, which keeps its files in a folder."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    return inherited | {"PREFECT_HOME": str(folder / "home")}


def _metadata_of_the_wheel(folder: Path) -> Path:
    """Write what an installed wheel tells about entry points, for the tests run without installing it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    info = folder / "site" / "prefect_cognition-0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.4\nName: {project['name']}\nVersion: 0\n", encoding="utf-8")
    points = [f"{name} = {module}" for name, module in project["entry-points"]["prefect.collections"].items()]
    (info / "entry_points.txt").write_text("\n".join(["[prefect.collections]", *points, ""]), encoding="utf-8")
    return info.parent


def _wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    """Wait until the server answers; pytest's own limit bounds the wait."""
    while process.poll() is None:
        try:
            urllib.request.urlopen(url, timeout=5).close()  # noqa: S310 - loopback
        except (urllib.error.URLError, TimeoutError):
            time.sleep(0.2)
        else:
            return
    pytest.fail(f"The server ended with code {process.returncode}.")
