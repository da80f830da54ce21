"""Connecting to PostgreSQL: clear sentences for what is wrong, and no lasting harm from a crash or a fork."""

from __future__ import annotations

import os
from collections.abc import Generator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DataError

from cognition.adapters.embedded import ensure_running, status
from cognition.adapters.postgres import migrate
from cognition.adapters.postgres.connection import check, connect, connected, fetch, ping, transaction
from cognition.adapters.postgres.entries import PostgresEntries
from cognition.errors import CacheUnavailable, ConfigurationError
from cognition.testing import FakeClock, temporary_home
from cognition.testing.contracts.samples import an_address, an_entry

PASSWORD = "xyzzy"  # noqa: S105  of nothing


@pytest.fixture(scope="module")
def home() -> Generator[Path]:
    """Return the home of servers that a test may kill."""
    with temporary_home() as home:
        yield home


@pytest.mark.parametrize(
    "url",
    [
        f"mysql://user:{PASSWORD}@host/db",
        f"postgresql+asyncpg://user:{PASSWORD}@host/db",
        f"user:{PASSWORD}@host",
        f"postgresql://user:{PASSWORD}@host:port/db",
        "sqlite://",
        "",
    ],
)
def test_other_addresses_are_refused(url: str) -> None:
    """A URL that is none of PostgreSQL gives one sentence that shows how to write it, without its password."""
    with pytest.raises(ConfigurationError, match="write it as postgresql://") as raised:
        connect(url)
    assert PASSWORD not in str(raised.value)


@pytest.mark.parametrize("scheme", ["postgresql", "postgresql+psycopg2"])
def test_both_spellings_are_accepted(database_url: str, scheme: str) -> None:
    """SQLAlchemy's spelling of the URL is as good as everybody else's."""
    engine = connect(database_url.replace("postgresql+psycopg2", scheme))
    check(engine)
    engine.dispose()


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"database": "nowhere"}, "no database of this name"),
        ({"username": "nobody"}, "no user of this name"),
        ({"query": {"host": "/no-such-folder"}}, "cannot be reached"),
        ({"host": "127.0.0.1", "port": 1, "query": {}}, "cannot be reached"),
        ({"host": "no-such-host.invalid", "query": {}}, "cannot be reached"),
        ({"query": {"host": "/", "colour": "red"}}, "options in COGNITION_DATABASE_URL are not valid"),
    ],
)
def test_a_wrong_url_is_explained(database_url: str, changes: Mapping[str, Any], sentence: str) -> None:
    """Opening says in one sentence what is wrong, and never tells the password."""
    engine = connect(_changed(database_url, {"password": PASSWORD, **changes}))
    with pytest.raises(ConfigurationError, match=sentence) as raised:
        check(engine)
    assert PASSWORD not in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_wrong_password_is_explained(home: Path) -> None:
    """A server that asks for a password and gets another one is named as such."""
    url = ensure_running(home).database_url
    engine = connect(url)
    with connected(engine) as connection:
        connection.exec_driver_sql("CREATE ROLE guarded LOGIN PASSWORD 'right'")
        rules = Path(connection.scalar(sa.text("SHOW hba_file")) or "")
        rules.write_text("local all guarded scram-sha-256\n" + rules.read_text())
        connection.exec_driver_sql("SELECT pg_reload_conf()")
    engine.dispose()
    wrong = connect(_changed(url, {"username": "guarded", "password": PASSWORD}))
    with pytest.raises(ConfigurationError, match="refused the user or the password") as raised:
        check(wrong)
    assert PASSWORD not in str(raised.value)


def test_an_old_schema_is_explained(engine: sa.Engine, clock: FakeClock) -> None:
    """A missing table names the command that creates it."""
    migrate.downgrade(engine, "base")
    with pytest.raises(ConfigurationError, match="run 'cognition db upgrade'"):
        PostgresEntries(engine, clock).get(an_address())


def test_a_defect_is_not_hidden(engine: sa.Engine) -> None:
    """Only what PostgreSQL may do better another time counts as unavailable."""
    with pytest.raises(DataError), transaction(engine) as connection:
        connection.exec_driver_sql("SELECT 1 / 0")


def test_the_pool_has_an_end(database_url: str) -> None:
    """Who gets no connection within a second goes on without the store."""
    engine = connect(database_url, pool_size=1, max_overflow=0)
    with connected(engine), pytest.raises(CacheUnavailable, match="all connections are in use"):
        ping(engine)
    engine.dispose()


def test_a_crash_costs_one_call(home: Path, clock: FakeClock) -> None:
    """After a kill -9 and a restart all pooled connections are dead, but only one call notices."""
    url = ensure_running(home).database_url
    migrate.upgrade(url)
    engine = connect(url)
    store = PostgresEntries(engine, clock)
    address = an_address()
    entry = an_entry(address)
    store.put([(address, entry)])
    with ThreadPoolExecutor(max_workers=5) as threads:
        for _ in range(5):
            threads.submit(fetch, engine, "SELECT pg_sleep(0.2)", {})
    _kill(home)
    with pytest.raises(CacheUnavailable):
        store.get(address)
    with pytest.raises(CacheUnavailable):
        store.ping()
    ensure_running(home)
    assert [None, None] == [store.ping() for _ in range(2)]
    store.put([(address, entry)])
    assert entry == store.get(address).entry
    engine.dispose()


def test_transactions_notice_a_crash_as_well(home: Path) -> None:
    """The same holds for statements that go through SQLAlchemy."""
    engine = connect(ensure_running(home).database_url)
    with transaction(engine) as first, transaction(engine) as second:
        first.exec_driver_sql("SELECT 1")
        second.exec_driver_sql("SELECT 1")
    _kill(home)
    ensure_running(home)
    with pytest.raises(CacheUnavailable), transaction(engine) as connection:
        connection.exec_driver_sql("SELECT 1")
    with transaction(engine) as connection:
        assert 1 == connection.exec_driver_sql("SELECT 1").scalar()
    engine.dispose()


def test_a_fork_gets_connections_of_its_own(engine: sa.Engine) -> None:
    """Parent and child go on side by side, also after the child has ended."""
    mine = _backend(engine)
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(writer, str(_backend(engine)).encode())
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    assert int(os.read(reader, 100)) != mine
    assert mine == _backend(engine)
    os.close(reader)
    os.close(writer)


def test_no_session_state_is_left_behind(engine: sa.Engine, clock: FakeClock) -> None:
    """Behind pgBouncer the next statement on the same server connection may be another client's."""
    address = an_address()
    PostgresEntries(engine, clock).put([(address, an_entry(address))])
    assert [("on",)] == fetch(engine, "SHOW synchronous_commit", {})
    assert [(0,)] == fetch(engine, "SELECT count(*) FROM pg_prepared_statements", {})


def _changed(url: str, changes: Mapping[str, Any]) -> str:
    return sa.make_url(url).set(**changes).render_as_string(hide_password=False)


def _kill(home: Path) -> None:
    pid = next(server.pid for server in status(home) if server.name == "postgresql")
    process = psutil.Process(pid)
    process.kill()
    psutil.wait_procs([process])


def _backend(engine: sa.Engine) -> int:
    """Return the process id of the server's end of a connection."""
    ((pid,),) = fetch(engine, "SELECT pg_backend_pid()", {})
    return pid


def test_a_statement_that_waits_for_a_lock_is_given_up(engine: sa.Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another session's lock makes the store unavailable for a while, not the caller stuck."""
    monkeypatch.setattr("cognition.adapters.postgres.connection._LIMIT", "SET LOCAL statement_timeout = 50")
    with transaction(engine) as other:
        other.execute(sa.text("LOCK TABLE llm_cache IN ACCESS EXCLUSIVE MODE"))
        with pytest.raises(CacheUnavailable):
            fetch(engine, "SELECT count(*) FROM llm_cache", {})
        with pytest.raises(CacheUnavailable), transaction(engine, limited=True) as mine:
            mine.execute(sa.text("SELECT count(*) FROM llm_cache"))

    assert [(0,)] == fetch(engine, "SELECT count(*) FROM llm_cache", {})
    with connected(engine) as connection:
        assert "0" == connection.execute(sa.text("SHOW statement_timeout")).scalar_one()
