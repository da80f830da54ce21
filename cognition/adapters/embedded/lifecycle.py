"""Start, stop and describe the servers of a home; one process at a time may do the first two."""

import shutil
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
from filelock import FileLock, Timeout

from cognition.adapters.embedded import processes, state
from cognition.adapters.embedded.account import Account, account_for_servers, make_private
from cognition.adapters.embedded.home import Home
from cognition.adapters.embedded.postgres import PostgreSQL
from cognition.adapters.embedded.server import Server
from cognition.adapters.embedded.sockets import answers
from cognition.adapters.embedded.state import RunningServer, ServerStatus
from cognition.adapters.embedded.valkey import Valkey, has_wheel
from cognition.errors import ConfigurationError

_READY_SECONDS = 60.0  # PostgreSQL may have to recover from a crash first
_STOP_SECONDS = 30.0  # PostgreSQL writes a checkpoint; killed after that it loses nothing, but has to recover
_TAIL_LINES = 4
_LOCK_SECONDS = 2 * (_READY_SECONDS + _STOP_SECONDS)


def servers_of(home: Home) -> list[Server]:
    """Return the servers that this platform can run."""
    servers: list[Server] = [PostgreSQL(home)]
    if has_wheel():
        servers.append(Valkey(home))
    return servers


def start(home: Home) -> list[RunningServer]:
    """Start what does not run and write down what runs."""
    account = account_for_servers()
    programs = {server.name: server.program(account) for server in servers_of(home)}
    home.create()
    with _exclusive(home):
        make_private(home.socket_folder, account)
        for server in servers_of(home):
            if not server.is_ready():
                state.clear(home)
                _make_ready(server, account)
        running = [
            RunningServer(server.name, server.url, server.socket, processes.program_version(programs[server.name]))
            for server in servers_of(home)
        ]
        state.write(home, running)
    return running


def stop(home: Home) -> list[str]:
    """Stop what runs and return the names."""
    if not home.folder.exists():
        return []
    with _exclusive(home):
        state.clear(home)
        stopped = [server.name for server in servers_of(home) if _stop(server)]
        shutil.rmtree(home.socket_folder, ignore_errors=True)  # it may be outside the home, where nobody would look
    return stopped


def status(home: Home) -> list[ServerStatus]:
    """Describe every server."""
    versions = {server.name: server.version for server in state.read(home)}
    return [_describe(server, versions.get(server.name)) for server in servers_of(home)]


def _make_ready(server: Server, account: Account) -> None:
    if answers(server.socket):
        # It starts right now: whoever launched it died before it was ready.
        process = next(iter(processes.find(server.data, server.process_name)), None)
    else:
        # What still runs here cannot be reached: its socket is gone, or its parent process was killed.
        _stop(server)
        make_private(server.data.parent, account)
        server.prepare(account)
        for leftover in server.socket.parent.glob(f"{server.socket.name}*"):  # PostgreSQL puts a lock file beside it
            leftover.unlink()
        process = processes.launch(
            processes.Launch(
                command=[str(server.program(account)), *server.arguments()],
                folder=server.data,
                log=_log(server),
                account=account,
                environment=server.environment(),
            )
        )
    ready = processes.wait_until(lambda: server.is_ready() or not _is_alive(process), _READY_SECONDS)
    if not (ready and server.is_ready()):
        raise ConfigurationError(
            f"The embedded {server.name} did not start ({_reason(_log(server))}); see {_log(server)}, or set "
            "COGNITION_DATABASE_URL and COGNITION_REDIS_URL to servers of yours."
        )


def _stop(server: Server) -> bool:
    found = processes.find(server.data, server.process_name)
    processes.end(found, server.stop_signal, _STOP_SECONDS)
    return bool(found)


def _describe(server: Server, version: str | None) -> ServerStatus:
    running = server.is_ready()
    process = next(iter(processes.find(server.data, server.process_name)), None) if running else None
    return ServerStatus(
        name=server.name,
        running=running,
        pid=process.pid if process else None,
        version=version if running else None,
        socket=server.socket,
        data_folder=server.data,
        data_bytes=_size(server.data),
        uptime_seconds=int(time.time() - process.create_time()) if process else None,
    )


@contextmanager
def _exclusive(home: Home) -> Generator[None]:
    try:
        # Another user who could open the file could hold the lock for ever.
        with FileLock(home.lock_file, timeout=_LOCK_SECONDS, mode=0o600):
            yield
    except Timeout as error:
        raise ConfigurationError(
            f"Another process has been starting or stopping the servers of {home.folder} for {_LOCK_SECONDS:.0f} s; "
            "end it or try again."
        ) from error


def _is_alive(process: psutil.Process | None) -> bool:
    return process is not None and processes.is_alive(process)


def _size(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        with suppress(FileNotFoundError):  # a running server removes files
            total += path.lstat().st_size
    return total


def _log(server: Server) -> Path:
    return server.data.parent / "server.log"


def _reason(log: Path) -> str:
    """Return the fatal line near the end of a log, or else its last line."""
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines() if log.exists() else []
    fatal = [line for line in lines[-_TAIL_LINES:] if "FATAL" in line or "PANIC" in line]
    return [*lines, *fatal][-1] if lines else "it printed nothing"
