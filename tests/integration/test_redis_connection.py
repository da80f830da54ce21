"""What happens when Redis does not answer."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from cognition.adapters.redis import RedisEntries, RedisLeases, connect
from cognition.adapters.redis.connection import Server
from cognition.errors import CacheUnavailable, ConfigurationError
from cognition.testing.clock import FakeClock
from cognition.testing.contracts.samples import an_address, an_entry

ADDRESS = an_address()
NOWHERE = "redis://user:secret-password@127.0.0.1:1/0"


@pytest.fixture
def silent_url(tmp_path: Path) -> Iterator[str]:
    """Return the URL of a server that takes connections and never answers."""
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        yield f"unix://{path}?socket_timeout=0.05"


def test_every_operation_says_that_redis_is_away(clock: FakeClock) -> None:
    """Nothing but `CacheUnavailable` leaves the adapters, and it tells no secret."""
    client = connect(NOWHERE)
    entries, leases = RedisEntries(client, clock), RedisLeases(client)
    operations = [
        entries.ping,
        lambda: entries.get(ADDRESS),
        lambda: entries.get_many([ADDRESS]),
        lambda: entries.put([(ADDRESS, an_entry(ADDRESS))]),
        lambda: entries.forget("acme", {"support": 2}, [ADDRESS]),
        leases.ping,
        lambda: leases.acquire(ADDRESS, "token", 1),
        lambda: leases.renew(ADDRESS, "token", 1),
        lambda: leases.release(ADDRESS, "token", b"outcome", 1),
        lambda: leases.view(ADDRESS),
    ]
    for operation in operations:
        with pytest.raises(CacheUnavailable, match=r"^The redis store did not answer \(no connection\)") as caught:
            operation()
        assert "secret-password" not in repr(caught.value) + repr(caught.value.__cause__)


def test_a_missing_socket_is_no_connection(tmp_path: Path, clock: FakeClock) -> None:
    """Also where the server's socket does not exist."""
    with pytest.raises(CacheUnavailable, match="no connection"):
        RedisEntries(connect(f"unix://{tmp_path}/none"), clock).ping()


def test_a_silent_server_is_given_up(silent_url: str, clock: FakeClock) -> None:
    """A server that hangs costs one timeout, not a stuck call."""
    with pytest.raises(CacheUnavailable, match="it took too long"):
        RedisEntries(connect(silent_url), clock).get(ADDRESS)


def test_a_wrong_password_is_said(redis_url: str, clock: FakeClock) -> None:
    """The sentence says what is wrong, without the password."""
    with pytest.raises(CacheUnavailable, match="refused the user or password") as caught:
        RedisEntries(connect(f"{redis_url}?username=nobody&password=secret-password"), clock).ping()
    assert "secret-password" not in repr(caught.value) + repr(caught.value.__cause__)


def test_a_broken_connection_is_replaced(redis_url: str, clock: FakeClock) -> None:
    """After the server closed the connections, as a restart does, the next call works without being tried twice."""
    with connect(redis_url) as client, connect(redis_url) as other:
        entries = RedisEntries(client, clock)
        entries.ping()
        Server(other).call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        entries.ping()


def test_a_refused_command_is_translated(redis_url: str) -> None:
    """An error that the server answers is a `CacheUnavailable` too, without the server's words."""
    with connect(redis_url) as client, pytest.raises(CacheUnavailable, match=r"\(ResponseError\)") as caught:
        Server(client).call("NO-SUCH-COMMAND", "confidential")
    assert "confidential" not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["http://user:secret-password@host", "localhost:6379", "", "redis://host:port:secret-password"]
)
def test_a_wrong_url_is_a_wrong_setting(url: str) -> None:
    """The sentence says what to write, and does not repeat a password."""
    with pytest.raises(ConfigurationError, match="redis://host:6379/0") as caught:
        connect(url)
    assert "secret-password" not in repr(caught.value) + repr(caught.value.__cause__)


def test_nothing_is_tried_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine's own breaker decides when a store is asked again."""
    attempts: list[object] = []

    def refuse(connection: object) -> None:
        attempts.append(connection)
        raise redis.ConnectionError

    monkeypatch.setattr(redis.Connection, "connect", refuse)
    with pytest.raises(CacheUnavailable):
        Server(connect(NOWHERE)).call("PING")
    assert 1 == len(attempts)
