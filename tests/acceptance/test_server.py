"""A Prefect server offers our blocks by itself once the package is installed beside it."""

import json
import os
import socket
import subprocess
import sys
import time
import tomllib
import urllib.error
import urllib.request
from collections.abc import Generator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def server(tmp_path: Path) -> Generator[str]:
    """Start a real server that sees our entry point, on loopback, and return the address of its API."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    environment |= {
        "PREFECT_HOME": str(tmp_path / "home"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PYTHONPATH": os.pathsep.join([str(metadata_of_the_wheel(tmp_path)), *sys.path]),
    }
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    with (tmp_path / "server.log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    api = f"http://127.0.0.1:{port}/api"
    try:
        wait_for(f"{api}/health", process)
        yield api
    finally:
        process.terminate()
        process.wait(timeout=30)


@pytest.mark.slow
def test_our_blocks_are_in_the_catalogue(server: str) -> None:
    """No command, no save: the server has registered all types with their schemas when it answers."""
    for slug in ("cached-llm", "cognition-store", "llm-budget"):
        block_type = answer_of(f"{server}/block_types/slug/{slug}")
        assert block_type["description"]
        assert "BLOCK_NAME" in str(block_type["code_example"])
        schemas = answer_of(
            f"{server}/block_schemas/filter", {"block_schemas": {"block_type_id": {"any_": [block_type["id"]]}}}
        )
        assert 1 == len(schemas)


def metadata_of_the_wheel(folder: Path) -> Path:
    """Write what an installed wheel tells about entry points, for the tests run without installing it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    info = folder / "site" / "prefect_cognition-0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.4\nName: {project['name']}\nVersion: 0\n", encoding="utf-8")
    points = [f"{name} = {module}" for name, module in project["entry-points"]["prefect.collections"].items()]
    (info / "entry_points.txt").write_text("\n".join(["[prefect.collections]", *points, ""]), encoding="utf-8")
    return info.parent


def wait_for(url: str, process: "subprocess.Popen[bytes]") -> None:
    """Wait until the server answers; pytest's own limit bounds the wait."""
    while process.poll() is None:
        try:
            urllib.request.urlopen(url, timeout=5).close()  # noqa: S310 - loopback
        except (urllib.error.URLError, TimeoutError):
            time.sleep(0.2)
        else:
            return
    pytest.fail(f"The server ended with code {process.returncode}.")


def answer_of(url: str, body: object = None) -> dict[str, object]:
    """Return the JSON that the server answers."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, headers={"content-type": "application/json"})  # noqa: S310 - loopback
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - loopback
        return json.load(answer)
