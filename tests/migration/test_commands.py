"""The commands `cognition db upgrade` and `cognition db current`."""

import json

import pytest
from typer.testing import CliRunner

from cognition.adapters.postgres import migrate
from cognition.cli.database import db_app
from cognition.errors import ConfigurationError


def test_upgrade_says_what_it_did(empty_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first one migrates, the second one finds nothing to do."""
    monkeypatch.setenv("COGNITION_DATABASE_URL", empty_url)

    first = CliRunner().invoke(db_app, ["upgrade"], catch_exceptions=False)
    second = CliRunner().invoke(db_app, ["upgrade"], catch_exceptions=False)

    assert f"The database schema is at {migrate.head()} now.\n" == first.output
    assert f"The database schema is at {migrate.head()} already.\n" == second.output


def test_upgrade_tells_machines_where_it_started(empty_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """No schema at all is null."""
    monkeypatch.setenv("COGNITION_DATABASE_URL", empty_url)

    result = CliRunner().invoke(db_app, ["upgrade", "--json"], catch_exceptions=False)

    assert {"before": None, "revision": migrate.head()} == json.loads(result.output)


def test_current_prints_the_revision(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """For machines with the revision that this version needs."""
    monkeypatch.setenv("COGNITION_DATABASE_URL", database_url)

    plain = CliRunner().invoke(db_app, ["current"], catch_exceptions=False)
    machine = CliRunner().invoke(db_app, ["current", "--json"], catch_exceptions=False)

    assert f"{migrate.head()}\n" == plain.output
    assert {"revision": migrate.head(), "needed": migrate.head()} == json.loads(machine.output)


def test_current_fails_when_the_schema_is_another(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A deployment script can rely on the exit code."""
    monkeypatch.setenv("COGNITION_DATABASE_URL", database_url)
    migrate.downgrade(database_url, "0001")

    result = CliRunner().invoke(db_app, ["current"])

    assert "0001\n" == result.output
    assert isinstance(result.exception, ConfigurationError)
    assert 0 != result.exit_code
