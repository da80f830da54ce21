"""The flows about budgets on a Prefect server: whenever and however often they run, no figure changes."""

from __future__ import annotations

import json
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
import sqlalchemy as sa
from prefect import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey
from prefect.client.schemas.sorting import ArtifactSort

from cognition import Attribution, Cognition
from cognition.domain.reservation import Standing
from cognition.testing import FakeOpenAI, Reply, Usage
from cognition_blocks import CachedLLM, CognitionStore, LLMBudget
from cognition_flows.budgets import deliver_alerts, reset_budgets
from cognition_flows.upkeep import maintain_store
from tests.acceptance.spending import spend
from tests.older_budgets import grow_old

DAY = timedelta(days=1)
NIGHTLY = Attribution(workflow="nightly", user="alice")
FIGURES = ("used_usd", "reserved_usd", "credit_usd", "limit_usd")


@pytest.fixture
def saved(llm: CachedLLM) -> str:
    """Return the name of a block document."""
    name = f"budgets-{uuid4().hex}"
    llm.save(name)
    return name


@pytest.fixture
def daily(store: CognitionStore) -> None:
    """Give a workflow a dollar a day, and each user two."""
    LLMBudget(scope="workflow", subject="nightly", limit_usd="1.00", store=store).apply()
    LLMBudget(scope="user", limit_usd="2.00", store=store).apply()


def figures(engine: Cognition) -> dict[str, tuple[Decimal, ...]]:
    """Return what every budget says."""
    found: list[Standing] = list(engine.budgets.status())
    return {one.name: tuple(getattr(one, name) for name in FIGURES) for one in found}


def artifacts(key: str) -> list[tuple[Any, str | None]]:
    """Return what stands under a key, and its description; the newest first."""
    with get_client(sync_client=True) as client:
        wanted = ArtifactFilter(key=ArtifactFilterKey(any_=[key]))
        found = client.read_artifacts(artifact_filter=wanted, sort=ArtifactSort.CREATED_DESC)
        return [(one.data, one.description) for one in found]


def bar_of(llm: CachedLLM) -> str:
    """Return the key of the bar of the workflow's budget."""
    (budget_id,) = [one.budget_id for one in llm.engine.budgets.list() if one.subject == "nightly"]
    assert budget_id is not None
    with get_client(sync_client=True) as client:
        keys = {one.key or "" for one in client.read_artifacts(limit=200)}
    (key,) = [key for key in keys if budget_id.hex[-8:] in key]
    return key


@pytest.mark.usefixtures("daily")
def test_doubled_and_missed_runs_change_nothing(llm: CachedLLM, saved: str, engine: sa.Engine) -> None:
    """Three days pass, the first with a doubled run and the others with none; what may be spent is the same always."""
    spend(engine, "0.90", NIGHTLY)
    before = figures(llm.engine)
    first, doubled = (reset_budgets(llm=saved) for _ in range(2))
    assert (0, 1, before) == (first["closed"], first["alerts_delivered"], figures(llm.engine))
    assert (0, 0) == (doubled["closed"], doubled["alerts_delivered"])

    grow_old(engine, DAY)
    spend(engine, "0.25", NIGHTLY)
    grow_old(engine, 2 * DAY)
    fresh = figures(llm.engine)
    late, again = (reset_budgets(llm=saved) for _ in range(2))

    assert Decimal(0) == fresh["daily budget of workflow nightly"][0]
    assert fresh == figures(llm.engine)
    assert (4, "2.300000000", 1) == (late["closed"], late["closed_usd"], late["alerts_ended"])
    assert (0, "0", 0) == (again["closed"], again["closed_usd"], again["alerts_ended"])
    rows = json.loads(artifacts("cognition-budgets-closed")[0][0])
    assert ["0.900000000", "0.250000000"] == [row["spent_usd"] for row in rows if row["budget"].endswith("nightly")]


@pytest.mark.usefixtures("daily")
def test_how_budgets_stand_is_shown(llm: CachedLLM, saved: str, engine: sa.Engine) -> None:
    """A page with every budget, and a bar for one near its limit that goes down when its period ends."""
    spend(engine, "0.90", NIGHTLY)
    reset_budgets("Europe/Berlin", llm=saved)

    page = artifacts("cognition-budgets")[0][0]
    assert "| daily budget of workflow nightly | $1.00 | $0.90 | $0.00 | $0.10 | " in page
    assert "| daily budget of user alice | $2.00 | $0.90 | $0.00 | $1.10 | " in page
    assert "data:image/svg+xml;base64," in page
    key = bar_of(llm)
    assert (90.0, "daily budget of workflow nightly: $0.90 of $1.00 spent") == artifacts(key)[0]

    grow_old(engine, DAY)
    reset_budgets(llm=saved)
    assert [0.0, 90.0] == [reach for reach, _ in artifacts(key)]
    assert "### Closed just now" in artifacts("cognition-budgets")[0][0]


@pytest.mark.usefixtures("daily")
def test_alerts_are_delivered_once(llm: CachedLLM, saved: str, engine: sa.Engine) -> None:
    """By whichever flow comes first; old reservations go with the other one."""
    spend(engine, "0.90", NIGHTLY)
    assert [{"delivered": 1, "failed": 0}, {"delivered": 0, "failed": 0}] == [deliver_alerts(saved) for _ in range(2)]
    grow_old(engine, 40 * DAY)
    done = reset_budgets(llm=saved)
    assert (0, 2) == (done["alerts_delivered"], done["reservations_deleted"])
    (alert,) = llm.engine.budgets.alerts("resolved")
    assert 1 == alert.deliveries


@pytest.mark.usefixtures("daily")
def test_maintenance_reports_drift_and_repairs_only_when_told(
    llm: CachedLLM, saved: str, engine: sa.Engine, provider: FakeOpenAI, caplog: pytest.LogCaptureFixture
) -> None:
    """Somebody who changes the database by hand is found out; what is counted stays until a person decides."""
    provider.default = Reply(text="It depends.", usage=Usage(1000, 100))
    llm.complete("What counts?", attribution=NIGHTLY)
    llm.engine.ledger.flush()
    told = "budgets that differ from the ledger", "budgets adjusted to the ledger"
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE budget_periods SET used_usd = used_usd + 0.1"))
    before = figures(llm.engine)

    found = maintain_store(llm=saved)
    assert (2, before) == (found[told[0]], figures(llm.engine))
    assert "The daily budget of workflow nightly counts $0.100000000 too much" in caplog.text
    assert 2 == maintain_store(llm=saved, repair_budgets=True)[told[1]]
    assert 0 == maintain_store(llm=saved)[told[0]]
