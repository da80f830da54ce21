"""Where rows wait, and how a person learns of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from typer.testing import CliRunner

from cognition import ConfigurationError, Settings
from cognition.cli import app
from cognition.errors import LedgerFull
from cognition.testing.contracts.spool import some
from cognition.wiring import spool_of
from tests.unit.conftest import MakeRig
from tests.unit.failing_ledger import FailingLedger
from tests.unit.memory_engine import eventually

# Nobody listens there; the doctor goes on.
AWAY = "postgresql://alice:secret@127.0.0.1:1/llm"


def place_of(url: str, folder: Path, **settings: Any) -> str:
    """Return where rows for a database wait."""
    return spool_of(Settings(spool=folder, **settings), url).state().place


@pytest.mark.parametrize(
    "other",
    [
        "postgresql://alice:secret@db.example:5433/llm",
        "postgresql://alice:secret@other.example/llm",
        "postgresql://alice:secret@db.example/other",
        "postgresql://alice:secret@/llm?host=/run/db.example",
        "postgresql:///llm",
    ],
)
def test_another_database_has_another_folder(other: str, tmp_path: Path) -> None:
    """Rows of one must never get into the other."""
    assert place_of("postgresql://alice:secret@db.example/llm", tmp_path) != place_of(other, tmp_path)


@pytest.mark.parametrize(
    "same",
    [
        "postgresql://alice:changed@db.example/llm",
        "postgresql://bob@db.example:5432/llm",
        "postgresql+psycopg2://alice:secret@db.example/llm?sslmode=require",
        "postgresql://alice:secret@/llm?host=db.example",
    ],
)
def test_the_same_database_has_one_folder(same: str, tmp_path: Path) -> None:
    """Whoever connects to it, and also after a password was changed."""
    assert place_of("postgresql://alice:secret@db.example/llm", tmp_path) == place_of(same, tmp_path)


def test_what_an_address_leaves_out_comes_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As libpq has it."""
    plain = place_of("postgresql:///", tmp_path)
    monkeypatch.setenv("PGHOST", "db.example")
    monkeypatch.setenv("PGDATABASE", "llm")
    assert place_of("postgresql://db.example/llm", tmp_path) == place_of("postgresql:///", tmp_path) != plain


def test_an_address_that_is_none_is_said(tmp_path: Path) -> None:
    """Without its password."""
    with pytest.raises(ConfigurationError, match="COGNITION_DATABASE_URL is not an address") as refused:
        place_of("postgresql://alice:secret@db.example:port/llm", tmp_path)
    assert "secret" not in str(refused.value)


def test_tenants_have_folders_of_their_own(tmp_path: Path) -> None:
    """Below the folder that is set, and nothing of an address or a tenant is in the name."""
    places = [place_of(AWAY, tmp_path, tenant=tenant) for tenant in ("acme", "umbrella")]
    assert 2 == len(set(places))
    assert {tmp_path} == {Path(place).parent for place in places}
    assert [] == [place for place in places if "llm" in place or "acme" in place]


def test_unless_it_is_set_the_folder_is_the_users_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where the platform keeps what programs must remember."""
    monkeypatch.delenv("COGNITION_SPOOL")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Path(spool_of(Settings(), AWAY).state().place).is_relative_to(tmp_path)


def test_the_limit_is_in_megabytes(tmp_path: Path) -> None:
    """Of the environment; none is no limit that anybody can mean."""
    spool = spool_of(Settings(spool=tmp_path, spool_limit_mb=1), AWAY)
    spool.append(some(1200))
    with pytest.raises(LedgerFull, match="take the 1 MB"):
        spool.require_room()
    with pytest.raises(ConfigurationError, match="COGNITION_SPOOL_LIMIT_MB"):
        Settings(spool_limit_mb=0)


@pytest.mark.parametrize(("waiting", "rejected"), [(0, 0), (3, 0), (3, 2)])
def test_the_doctor_says_what_waits(waiting: int, rejected: int, tmp_path: Path) -> None:
    """And where, also while the database is away; what was kept aside is somebody's to do."""
    spool = spool_of(Settings(spool=tmp_path, database_url=SecretStr(AWAY)), AWAY)
    for keep, count in ((spool.append, waiting), (spool.reject, rejected)):
        if count:
            keep(some(count))
    environment = {"COGNITION_DATABASE_URL": AWAY, "COGNITION_SPOOL": str(tmp_path)}

    found = CliRunner().invoke(app, ["doctor", "--json"], env=environment).stdout

    finding = next(one for one in json.loads(found) if one["check"] == "spool")
    assert finding["ok"] is (not rejected)
    assert finding["detail"].startswith(f"{waiting} ledger rows wait in {spool.state().place}")
    assert (f"{rejected} that can never be written" in finding["detail"]) is bool(rejected)


def test_while_no_row_can_be_kept_no_provider_is_asked(make_rig: MakeRig, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would cost what nobody could write down; a cached answer costs nothing."""
    ledger = FailingLedger()
    rig = make_rig(ledger=ledger)
    rig.script.then("Yes.", "Again.")
    ledger.down = True
    rig.durable.outage.down = True
    assert "provider" == rig.layer("Really?")
    spool = rig.machinery.stores.spool
    monkeypatch.setattr(spool, "_limit", spool.state().used_bytes)

    with pytest.raises(LedgerFull):
        rig.layer("And now?")
    assert ("l1", 1) == (rig.layer("Really?"), len(rig.script.requests))

    ledger.down = rig.durable.outage.down = False
    eventually(rig.engine.ledger.flush)
    assert "provider" == rig.layer("And now?")
