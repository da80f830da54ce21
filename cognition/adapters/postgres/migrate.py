"""Brings a database to the schema of this version, and says in one sentence when it is not there.

The revisions live in the package `cognition_migrations`, which imports our tables; so it is found here by name only.
"""

import re
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from importlib import resources
from typing import Literal

import psycopg2
from psycopg2 import errors
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from cognition.adapters.postgres.connection import connect, transaction
from cognition.errors import ConfigurationError

VERSION_TABLE = "cognition_schema_version"
"""Not Alembic's default name: in a database shared with a Prefect server that one is taken."""

_PACKAGE = "cognition_migrations"
_REVISION_FILE = re.compile(r"(\d{4})_\w+\.py")

# Longer than any upgrade by another process may take.
_WAIT_FOR_PEER = "10min"
# A table that is in use must not queue every later query of the application behind the upgrade.
_WAIT_FOR_TABLE = "5s"

_EXTENSION_REFUSED: Mapping[type[Exception], str] = {
    errors.InsufficientPrivilege: (
        "The database role may not create the extension pgvector: let an administrator run"
        " 'CREATE EXTENSION vector' once in this database."
    ),
    psycopg2.Error: (
        "The database server has no extension pgvector: install pgvector 0.8 or newer on it, or leave"
        " COGNITION_DATABASE_URL unset to use the embedded server."
    ),
}
_REFUSED: Mapping[type[Exception], str] = {
    errors.InsufficientPrivilege: (
        "The database role may not change tables: run 'cognition db upgrade' with the role that owns the schema."
    ),
    # The type halfvec.
    errors.UndefinedObject: (
        "The extension pgvector in this database is too old: install pgvector 0.8 or newer and let an administrator"
        " run 'ALTER EXTENSION vector UPDATE'."
    ),
    errors.LockNotAvailable: (
        "A table stayed in use by another transaction: run 'cognition db upgrade' again when fewer flows run."
    ),
}


def head() -> str:
    """Return the newest revision this version knows, such as `0003`.

    Read from the file names, because importing Alembic takes longer than opening the engine.
    """
    files = resources.files(_PACKAGE) / "versions"
    return max(match[1] for file in files.iterdir() if (match := _REVISION_FILE.fullmatch(file.name)))


def current(target: Engine | str) -> str | None:
    """Return the revision of a database, or None when it has no schema of ours.

    Args:
        target: An engine, or a database URL.

    Raises:
        CacheUnavailable: The database does not answer.
    """
    with _engine_of(target) as engine, transaction(engine) as connection:
        if connection.scalar(text(f"SELECT to_regclass('{VERSION_TABLE}')")) is None:
            return None
        return connection.scalar(text(f"SELECT version_num FROM {VERSION_TABLE}"))  # noqa: S608  our own constant


def require_current(target: Engine | str) -> None:
    """Return when the database has exactly the schema this version needs.

    Args:
        target: An engine, or a database URL.

    Raises:
        ConfigurationError: The schema is missing, older or newer; the sentence says what to do.
        CacheUnavailable: The database does not answer.
    """
    found, needed = current(target), head()
    if found is None:
        raise ConfigurationError(
            f"The database has no schema yet but this version needs {needed}: run 'cognition db upgrade'."
        )
    if found < needed:
        raise ConfigurationError(
            f"The database schema is at {found} but this version needs {needed}: run 'cognition db upgrade'."
        )
    if found > needed:
        raise ConfigurationError(_newer_than_code(found, needed))


def upgrade(target: Engine | str) -> str:
    """Bring a database to the newest revision in one transaction; return that revision.

    Processes that start at once take turns, so that the first migrates and the others find nothing to do.

    Args:
        target: An engine, or a database URL. The role must be allowed to create tables.

    Raises:
        ConfigurationError: The extension pgvector is missing or too old, the role may not create what is needed, a
            table stayed in use, or the schema is newer than this version.
        CacheUnavailable: The database does not answer.
    """
    found, needed = current(target), head()
    if found is not None and found > needed:
        raise ConfigurationError(_newer_than_code(found, needed))
    if found != needed:
        _migrate(target, "upgrade", needed)
    return needed


def downgrade(target: Engine | str, revision: str) -> None:
    """Bring a database back to an older revision; what newer revisions created is dropped with its contents.

    Args:
        target: An engine, or a database URL.
        revision: A revision such as `0002`, or `base` for none.

    Raises:
        ConfigurationError: A table stayed in use, the role may not drop it, or the database does not answer.
    """
    _migrate(target, "downgrade", revision)


@contextmanager
def _engine_of(target: Engine | str) -> Generator[Engine]:
    if isinstance(target, Engine):
        yield target
        return
    engine = connect(target, pool_size=1)
    try:
        yield engine
    finally:
        engine.dispose()


def _migrate(target: Engine | str, direction: Literal["upgrade", "downgrade"], revision: str) -> None:
    try:
        with _engine_of(target) as engine, engine.connect() as connection:
            # An engine in autocommit mode would give the lock back at once and leave half a schema behind.
            connection.execution_options(isolation_level="READ COMMITTED")
            with connection.begin():
                _take_turn(connection)
                _run_alembic(connection, direction, revision)
    except DBAPIError as error:
        raise _translated(error) from error


def _take_turn(connection: Connection) -> None:
    """Wait until no other process migrates; the lock and both time-outs end with the transaction."""
    connection.execute(text(f"SET LOCAL lock_timeout = '{_WAIT_FOR_PEER}'"))
    connection.execute(text(f"SELECT pg_advisory_xact_lock(hashtextextended('{VERSION_TABLE}', 0))"))
    connection.execute(text(f"SET LOCAL lock_timeout = '{_WAIT_FOR_TABLE}'"))


def _run_alembic(connection: Connection, direction: Literal["upgrade", "downgrade"], revision: str) -> None:
    from alembic import command  # noqa: PLC0415 - slow: an up-to-date database opens in less time than it loads
    from alembic.config import Config  # noqa: PLC0415 - as above

    config = Config()
    config.set_main_option("script_location", f"{_PACKAGE}:")
    config.attributes.update(connection=connection, version_table=VERSION_TABLE)
    run = command.upgrade if direction == "upgrade" else command.downgrade
    run(config, revision)


def _translated(error: DBAPIError) -> ConfigurationError:
    by_kind = _EXTENSION_REFUSED if (error.statement or "").startswith("CREATE EXTENSION") else _REFUSED
    reason = str(error.orig).partition("\n")[0].strip().rstrip(".")
    otherwise = f"The schema could not be changed ({reason}): nothing was kept of it."
    return ConfigurationError(
        next((sentence for kind, sentence in by_kind.items() if isinstance(error.orig, kind)), otherwise)
    )


def _newer_than_code(found: str, known: str) -> str:
    return f"The database schema is at {found} but this version knows only {known}: upgrade prefect-cognition."
