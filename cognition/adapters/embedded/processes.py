"""Start, find and end server processes that belong to no one."""

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

import psutil

from cognition.adapters.embedded.account import Account

_LOG_BYTES = 1_000_000
_POLL_SECONDS = 0.01
_KILL_SECONDS = 5.0

# Runs "$@" in the background with no file of ours open, tells its process id and ends, which leaves the server to init:
# a server that stayed our child would be a zombie after its death, and PostgreSQL takes a zombie for a running server.
_DETACH = 'exec "$@" </dev/null >>"$0" 2>&1 & echo $!'


@dataclass(frozen=True)
class Launch:
    """What to run and how.

    Attributes:
        command: Program and arguments.
        folder: Working directory; `find` knows the process by it.
        log: File that gets everything the process prints.
        account: User and group of the process.
        environment: Variables beyond `clean_environment`.
    """

    command: Sequence[str]
    folder: Path
    log: Path
    account: Account
    environment: Mapping[str, str]


def clean_environment() -> dict[str, str]:
    """Return what a server may see of our environment: no keys of providers, no PGPORT or PGDATA."""
    kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ}
    return {"PATH": os.defpath, "LC_ALL": "C"} | kept


def run(command: Sequence[str], *, folder: Path, account: Account, text: str = "") -> str:
    """Run a short program as the account and return what it prints.

    Raises:
        CalledProcessError: It failed; `stderr` says why.
    """
    done = subprocess.run(
        command,
        input=text,
        cwd=folder,
        env=clean_environment(),
        capture_output=True,
        check=True,
        text=True,
        umask=0o077,
        **_identity(account),
    )
    return done.stdout


def program_version(program: Path) -> str:
    """Return the version that a server program reports, such as `18.4`."""
    printed = subprocess.run(
        [program, "--version"], env=clean_environment(), capture_output=True, check=True, text=True
    )
    found = re.search(r"\d+(\.\d+)+", printed.stdout)
    return found[0] if found else "unknown"


def launch(what: Launch) -> psutil.Process | None:
    """Start a process in a session of its own, where neither our end nor Ctrl-C reaches it; None if it died at once."""
    with suppress(FileNotFoundError):
        if what.log.stat().st_size > _LOG_BYTES:
            what.log.replace(what.log.with_suffix(".log.1"))
    started = subprocess.run(
        ["/bin/sh", "-c", _DETACH, str(what.log), *what.command],
        cwd=what.folder,
        env={**clean_environment(), **what.environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        check=True,
        text=True,
        umask=0o077,
        start_new_session=True,
        **_identity(what.account),
    )
    try:
        return psutil.Process(int(started.stdout))
    except psutil.NoSuchProcess:
        return None


def find(folder: Path, program: str) -> list[psutil.Process]:
    """Return the living processes of a program that work in a folder, the oldest (the parent of the others) first.

    Args:
        folder: Their working directory, even if it has been deleted since.
        program: Their name.
    """
    places = {str(folder), f"{folder} (deleted)"}
    found: list[tuple[float, int, psutil.Process]] = []
    for process in psutil.process_iter(["name"]):
        with suppress(psutil.Error):  # it ended meanwhile, or is not ours to look at
            if process.name() == program and is_alive(process) and process.cwd() in places:
                found.append((process.create_time(), process.pid, process))
    return [process for _, _, process in sorted(found, key=lambda entry: entry[:2])]


def is_alive(process: psutil.Process) -> bool:
    """Return whether a process still runs; a zombie does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def end(processes: Sequence[psutil.Process], request: signal.Signals, grace_seconds: float) -> None:
    """Ask a server and its children to stop and wait for all; kill those that are left after the grace.

    A parent stops its children itself. Children whose parent was killed have to be asked one by one.
    """
    pids = {process.pid for process in processes}
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            if process.ppid() not in pids:
                process.send_signal(request)
    if not wait_until(lambda: not any(map(is_alive, processes)), grace_seconds):
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        wait_until(lambda: not any(map(is_alive, processes)), _KILL_SECONDS)


def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    """Return True as soon as a condition holds, False if it does not within some seconds."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_SECONDS)
    return True


class _Identity(TypedDict, total=False):
    user: int
    group: int
    extra_groups: list[int]


def _identity(account: Account) -> _Identity:
    """Return the arguments that make `subprocess` run as another account; only root may give them."""
    if account.uid == os.geteuid():
        return {}
    return {"user": account.uid, "group": account.gid, "extra_groups": []}
