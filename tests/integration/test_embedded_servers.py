"""The embedded servers are shared, outlive their starter, and come back after every kind of accident."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import psutil
import pytest
import redis
from sqlalchemy import Connection, NullPool, create_engine, text
from sqlalchemy.exc import OperationalError
from typer.testing import CliRunner

from cognition.adapters.embedded import EmbeddedServers, ensure_running, status, stop
from cognition.adapters.embedded.processes import is_alive
from cognition.adapters.embedded.sockets import answers
from cognition.cli import app

START = "from cognition.adapters.embedded import ensure_running; print(ensure_running())"
POSTGRESQL, VALKEY = "postgresql", "valkey"


def fresh_folder() -> Path:
    """Return a short, empty folder that other users may pass through, as the servers of root need it."""
    folder = Path(tempfile.mkdtemp(prefix="cg-"))
    folder.chmod(0o711)
    return folder


def leaders(home: Path) -> dict[str, list[int]]:
    """Return the process ids of the servers of a home, without their children."""
    found: dict[str, list[int]] = {"postgres": [], "valkey-server": []}
    for process in psutil.process_iter(["name"]):
        try:
            parent = process.parent()
            is_child = parent is not None and parent.name() == process.name()
            if process.name() in found and not is_child and Path(process.cwd()).is_relative_to(home):
                found[process.name()].append(process.pid)
        except psutil.Error:
            continue
    return found


def pid_of(name: str, home: Path) -> int:
    """Return the process id of a running server."""
    pid = next(server.pid for server in status(home) if server.name == name)
    assert pid is not None
    return pid


def select(servers: EmbeddedServers, statement: str) -> object:
    """Run a statement in a transaction and return its first value, if it has rows."""
    engine = create_engine(servers.database_url, poolclass=NullPool)
    with engine.begin() as connection:
        result = connection.execute(text(statement))
        return result.scalar() if result.returns_rows else None


def ping(servers: EmbeddedServers) -> bool:
    """Return whether Valkey replies."""
    assert servers.redis_url is not None
    with redis.Redis.from_url(servers.redis_url) as client:  # pyright: ignore[reportUnknownMemberType]
        return bool(client.ping())  # pyright: ignore[reportUnknownMemberType]


def start_elsewhere(home: Path, **environment: str) -> str:
    """Start the servers from another process, with pipes for its output, and return what it prints."""
    done = subprocess.run(
        [sys.executable, "-c", START],
        env=os.environ | {"COGNITION_HOME": str(home)} | environment,
        capture_output=True,
        check=True,
        text=True,
    )
    return done.stdout.strip()


def kill(name: str, home: Path) -> None:
    """Kill a server as a crash would, and wait until the system has taken its process and its socket away."""
    process = psutil.Process(pid_of(name, home))
    listening = next(server.socket for server in status(home) if server.name == name)
    process.kill()
    wait_for(lambda: not is_alive(process) and not answers(listening))


def dispose(folder: Path) -> None:
    """Stop the servers of a home, check that none is left, and remove the home."""
    stop(folder / "home")
    left = leaders(folder)
    shutil.rmtree(folder)
    assert left == {"postgres": [], "valkey-server": []}


@pytest.fixture(scope="module")
def home() -> Generator[Path]:
    """A home whose servers are used by many tests; each leaves it so that the next one can start them."""
    folder = fresh_folder()
    yield folder / "home"
    dispose(folder)


@pytest.fixture
def new_home() -> Generator[Path]:
    """A home that has never been used."""
    folder = fresh_folder()
    yield folder / "home"
    dispose(folder)


def test_both_servers_can_be_used_at_once(home: Path) -> None:
    """The URLs are ready for SQLAlchemy and redis-py, and the vector extension is there."""
    servers = ensure_running(home)

    select(servers, "CREATE EXTENSION IF NOT EXISTS vector")

    assert "[1,2]" == select(servers, "SELECT '[1,2]'::halfvec::text")
    assert ping(servers)


def test_database_has_utf8_and_the_same_order_everywhere(home: Path) -> None:
    """Encoding and collation do not depend on the locale of the machine."""
    servers = ensure_running(home)

    assert "UTF8 C.UTF-8" == select(
        servers,
        "SELECT pg_encoding_to_char(encoding) || ' ' || datlocale FROM pg_database WHERE datname = current_database()",
    )


def test_second_process_attaches(home: Path) -> None:
    """Another process gets the same URLs and starts nothing."""
    servers = ensure_running(home)
    before = leaders(home)

    assert str(servers) == start_elsewhere(home)
    assert before == leaders(home)


def test_servers_outlive_their_starter(home: Path) -> None:
    """A process that starts the servers with piped output ends at once, and they go on."""
    stop(home)

    start_elsewhere(home)

    assert {POSTGRESQL: True, VALKEY: True} == {server.name: server.running for server in status(home)}
    assert [1, 1] == [len(pids) for pids in leaders(home).values()]


def test_servers_know_no_secrets_of_their_starter(home: Path) -> None:
    """Keys in the environment of whoever comes first do not stay in a process for weeks."""
    stop(home)

    start_elsewhere(home, OPENAI_API_KEY="sk-not-for-servers", PGPORT="1")

    for name in (POSTGRESQL, VALKEY):
        environment = psutil.Process(pid_of(name, home)).environ()
        assert not {"OPENAI_API_KEY", "PGPORT"} & set(environment)


def test_only_the_owner_can_reach_the_servers(home: Path) -> None:
    """No TCP port is open, and no other user can enter the folders of sockets, data and logs."""
    ensure_running(home)

    folders = [home / "run", home / POSTGRESQL, home / POSTGRESQL / "data", home / VALKEY, home / VALKEY / "data"]
    assert {0o700} == {folder.stat().st_mode & 0o777 for folder in folders}
    for name in (POSTGRESQL, VALKEY):
        assert [] == psutil.Process(pid_of(name, home)).net_connections("inet")


@pytest.mark.parametrize("name", [POSTGRESQL, VALKEY])
def test_killed_server_is_started_by_the_next_user(home: Path, name: str) -> None:
    """After kill -9 the next user gets a working server, and the other server is left alone."""
    ensure_running(home)
    before = {server.name: server.pid for server in status(home)}

    kill(name, home)
    servers = ensure_running(home)

    after = {server.name: server.pid for server in status(home)}
    assert {name} == {changed for changed in after if after[changed] != before[changed]}
    assert 1 == select(servers, "SELECT 1")
    assert ping(servers)


def test_survivors_of_a_crash_are_no_obstacle(home: Path) -> None:
    """A busy session that outlives its killed server would keep PostgreSQL from starting again."""
    engine = create_engine(ensure_running(home).database_url, poolclass=NullPool)
    with engine.connect() as connection:
        session = connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
        busy = threading.Thread(target=run_until_cut, args=(connection, "SELECT count(*) FROM generate_series(1, 1e9)"))
        busy.start()
        wait_for(lambda: psutil.Process(session).cpu_times().user > 0.1)

        kill(POSTGRESQL, home)
        assert 1 == select(ensure_running(home), "SELECT 1")

        busy.join()
        connection.invalidate()


def test_committed_rows_survive_a_crash(home: Path) -> None:
    """A commit just before kill -9 is there after recovery."""
    servers = ensure_running(home)
    select(servers, "DROP TABLE IF EXISTS crash; CREATE TABLE crash (n int); INSERT INTO crash VALUES (42)")

    kill(POSTGRESQL, home)

    assert 42 == select(ensure_running(home), "SELECT n FROM crash")


def test_pid_file_may_name_a_living_stranger(home: Path) -> None:
    """The process id of a crashed PostgreSQL may belong to another process of its own account today."""
    ensure_running(home)
    kill(POSTGRESQL, home)
    pid_file = home / POSTGRESQL / "data" / "postmaster.pid"
    _, *rest = pid_file.read_text().splitlines(keepends=True)

    pid_file.write_text("".join([f"{pid_of(VALKEY, home)}\n", *rest]))

    assert 1 == select(ensure_running(home), "SELECT 1")


def test_stale_sockets_and_state_file_are_no_obstacle(home: Path) -> None:
    """A state file and sockets that nobody listens on, as a power cut leaves them, do not count as servers."""
    ensure_running(home)
    state_file = home / "servers.json"
    content = state_file.read_text()
    sockets = [server.socket for server in status(home)]
    stop(home)

    state_file.write_text(content)
    for path in sockets:
        path.parent.mkdir(exist_ok=True)
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(str(path))
            dead.listen()
    servers = ensure_running(home)

    assert 1 == select(servers, "SELECT 1")
    assert ping(servers)


@pytest.mark.parametrize("name", [POSTGRESQL, VALKEY])
def test_server_without_its_socket_is_replaced(home: Path, name: str) -> None:
    """A server that nobody can reach any more is stopped before another one starts."""
    ensure_running(home)

    next(server.socket for server in status(home) if server.name == name).unlink()
    servers = ensure_running(home)

    assert 1 == select(servers, "SELECT 1")
    assert ping(servers)
    assert [1, 1] == [len(pids) for pids in leaders(home).values()]


def test_data_survives_stop_and_start(home: Path) -> None:
    """Stopping names what ran, once, and keeps the data."""
    servers = ensure_running(home)
    select(servers, "DROP TABLE IF EXISTS kept; CREATE TABLE kept (n int); INSERT INTO kept VALUES (7)")

    assert [POSTGRESQL, VALKEY] == stop(home)
    assert [] == stop(home)
    assert {"postgres": [], "valkey-server": []} == leaders(home)
    assert 7 == select(ensure_running(home), "SELECT n FROM kept")


def test_four_processes_start_one_server_each(new_home: Path) -> None:
    """Processes that come first at the same time all get the same two servers."""
    environment = os.environ | {"COGNITION_HOME": str(new_home)}
    starters = [
        subprocess.Popen([sys.executable, "-c", START], env=environment, stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]

    printed = {starter.communicate()[0] for starter in starters}

    assert {f"{ensure_running(new_home)}\n"} == printed
    assert [1, 1] == [len(pids) for pids in leaders(new_home).values()]


def test_killed_first_start_is_no_obstacle(new_home: Path) -> None:
    """A starter killed while it makes the data folder leaves nothing that the next one stumbles over."""
    starter = subprocess.Popen(
        [sys.executable, "-c", START], env=os.environ | {"COGNITION_HOME": str(new_home)}, start_new_session=True
    )
    wait_for(lambda: any(new_home.glob("postgresql/new-*/base")) or starter.poll() is not None)
    os.killpg(starter.pid, signal.SIGKILL)
    starter.wait()
    assert not (new_home / POSTGRESQL / "data").exists()

    servers = ensure_running(new_home)

    assert 1 == select(servers, "SELECT 1")
    assert [] == list(new_home.glob("postgresql/new-*"))


def test_removed_home_leaves_no_servers_behind(new_home: Path) -> None:
    """Servers whose home was deleted under them are replaced, not joined, by those of the next user."""
    ensure_running(new_home)
    shutil.rmtree(new_home)

    servers = ensure_running(new_home)

    assert 1 == select(servers, "SELECT 1")
    assert ping(servers)
    assert [1, 1] == [len(pids) for pids in leaders(new_home).values()]


def test_home_may_have_a_long_path(new_home: Path) -> None:
    """Where a socket path would be longer than the system allows, the sockets are elsewhere, private all the same."""
    long_home = new_home / ("a" * 60) / ("b" * 60)
    try:
        servers = ensure_running(long_home)
        folder = status(long_home)[0].socket.parent

        assert 1 == select(servers, "SELECT 1")
        assert ping(servers)
        assert 0o700 == folder.stat().st_mode & 0o777
        assert str(servers) == start_elsewhere(long_home)
    finally:
        stop(long_home)
    assert not folder.exists()


def test_status_starts_and_creates_nothing(new_home: Path) -> None:
    """Asking for the state of a home that was never used leaves no trace."""
    servers = status(new_home)

    assert [(POSTGRESQL, False, None), (VALKEY, False, None)] == [(s.name, s.running, s.pid) for s in servers]
    assert not new_home.exists()


def test_command_line_reports_and_stops(home: Path) -> None:
    """`cognition up`, `status` and `down` say in JSON what the servers are."""
    up = command_line("up", home)
    state = command_line("status", home)
    down = command_line("down", home)

    assert up["database_url"] == ensure_running(home).database_url
    assert [True, True] == [server["running"] for server in state["servers"]]
    assert [POSTGRESQL, VALKEY] == down["stopped"]


def run_until_cut(connection: Connection, statement: str) -> None:
    """Run a statement that ends only with its server."""
    with pytest.raises(OperationalError):
        connection.execute(text(statement))


def command_line(command: str, home: Path) -> dict[str, Any]:
    """Run a command for a home and return what it prints."""
    result = CliRunner().invoke(app, [command, "--json"], env={"COGNITION_HOME": str(home)}, catch_exceptions=False)
    return json.loads(result.stdout)


def wait_for(condition: Callable[[], bool]) -> None:
    """Wait until a condition holds; the test's own time limit ends a vain wait."""
    while not condition():
        time.sleep(0.002)
