"""Migrating: several processes at once, and one clear sentence for whatever stands in the way."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import Engine, NullPool, create_engine, make_url, text

from cognition.adapters.postgres import migrate
from cognition.errors import CacheUnavailable, ConfigurationError

UPGRADE = "import sys; from cognition.adapters.postgres import migrate; print(migrate.upgrade(sys.argv[1]))"


def execute(url: str, *statements: str) -> None:
    """Run statements, each in a transaction of its own."""
    engine = create_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for statement in statements:
            connection.execute(text(statement))


def table_names(url: str) -> list[str]:
    """Return the tables of the schema public."""
    with create_engine(url, poolclass=NullPool).connect() as connection:
        names = connection.scalars(text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'"))
        return sorted(names)


def as_role(url: str, role: str) -> str:
    """Return the same URL for another role."""
    return make_url(url).set(username=role).render_as_string(hide_password=False)


@pytest.fixture
def plain_role(empty_url: str, request: pytest.FixtureRequest) -> str:
    """Return a role that may do nothing but connect."""
    role = f"plain_{make_url(empty_url).database}"
    execute(empty_url, f"CREATE ROLE {role} LOGIN")
    request.addfinalizer(lambda: execute(empty_url, f"DROP OWNED BY {role}", f"DROP ROLE {role}"))  # noqa: PT021
    return role


def test_processes_that_upgrade_at_once_take_turns(empty_url: str, tmp_path: Path) -> None:
    """All of them succeed, from any folder, and the schema is made once."""
    started = [
        subprocess.Popen([sys.executable, "-c", UPGRADE, empty_url], cwd=tmp_path, stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]

    assert [migrate.head()] * 4 == [process.communicate()[0].strip() for process in started]
    assert [0] * 4 == [process.returncode for process in started]
    assert migrate.head() == migrate.current(empty_url)


def test_an_upgraded_database_is_left_alone(database_url: str) -> None:
    """A second upgrade does not even ask for the lock, which somebody else holds here."""
    with create_engine(database_url, poolclass=NullPool).begin() as connection:
        connection.execute(text("LOCK TABLE llm_cache, cognition_schema_version IN SHARE MODE"))

        assert migrate.head() == migrate.upgrade(database_url)


def test_an_upgrade_that_fails_leaves_nothing_behind(empty_url: str) -> None:
    """Not even on an engine in autocommit mode are the tables of the first revision kept when the second fails."""
    execute(empty_url, "CREATE TABLE user_budgets (theirs integer)")
    autocommit = create_engine(empty_url, poolclass=NullPool, isolation_level="AUTOCOMMIT")

    with pytest.raises(ConfigurationError, match=r"user_budgets.* already exists.*nothing was kept"):
        migrate.upgrade(autocommit)

    assert ["user_budgets"] == table_names(empty_url)


def test_a_database_may_be_shared_with_other_users_of_alembic(empty_url: str) -> None:
    """Their version table, as a Prefect server has one, is neither read nor written."""
    execute(
        empty_url,
        "CREATE TABLE alembic_version (version_num text)",
        "INSERT INTO alembic_version VALUES ('9e9dadc36797')",
    )
    migrate.upgrade(empty_url)
    migrate.downgrade(empty_url, "base")

    with create_engine(empty_url, poolclass=NullPool).connect() as connection:
        assert "9e9dadc36797" == connection.scalar(text("SELECT version_num FROM alembic_version"))


def test_a_current_schema_is_accepted(engine: Engine) -> None:
    """Nothing is raised, for an engine as for a URL."""
    migrate.require_current(engine)


def test_a_missing_schema_is_refused(empty_url: str) -> None:
    """The sentence names the command that creates it."""
    with pytest.raises(ConfigurationError, match=r"no schema yet .* run 'cognition db upgrade'\.$"):
        migrate.require_current(empty_url)


def test_an_older_schema_is_refused(database_url: str) -> None:
    """The sentence names both revisions and the command."""
    migrate.downgrade(database_url, "0001")

    with pytest.raises(
        ConfigurationError, match=rf"at 0001 but .* needs {migrate.head()}: run 'cognition db upgrade'\.$"
    ):
        migrate.require_current(database_url)


@pytest.mark.parametrize("use", [migrate.require_current, migrate.upgrade])
def test_a_newer_schema_is_refused(database_url: str, use: Callable[[str], object]) -> None:
    """An older program must not touch it, whatever it wants."""
    execute(database_url, "UPDATE cognition_schema_version SET version_num = '9999'")

    with pytest.raises(ConfigurationError, match=r"at 9999 but .* knows only \d+: upgrade prefect-cognition\.$"):
        use(database_url)


def test_a_server_without_pgvector_is_named(empty_url: str) -> None:
    """The sentence says what to install, or how to do without."""
    execute(empty_url, f"ALTER DATABASE {make_url(empty_url).database} SET extension_control_path = '/nowhere'")

    with pytest.raises(ConfigurationError, match="no extension pgvector: install pgvector"):
        migrate.upgrade(empty_url)


def test_a_role_that_may_not_create_the_extension_is_told_who_may(empty_url: str, plain_role: str) -> None:
    """Pgvector is no trusted extension: the right to create tables is not enough."""
    execute(empty_url, f"GRANT CREATE ON SCHEMA public TO {plain_role}")

    with pytest.raises(ConfigurationError, match="administrator run 'CREATE EXTENSION vector'"):
        migrate.upgrade(as_role(empty_url, plain_role))


def test_a_role_that_may_not_create_tables_is_told_which_may(empty_url: str, plain_role: str) -> None:
    """With the extension in place, only the right to create tables is missing."""
    execute(empty_url, "CREATE EXTENSION vector")

    with pytest.raises(ConfigurationError, match="with the role that owns the schema"):
        migrate.upgrade(as_role(empty_url, plain_role))


def test_an_extension_that_is_too_old_is_named(empty_url: str) -> None:
    """The type `halfvec` came with pgvector 0.7; an older one is imitated by taking the type away."""
    execute(empty_url, "CREATE EXTENSION vector", "DROP EXTENSION vector", "CREATE SCHEMA elsewhere")
    execute(empty_url, "CREATE EXTENSION vector SCHEMA elsewhere")

    with pytest.raises(ConfigurationError, match="ALTER EXTENSION vector UPDATE"):
        migrate.upgrade(empty_url)


def test_a_table_in_use_stops_the_migration_soon(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Waiting longer would queue every later query behind it."""
    monkeypatch.setattr("cognition.adapters.postgres.migrate._WAIT_FOR_TABLE", "10ms")

    with create_engine(database_url, poolclass=NullPool).begin() as connection:
        connection.execute(text("SELECT FROM llm_cache"))
        with pytest.raises(ConfigurationError, match="stayed in use by another transaction"):
            migrate.downgrade(database_url, "base")

    assert migrate.head() == migrate.current(database_url)


def test_a_database_that_does_not_answer_is_unavailable() -> None:
    """The reason is told, the password is not."""
    with pytest.raises(CacheUnavailable, match="postgres store did not answer") as caught:
        migrate.current("postgresql://somebody:hunter2@127.0.0.1:1/nowhere")

    assert "hunter2" not in str(caught.value)
