"""Connecting to PostgreSQL, and what its failures are called here.

Correct behind pgBouncer in transaction mode: nothing here keeps session state, sends startup options or prepares
statements on the server.
"""

from __future__ import annotations

import os
import re
import weakref
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any

import psycopg2
import sqlalchemy as sa
from psycopg2 import errors
from sqlalchemy.dialects.postgresql.psycopg2 import dialect
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.exc import TimeoutError as NoFreeConnection

from cognition.errors import CacheUnavailable, CognitionError, ConfigurationError

STORE = "postgres"

_DRIVERS = {"postgresql", "postgresql+psycopg2"}
_POOL_SIZE = 10
_POOL_OVERFLOW = 20
_POOL_SECONDS = 1.0  # a cache must be quick or absent
# The same for a statement, in milliseconds; long enough for a batch of ten thousand entries.
_LIMIT = "SET LOCAL statement_timeout = 5000"
_READ_COMMITTED = "SET TRANSACTION ISOLATION LEVEL READ COMMITTED"

# Read by libpq; only the name is sent to the server. A host that vanishes without a word is noticed after about three
# seconds instead of the system's quarter of an hour. Unix sockets neither need nor mind these.
_CONNECT: Mapping[str, str | int] = {
    "connect_timeout": 2,
    "application_name": "cognition",
    "keepalives_idle": 2,
    "keepalives_interval": 1,
    "keepalives_count": 2,
    "tcp_user_timeout": 3000,
}

# The server is away, broken, or read-only after a fail-over. All else would fail in the same way on any server.
_UNAVAILABLE = (psycopg2.OperationalError, psycopg2.InterfaceError, psycopg2.InternalError)
_OTHER_SCHEMA = (errors.UndefinedTable, errors.UndefinedColumn, errors.UndefinedFunction)
_OTHER_PGVECTOR = (errors.UndefinedObject, errors.InvalidName)  # its types, and its settings since 0.8

# A refused connection has no error code, so parts of its text are all there is to go by.
_REFUSALS = (
    (r"password authentication failed", "PostgreSQL refused the user or the password; correct them in {url}."),
    (r"no password supplied", "PostgreSQL asks for a password; add it to {url}."),
    (
        r"no pg_hba\.conf entry",
        "PostgreSQL does not admit this user from here; change its pg_hba.conf or the user in {url}.",
    ),
    (r'role ".*" does not exist', "PostgreSQL has no user of this name; create the role or correct {url}."),
    (r'database ".*" does not exist', "PostgreSQL has no database of this name; create it or correct {url}."),
    (r"SSL", "PostgreSQL and this client do not agree on SSL ({reason}); correct sslmode in {url}."),
    # Everything else the server says itself will pass: it starts, it stops, all its connections are taken.
    (r"FATAL", None),
    (r"", "PostgreSQL cannot be reached ({reason}); check that it runs and that {url} is right."),
)
_URL = "COGNITION_DATABASE_URL"


def connect(url: str, *, pool_size: int = _POOL_SIZE, max_overflow: int = _POOL_OVERFLOW) -> sa.Engine:
    """Return an engine for `postgresql://`; it connects at first use, serves any thread and survives a fork.

    Each statement is a transaction of its own, without round trips for BEGIN and COMMIT, except within `transaction`.

    Args:
        url: Options in its query, such as `?sslmode=require`, go to libpq.
        pool_size: How many connections stay open.
        max_overflow: How many more may be open for a moment.

    Raises:
        ConfigurationError: The URL is not one of PostgreSQL.
    """
    address = _parsed(url)
    if address.drivername not in _DRIVERS:
        raise _bad_url()
    engine = sa.create_engine(
        address.set(drivername="postgresql+psycopg2"),
        isolation_level="AUTOCOMMIT",
        pool_size=pool_size,
        max_overflow=max_overflow,
        pool_timeout=_POOL_SECONDS,
        pool_use_lifo=True,  # the connection given back last is warm in every cache
        use_native_hstore=False,  # saves a query for each new connection
        hide_parameters=True,  # prompts and answers must not get into the text of an error
        connect_args={name: value for name, value in _CONNECT.items() if name not in address.query},
    )
    _forget_after_fork(engine)
    return engine


def address_of_database(url: str) -> str:
    """Return what tells a database from others: host, port and name, and no user or password.

    Args:
        url: From `Settings`; what it leaves out libpq takes from the environment.

    Raises:
        ConfigurationError: The URL is none.
    """
    address = _parsed(url)
    host = address.host or address.query.get("host") or os.environ.get("PGHOST", "")
    port = address.port or address.query.get("port") or os.environ.get("PGPORT", "5432")
    return f"{host} {port} {address.database or os.environ.get('PGDATABASE', '')}"


def check(engine: sa.Engine) -> None:
    """Return when the database can be reached; its schema is checked by `migrate.require_current`.

    Raises:
        ConfigurationError: One sentence that says what is wrong with the URL or the server.
        CacheUnavailable: The server is there, but does not serve now.
    """
    try:
        ping(engine)
    except CacheUnavailable as error:
        cause = error.__cause__
        explained = _explained(str(cause)) if isinstance(cause, psycopg2.OperationalError) else None
        raise explained or error from cause
    except psycopg2.ProgrammingError as error:
        reason = _first_line(error)
        raise ConfigurationError(f"The options in {_URL} are not valid ({reason}); correct them.") from error


@contextmanager
def transaction(engine: sa.Engine, *, limited: bool = False) -> Generator[sa.Connection]:
    """Run statements in one transaction and name what goes wrong in our words.

    Args:
        engine: From `connect`.
        limited: Whether a statement that takes long, such as one that waits for another session's lock, is given up.
    """
    # Whatever the role's default is: who waited for a lock must see the row as it is then.
    with connected(engine) as connection, connection.execution_options(isolation_level="READ COMMITTED").begin():
        if limited:
            connection.exec_driver_sql(_LIMIT)
        yield connection


@contextmanager
def connected(engine: sa.Engine) -> Generator[sa.Connection]:
    """Run statements, each in a transaction of its own, and name what goes wrong in our words."""
    with _translated(), engine.connect() as connection:
        try:
            yield connection
        except psycopg2.Error:
            # Setting the isolation level was the first to notice that the server has gone, outside of what SQLAlchemy
            # watches: it would try to roll back, and log that it cannot.
            connection.invalidate()
            raise


def fetch(
    engine: sa.Engine, statement: str, parameters: Mapping[str, Any], *, isolated: bool = False
) -> list[tuple[Any, ...]]:
    """Return the rows of one statement, in a transaction of its own and one round trip.

    For the hot paths: uses SQLAlchemy's pool but not its execution, which costs more than PostgreSQL itself for a
    look-up by primary key, and which compiles an upsert anew each time.

    Args:
        engine: From `connect`.
        statement: From `compiled`; of several, joined by semicolons, the rows of the last are returned.
        parameters: Values of types that psycopg2 knows by itself.
        isolated: Whether the isolation level is to be that of `transaction`, whatever the role's default is.
    """
    with _translated():
        pooled = engine.raw_connection()
        connection: Any = pooled.dbapi_connection
        try:
            with connection.cursor() as cursor:
                # Sent together they are one transaction, so the limit ends with it.
                prefix = f"{_READ_COMMITTED}; {_LIMIT}" if isolated else _LIMIT
                cursor.execute(f"{prefix}; {statement}", parameters)
                return cursor.fetchall() if cursor.description else []
        finally:
            if connection.closed:
                # The server has gone or restarted, so the other connections are as dead as this one.
                pooled.invalidate()
                engine.dispose()
            else:
                pooled.close()


def compiled(statement: sa.ClauseElement) -> str:
    """Return a statement as text for `fetch`; every value in it must be a named parameter."""
    text = statement.compile(dialect=dialect())
    given = [name for name, value in (text.params or {}).items() if value is not None]
    if given:
        raise ValueError(f"These values would get lost: {', '.join(given)}.")
    return str(text)


def ping(engine: sa.Engine) -> None:
    """Return when the server answers.

    Raises:
        CacheUnavailable: It does not.
    """
    fetch(engine, "SELECT 1", {})


@contextmanager
def _translated() -> Generator[None]:
    try:
        yield
    except NoFreeConnection as error:
        raise CacheUnavailable.of(STORE, "all connections are in use") from error
    except DBAPIError as error:
        raise _translation(error.orig) or error from error.orig
    except psycopg2.Error as error:
        raise _translation(error) or error from error


def _translation(error: BaseException | None) -> CognitionError | None:
    """Return our error for one of psycopg2, or None for a defect or a row that PostgreSQL would never accept."""
    if isinstance(error, _OTHER_SCHEMA):
        return ConfigurationError("The database lacks tables or columns of this version; run 'cognition db upgrade'.")
    if isinstance(error, _OTHER_PGVECTOR):
        return ConfigurationError(
            "The database lacks the extension pgvector, or has one older than 0.8; let an administrator install or"
            " update it."
        )
    if isinstance(error, errors.InsufficientPrivilege):
        return ConfigurationError(
            "The database role may not use a table of the schema; grant it the rights or use its owner."
        )
    # A connection that breaks at an odd moment raises the class above all these.
    if isinstance(error, _UNAVAILABLE) or type(error) is psycopg2.DatabaseError:
        return CacheUnavailable.of(STORE, _first_line(error))
    return None


def _explained(text: str) -> ConfigurationError | None:
    sentence = next(sentence for pattern, sentence in _REFUSALS if re.search(pattern, text))
    return None if sentence is None else ConfigurationError(sentence.format(url=_URL, reason=_first_line(text)))


def _first_line(error: object) -> str:
    """Return what happened, without the details below it, which may quote rows."""
    return str(error).strip().partition("\n")[0].rstrip(".")


def _parsed(url: str) -> sa.URL:
    try:
        return sa.make_url(url)
    except (ArgumentError, ValueError):  # the latter for a port that is no number
        # Its text quotes the URL and with it the password.
        raise _bad_url() from None


def _bad_url() -> ConfigurationError:
    return ConfigurationError(
        f"{_URL} is not an address of PostgreSQL; write it as postgresql://user:password@host:5432/database."
    )


def _forget_after_fork(engine: sa.Engine) -> None:
    """Make the child of a fork open connections of its own; those of the parent stay the parent's to close."""
    if not hasattr(os, "register_at_fork"):  # Windows has no fork
        return
    reference = weakref.ref(engine)  # the hook stays as long as the process

    def forget() -> None:
        if (known := reference()) is not None:
            known.dispose(close=False)

    os.register_at_fork(after_in_child=forget)
