"""The way to Redis: connecting, commands, scripts, and what its failures are called here."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    ConnectionError,  # noqa: A004  Redis' own
    MaxConnectionsError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    TimeoutError,  # noqa: A004  Redis' own
)
from redis.retry import Retry

from cognition.errors import CacheUnavailable, ConfigurationError

STORE = "redis"

Argument = str | bytes | int
RunScript = Callable[[Sequence[str], Sequence[Argument]], Any]

_CONNECT_TIMEOUT_SECONDS = 0.5
_TIMEOUT_SECONDS = 1.0
# After so long without use a connection is tried with PING first: firewalls drop idle ones silently.
_HEALTH_CHECK_SECONDS = 30

# Subclasses before their parents.
_REASONS: tuple[tuple[type[RedisError], str], ...] = (
    (TimeoutError, "it took too long"),
    (AuthenticationError, "it refused the user or password"),
    (BusyLoadingError, "it is still loading its data"),
    (MaxConnectionsError, "all connections are in use"),
    (ConnectionError, "no connection"),
    (ReadOnlyError, "it is a read-only replica"),
    (OutOfMemoryError, "its memory is full"),
)


def connect(url: str) -> redis.Redis:
    """Return a client for `redis://`, `rediss://` or `unix://`; it connects at first use and serves any thread.

    A cache must be quick or absent: time limits are short (0.5 s to connect, 1 s to answer) and nothing is tried twice.
    Options in the URL's query, such as `?socket_timeout=2`, win.

    Raises:
        ConfigurationError: The URL is not one of Redis.
    """
    try:
        return redis.Redis.from_url(  # pyright: ignore[reportUnknownMemberType]
            url,
            socket_connect_timeout=_CONNECT_TIMEOUT_SECONDS,
            socket_timeout=_TIMEOUT_SECONDS,
            retry=Retry(NoBackoff(), 0),
            health_check_interval=_HEALTH_CHECK_SECONDS,
            protocol=2,  # RESP3 brings nothing here, and servers older than Redis 6 lack it
        )
    except ValueError:
        # The cause may quote the URL and with it a password.
        message = "The Redis URL is not valid; write redis://host:6379/0, rediss://host:6379/0 or unix:///path/to.sock."
        raise ConfigurationError(message) from None


def forget_connections(client: redis.Redis) -> None:
    """Leave a client's connections to the parent after a fork, and give it new ones.

    redis-py would do so by itself, but waits for a lock that a thread of the parent may have held (8.1).
    """
    old: Any = client.connection_pool
    client.connection_pool = type(old)(
        connection_class=old.connection_class, max_connections=old.max_connections, **old.connection_kwargs
    )


class Server:
    """A Redis server as the stores see it: every failure is a `CacheUnavailable`.

    Its reason never holds the text of the failure, which may quote keys, URLs or values.
    """

    def __init__(self, client: redis.Redis) -> None:
        """Use a client from `connect`; it must return bytes."""
        self._client = client
        self._execute: Callable[..., Any] = client.execute_command  # pyright: ignore[reportUnknownMemberType]

    def call(self, *command: Argument) -> Any:
        """Send one command, return its answer."""
        try:
            return self._execute(*command)
        except RedisError as error:
            raise _unavailable(error) from error

    def call_many(self, commands: Iterable[Sequence[Argument]]) -> list[Any]:
        """Send commands in one round trip, return their answers; others may run between them."""
        try:
            with self._client.pipeline(transaction=False) as pipeline:  # pyright: ignore[reportUnknownMemberType]
                for command in commands:
                    pipeline.execute_command(*command)  # pyright: ignore[reportUnknownMemberType]
                return pipeline.execute()
        except RedisError as error:
            raise _unavailable(error) from error

    def script(self, name: str) -> RunScript:
        """Return a Lua script of this folder as a function of keys and arguments.

        The server is sent its text only when it does not know it.
        """
        script = self._client.register_script(Path(__file__).with_name(f"{name}.lua").read_text(encoding="utf-8"))

        def run(keys: Sequence[str], arguments: Sequence[Argument]) -> Any:
            try:
                return script(keys, arguments)
            except RedisError as error:
                raise _unavailable(error) from error

        return run


def _unavailable(error: RedisError) -> CacheUnavailable:
    reason = next((reason for kind, reason in _REASONS if isinstance(error, kind)), type(error).__name__)
    return CacheUnavailable.of(STORE, reason)
