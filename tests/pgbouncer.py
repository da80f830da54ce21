"""A pgBouncer in transaction mode before the tests' PostgreSQL: what leaves a trace in a session fails behind it."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import make_url

_PORT = 6432

# Two server connections for all clients, so that the transactions of one client alternate between them.
_CONFIGURATION = """
[databases]
* = host={upstream} port={port} user={user}

[pgbouncer]
pool_mode = transaction
default_pool_size = 2
listen_port = {own_port}
unix_socket_dir = {folder}
auth_type = any
logfile = {folder}/pgbouncer.log
pidfile = {folder}/pgbouncer.pid
"""


@contextmanager
def pgbouncer(database_url: str) -> Generator[Path]:
    """Run a pgBouncer of its own before the server of a database; yield the folder of its socket.

    Skips the test where there is none: `apt-get install pgbouncer`, as `.ci/run` does.
    """
    program = shutil.which("pgbouncer")
    if program is None:
        pytest.skip("pgbouncer is not installed; with root, 'apt-get install pgbouncer' does that")
    address = make_url(database_url)
    upstream = str(address.query["host"])
    # It refuses to run as root; the account of the server may enter the folder of its socket.
    account = pwd.getpwuid(Path(upstream).stat().st_uid)
    with tempfile.TemporaryDirectory(prefix="pgb-", dir="/tmp") as name:
        folder = Path(name)
        os.chown(folder, account.pw_uid, account.pw_gid)
        configuration = folder / "pgbouncer.ini"
        configuration.write_text(
            _CONFIGURATION.format(
                upstream=upstream,
                port=address.query.get("port", address.port or 5432),
                user=address.username,
                own_port=_PORT,
                folder=folder,
            )
        )
        configuration.chmod(0o644)
        as_account = ["-u", account.pw_name] if os.geteuid() == 0 else []
        with subprocess.Popen([program, "-q", *as_account, str(configuration)], stderr=subprocess.DEVNULL) as running:
            try:
                _wait_for(folder / f".s.PGSQL.{_PORT}")
                yield folder
            finally:
                running.terminate()


def through(folder: Path, database_url: str) -> str:
    """Return the URL of a database behind a pgBouncer."""
    address = make_url(database_url).update_query_dict({"host": str(folder), "port": str(_PORT)})
    return address.set(port=None).render_as_string(hide_password=False)


def _wait_for(path: Path) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        with socket.socket(socket.AF_UNIX) as connection:
            try:
                connection.connect(str(path))
            except OSError:
                time.sleep(0.02)
            else:
                return
    pytest.fail("pgBouncer did not start; see its log")
