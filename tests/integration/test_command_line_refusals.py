"""What the command line says when it cannot do what it is asked: one sentence, and nothing is changed."""

from __future__ import annotations

import json
from collections.abc import Generator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import sqlalchemy as sa

from cognition.adapters.postgres import migrate
from tests.command_line import refusal, run

PASSWORD = "xyzzy-7c1d"  # noqa: S105  of nothing


@pytest.fixture
def environment(database_url: str, redis_url: str) -> dict[str, str]:
    """Return the variables that lead to the stores of this test."""
    return {"COGNITION_DATABASE_URL": database_url, "COGNITION_REDIS_URL": redis_url}


@pytest.fixture
def guarded_role(database_url: str) -> Generator[str]:
    """Return a role that PostgreSQL asks for a password, though it trusts everybody else here."""
    role = f"guarded_{uuid4().hex}"
    rules = Path(execute(database_url, "SHOW hba_file")[0])
    others = rules.read_text(encoding="utf-8")
    rules.write_text(f"local all {role} scram-sha-256\n{others}", encoding="utf-8")
    execute(database_url, f"CREATE ROLE {role} LOGIN PASSWORD 'the right one'", "SELECT pg_reload_conf()")
    yield role
    rules.write_text(others, encoding="utf-8")
    execute(database_url, f"DROP ROLE {role}", "SELECT pg_reload_conf()")


def execute(url: str, *statements: str) -> list[Any]:
    """Run statements, each in a transaction of its own; return the first column of the last one."""
    engine = sa.create_engine(url, poolclass=sa.NullPool, isolation_level="AUTOCOMMIT")
    rows: list[Any] = []
    with engine.connect() as connection:
        for statement in statements:
            result = connection.execute(sa.text(statement))
            rows = list(result.scalars()) if result.returns_rows else []
    return rows


def changed(url: str, **changes: Any) -> dict[str, str]:
    """Return the variable that names a database, other parts of its URL changed."""
    address = sa.make_url(url).set(password=PASSWORD).set(**changes)
    return {"COGNITION_DATABASE_URL": address.render_as_string(hide_password=False)}


@pytest.mark.parametrize("command", [["stats"], ["db", "upgrade"], ["db", "current"]], ids=" ".join)
def test_a_wrong_password_is_named(environment: dict[str, str], guarded_role: str, command: list[str]) -> None:
    """Without repeating it."""
    wrong = changed(environment["COGNITION_DATABASE_URL"], username=guarded_role)

    said = refusal(environment | wrong, *command, secret=PASSWORD)

    assert "PostgreSQL refused the user or the password; correct them in COGNITION_DATABASE_URL." == said


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"database": "nowhere"}, "PostgreSQL has no database of this name; create it or correct"),
        ({"username": "nobody"}, "PostgreSQL has no user of this name; create the role or correct"),
        ({"query": {"host": "/nowhere"}}, "PostgreSQL cannot be reached"),
        ({"host": "127.0.0.1", "port": 1, "query": {}}, "PostgreSQL cannot be reached"),
        ({"drivername": "mysql"}, "is not an address of PostgreSQL; write it as postgresql://"),
    ],
    ids=["database", "user", "host", "port", "driver"],
)
def test_a_database_that_cannot_be_opened_is_named(
    environment: dict[str, str], changes: dict[str, Any], words: str
) -> None:
    """The sentence names what is wrong and the variable, but no password."""
    wrong = changed(environment["COGNITION_DATABASE_URL"], **changes)

    said = refusal(environment | wrong, "stats", "--json", secret=PASSWORD)

    assert words in said
    assert "COGNITION_DATABASE_URL" in said


@pytest.mark.parametrize("url", [f"user:{PASSWORD}@host", f"postgresql://user:{PASSWORD}@host:port/database", ""])
def test_a_database_that_is_none_is_named(environment: dict[str, str], url: str) -> None:
    """The sentence shows how to write it."""
    said = refusal(environment | {"COGNITION_DATABASE_URL": url}, "db", "current", secret=PASSWORD)

    assert "COGNITION_DATABASE_URL is not an address of PostgreSQL; write it as postgresql://" in said


@pytest.mark.parametrize("url", [f"http://:{PASSWORD}@localhost", f"redis://:{PASSWORD}@localhost:port"])
def test_a_redis_that_is_none_is_named(environment: dict[str, str], url: str) -> None:
    """The sentence shows how to write it."""
    said = refusal(environment | {"COGNITION_REDIS_URL": url}, "stats", secret=PASSWORD)

    assert "write redis://host:6379/0" in said


def test_invalidating_needs_every_store(environment: dict[str, str]) -> None:
    """An answer that was declared wrong must not live on in a Redis that cannot be reached."""
    away = {"COGNITION_REDIS_URL": f"redis://:{PASSWORD}@127.0.0.1:1"}

    said = refusal(environment | away, "cache", "invalidate", "--namespace", "triage", secret=PASSWORD)

    assert "The redis store did not answer" in said


def test_the_doctor_misses_a_redis_that_is_away(environment: dict[str, str]) -> None:
    """An engine would go on without L1, and nobody would know why every answer is slow."""
    done = run(environment | {"COGNITION_REDIS_URL": f"redis://:{PASSWORD}@127.0.0.1:1"}, "doctor", code=1)

    assert "fix  stores: The redis store did not answer" in done.stdout
    assert PASSWORD not in done.stdout


def test_an_older_schema_is_left_as_it_is(environment: dict[str, str]) -> None:
    """The sentence names the command that brings it up to date, which nobody runs by accident."""
    migrate.downgrade(environment["COGNITION_DATABASE_URL"], "0001")

    assert f"needs {migrate.head()}: run 'cognition db upgrade'." in refusal(environment, "report")
    assert "0001" == migrate.current(environment["COGNITION_DATABASE_URL"])


def test_a_newer_schema_is_left_as_it_is(environment: dict[str, str]) -> None:
    """Not even `db upgrade` touches it."""
    execute(environment["COGNITION_DATABASE_URL"], "UPDATE cognition_schema_version SET version_num = '9999'")

    assert "upgrade prefect-cognition." in refusal(environment, "db", "upgrade")
    assert "9999" == migrate.current(environment["COGNITION_DATABASE_URL"])


def test_a_schema_that_does_not_fit_ends_db_current_with_1(environment: dict[str, str]) -> None:
    """Machines still read both revisions."""
    migrate.downgrade(environment["COGNITION_DATABASE_URL"], "0001")

    done = run(environment, "db", "current", "--json", code=1)

    assert {"revision": "0001", "needed": migrate.head()} == json.loads(done.stdout)
    assert 1 == len(done.stderr.splitlines())
    assert done.stderr.startswith("Error: ")


def test_an_unknown_dimension_is_named(environment: dict[str, str]) -> None:
    """Beside those that there are."""
    said = refusal(environment, "report", "--by", "workflow,colour")

    assert said.startswith("A report cannot be grouped by 'colour'; use some of workflow, ")


def test_a_missing_model_is_said_as_it_is_typed(environment: dict[str, str]) -> None:
    """The engine's sentence, with the option in place of the parameter."""
    said = refusal(environment, "cache", "explain", "Is it open?")

    assert "No model is named; pass --model provider:model or set COGNITION_MODEL." == said


def test_invalidating_nothing_in_particular_is_refused(environment: dict[str, str]) -> None:
    """Not everything is dropped because an option was forgotten."""
    assert refusal(environment, "cache", "invalidate").startswith("Say what to invalidate, with --namespace, ")


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("COGNITION_CACHE__L1_TTL", "abc"),
        ("COGNITION_CACHE__MODE", "bad"),
        ("COGNITION_PRICES", "xx"),
        ("COGNITION_RESILIENCE", "{"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named(environment: dict[str, str], variable: str, value: str) -> None:
    """By its variable; the doctor says the same beside its other findings."""
    broken = environment | {variable: value}

    assert variable in refusal(broken, "stats")
    findings = json.loads(run(broken, "doctor", "--json", code=1).stdout)
    assert [variable] == [variable for finding in findings if not finding["ok"] and variable in finding["detail"]]


@pytest.mark.parametrize(
    "arguments",
    [
        ("nonsense",),
        ("stats", "--hours", "0"),
        ("report", "--hours", "inf"),
        ("cache", "invalidate", "--older-than-hours", "1e99"),
        ("cache", "purge", "--limit", "some"),
        ("demo", "--count", "0"),
    ],
    ids=" ".join,
)
def test_wrong_usage_ends_with_2(arguments: tuple[str, ...]) -> None:
    """No store is asked for: the URL here is none."""
    done = run({"COGNITION_DATABASE_URL": "none"}, *arguments, code=2)

    assert "" == done.stdout
    assert "Usage: " in done.stderr
    assert "Traceback" not in done.stderr
