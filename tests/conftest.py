"""Real servers for the session; a fresh database, an empty Redis and a still clock for each test."""

from __future__ import annotations

import os
import shutil
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import Engine, NullPool, create_engine, make_url, text

from cognition.adapters.embedded import EmbeddedServers, stop
from cognition.adapters.postgres import migrate
from cognition.adapters.postgres.connection import connect as connect_postgres
from cognition.adapters.redis import connect
from cognition.testing import FakeClock, temporary_home, temporary_servers
from tests.installed_wheel import build_wheel, install_wheel


@pytest.fixture(scope="session", autouse=True)
def nobodys_home(tmp_path_factory: pytest.TempPathFactory) -> Generator[Path]:
    """Keep the developer's own settings and servers out of the tests.

    Servers that a test starts without a home of its own go to a folder that is deleted, not to the developer's.
    """
    for name in [name for name in os.environ if name.startswith("COGNITION_")]:
        del os.environ[name]
    with temporary_home() as home:
        os.environ["COGNITION_HOME"] = str(home)
        os.environ["COGNITION_SPOOL"] = str(tmp_path_factory.mktemp("spool"))
        yield home
        del os.environ["COGNITION_HOME"], os.environ["COGNITION_SPOOL"]


@pytest.fixture(autouse=True)
def no_servers_without_a_home(nobodys_home: Path) -> Generator[None]:
    """Fail a test that starts servers and does not say where; they would outlive it."""
    yield
    started = list(nobodys_home.iterdir())
    if started:
        stop(nobodys_home)
        for path in started:
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    assert [] == [path.name for path in started]


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Run async tests on asyncio alone, as Prefect runs flows: Selenium brings trio, which would be tried as well."""
    return "asyncio"


@pytest.fixture(scope="session")
def servers() -> Generator[EmbeddedServers]:
    """PostgreSQL and Valkey for the session."""
    with temporary_servers() as running:
        # Nothing here must survive a power failure, and a database is dropped twenty times faster.
        execute(running, "ALTER SYSTEM SET fsync = off")
        execute(running, "SELECT pg_reload_conf()")
        yield running


@pytest.fixture(scope="session")
def template(servers: EmbeddedServers) -> str:
    """Name of a database at the newest revision, to be copied."""
    name = f"template_{uuid4().hex}"
    execute(servers, f"CREATE DATABASE {name}")
    migrate.upgrade(url_of(servers, name))
    return name


@pytest.fixture(scope="session")
def template_url(servers: EmbeddedServers, template: str) -> str:
    """URL of that database, for who needs the server before the first test."""
    return url_of(servers, template)


@pytest.fixture
def database_url(servers: EmbeddedServers, template: str) -> Generator[str]:
    """URL of a database at the newest revision, without rows."""
    name = f"test_{uuid4().hex}"
    execute(servers, f"CREATE DATABASE {name} TEMPLATE {template}")
    yield url_of(servers, name)
    execute(servers, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def engine(database_url: str) -> Generator[Engine]:
    """Return the connections of a store on an empty database."""
    engine = connect_postgres(database_url)
    yield engine
    engine.dispose()


@pytest.fixture
def other() -> Generator[ThreadPoolExecutor]:
    """Return a thread for the one who comes second."""
    with ThreadPoolExecutor(max_workers=1) as thread:
        yield thread


@pytest.fixture
def redis_url(servers: EmbeddedServers) -> Generator[str]:
    """URL of an empty Redis; the test fails if it leaves a key that never expires."""
    if servers.redis_url is None:
        pytest.skip("there is no Valkey wheel for this platform")
    client: Any = connect(servers.redis_url)  # redis-py is typed only in part
    client.flushall()
    yield servers.redis_url
    immortal = [key for key in client.scan_iter() if client.ttl(key) == -1]
    client.close()
    assert [] == immortal


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the wheel of this repository."""
    return build_wheel(tmp_path_factory.mktemp("dist"))


@pytest.fixture(scope="session")
def wheel_python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an interpreter that finds the wheel, but not this repository."""
    return install_wheel(wheel, tmp_path_factory.mktemp("fresh"))


@pytest.fixture
def clock() -> FakeClock:
    """Return a clock that stands still until the test advances it."""
    return FakeClock()


def url_of(servers: EmbeddedServers, database: str) -> str:
    """Return the URL of another database of the same server."""
    return make_url(servers.database_url).set(database=database).render_as_string(hide_password=False)


def execute(servers: EmbeddedServers, statement: str) -> None:
    """Run a statement that must not stand in a transaction."""
    engine = create_engine(servers.database_url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(statement))
