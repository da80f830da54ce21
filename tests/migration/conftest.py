"""Databases of one test each, at the newest revision or without any schema."""

from collections.abc import Generator
from uuid import uuid4

import pytest
from sqlalchemy import Engine, NullPool, create_engine, make_url, text

from cognition.adapters.embedded import EmbeddedServers


@pytest.fixture
def empty_url(servers: EmbeddedServers) -> Generator[str]:
    """URL of a database without any schema."""
    name = f"empty_{uuid4().hex}"
    server = create_engine(servers.database_url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    yield make_url(servers.database_url).set(database=name).render_as_string(hide_password=False)
    with server.connect() as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))


@pytest.fixture
def engine(database_url: str) -> Engine:
    """Return an engine on a database at the newest revision, without rows; it keeps no connection open."""
    return create_engine(database_url, poolclass=NullPool)


@pytest.fixture(scope="session")
def template_engine(servers: EmbeddedServers, template: str) -> Engine:
    """Return an engine on the database that others are copied from: whatever is done there must be rolled back."""
    return create_engine(make_url(servers.database_url).set(database=template), poolclass=NullPool)
