"""Attach to the embedded servers; start them if they do not run.

A process that finds them running reads one file and connects two sockets. Everything slower (process table, lock,
wheels) is in `lifecycle`, which is imported only when it is needed.
"""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cognition.adapters.embedded import state
from cognition.adapters.embedded.home import Home, locate
from cognition.adapters.embedded.sockets import answers
from cognition.errors import ConfigurationError


@dataclass(frozen=True)
class EmbeddedServers:
    """Where the running servers are.

    Attributes:
        database_url: SQLAlchemy URL of the database `cognition`; its user is a superuser.
        redis_url: URL for redis-py, or None on a platform that has no Valkey wheel.
    """

    database_url: str
    redis_url: str | None


def ensure_running(home: Path | None = None) -> EmbeddedServers:
    """Return the URLs of the embedded servers, starting those that do not run.

    The servers belong to no process: they go on when their starter ends, until `stop`.

    Args:
        home: Folder for their data, logs and sockets. Default: `COGNITION_HOME`, else the user's data folder. See
            `home.locate` for where root's data goes.

    Raises:
        ConfigurationError: The wheels are not installed, the folder cannot be used, or a server does not start.
    """
    place = locate(home)
    with _explained(place):
        servers = state.read(place)
        if not servers or not all(answers(server.socket) for server in servers):
            from cognition.adapters.embedded import lifecycle  # noqa: PLC0415 - slow: not for those who only attach

            servers = lifecycle.start(place)
    urls = {server.name: server.url for server in servers}
    return EmbeddedServers(database_url=urls["postgresql"], redis_url=urls.get("valkey"))


def stop(home: Path | None = None) -> list[str]:
    """Stop the embedded servers and return the names of those that ran. Their data stays.

    Args:
        home: As for `ensure_running`.

    Raises:
        ConfigurationError: The folder cannot be used, or another process holds the lock for minutes.
    """
    from cognition.adapters.embedded import lifecycle  # noqa: PLC0415 - see ensure_running

    place = locate(home)
    with _explained(place):
        return lifecycle.stop(place)


def status(home: Path | None = None) -> list[state.ServerStatus]:
    """Return what is known of each embedded server, without starting, stopping or creating anything.

    Args:
        home: As for `ensure_running`.

    Raises:
        ConfigurationError: The folder cannot be read.
    """
    from cognition.adapters.embedded import lifecycle  # noqa: PLC0415 - see ensure_running

    place = locate(home)
    with _explained(place):
        return lifecycle.status(place)


@contextmanager
def _explained(home: Home) -> Generator[None]:
    try:
        yield
    except OSError as error:
        raise ConfigurationError(
            f"The embedded servers cannot use {home.folder} ({error}); set COGNITION_HOME to a folder that you can "
            "write, or COGNITION_DATABASE_URL and COGNITION_REDIS_URL to servers of yours."
        ) from error
