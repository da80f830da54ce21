"""`cognition deploy --automations`: what follows from an event, set up once however often it is deployed."""

from __future__ import annotations

import json
import time
from collections.abc import Generator
from typing import Any
from uuid import uuid4

import pytest
import sqlalchemy as sa
import typer
from prefect import get_client
from prefect.blocks.notifications import CustomWebhookNotificationBlock
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterId
from prefect.events.schemas.automations import Automation
from typer.testing import CliRunner

from cognition import Attribution
from cognition.errors import ConfigurationError
from cognition.runtime import engine_for
from cognition_blocks import CachedLLM, CognitionStore, LLMBudget, emit_alert
from cognition_flows.automations import NOTIFY, PAUSE, WARM, Automated, set_up_automations
from cognition_flows.commands import deploy as command
from cognition_flows.deploying import deploy
from tests.acceptance.spending import spend
from tests.http_listener import listener

POOL = "automated"
OURS = {PAUSE, WARM}


@pytest.fixture(scope="module")
def pool() -> Generator[str]:
    """Return the name of a work pool; automations are gone before other tests emit events."""
    with get_client(sync_client=True) as client:
        client.create_work_pool(WorkPoolCreate(name=POOL, type="process"), overwrite=True)
    deploy(POOL, "UTC", {})
    yield POOL
    with get_client(sync_client=True) as client:
        for one in client.read_automations():
            client.delete_automation(one.id)


def automations() -> dict[str, Automation]:
    """Return what is on the server, by name; fails where one is doubled."""
    with get_client(sync_client=True) as client:
        found = client.read_automations()
    assert len(found) == len({one.name for one in found})
    return {one.name: one for one in found}


def run(*arguments: str) -> Any:
    """Run the command."""
    app = typer.Typer()
    app.command()(command)
    return CliRunner().invoke(app, ["--pool", POOL, *arguments])


def test_automations_are_set_up_once(pool: str) -> None:
    """Deployed again they are the same, and one that was switched off stays off; without a block nobody is told."""
    first = run("--automations")
    assert f"{NOTIFY}: left out, for no block is named with --notify" in first.stdout
    before = automations()
    with get_client(sync_client=True) as client:
        client.pause_automation(before[PAUSE].id)

    told = json.loads(run("--automations", "--json").stdout)

    after = automations()
    assert pool
    assert OURS <= after.keys()
    assert NOTIFY not in after
    assert {name: before[name].id for name in OURS} == {name: after[name].id for name in OURS}
    assert (False, True) == (after[PAUSE].enabled, after[WARM].enabled)
    assert [after[name].actions for name in OURS] == [before[name].actions for name in OURS]
    assert {PAUSE: True, WARM: True, NOTIFY: False} == {one["name"]: one["set_up"] for one in told["automations"]}
    with get_client(sync_client=True) as client:
        client.resume_automation(after[PAUSE].id)


@pytest.mark.parametrize(
    ("block", "words"),
    [("slack-webhook/nobody", "There is no block 'slack-webhook/nobody'"), ("ops", "write its type too")],
)
def test_a_block_that_is_not_there_is_said(pool: str, block: str, words: str) -> None:
    """In one sentence; a block without the automations is a mistake too."""
    assert pool
    with pytest.raises(ConfigurationError, match=words):
        set_up_automations(block)
    assert "add --automations" in str(run("--notify", block).exception)


def test_people_are_told_through_their_block(pool: str, store: CognitionStore, engine: sa.Engine) -> None:
    """Once, by what the block leads to, with what the event says filled in; the automation can be set up again."""
    assert pool
    workflow = f"nightly-{uuid4().hex[:8]}"
    with listener() as (address, received):
        hook = {"name": "ops", "url": address, "json_data": {"title": "{{subject}}", "text": "{{body}}"}}
        CustomWebhookNotificationBlock.model_validate(hook).save(workflow)
        told = [set_up_automations(f"custom-webhook/{workflow}") for _ in range(2)][-1]
        assert Automated(NOTIFY, f"On cognition.budget.soft_limit: sends to custom-webhook/{workflow}") == told[-1]
        LLMBudget(scope="workflow", subject=workflow, limit_usd="0.50", store=store).apply()
        spend(engine, "0.45", Attribution(workflow=workflow))
        engine_for(store.to_settings()).budgets.deliver(emit_alert)
        sent = received.get()
    assert f"LLM budget near its limit: daily budget of workflow {workflow}" == sent["title"]
    said = f"The daily budget of workflow {workflow} has spent $0.45 of $0.50\nin the period since 20"
    assert sent["text"].startswith(said)
    assert received.empty()


def test_a_spent_budget_pauses_each_deployment_of_its_workflow(
    pool: str, store: CognitionStore, engine: sa.Engine
) -> None:
    """And no other one, that of the flow which delivers the alerts least of all."""
    assert pool
    set_up_automations(None)
    workflow = f"nightly-{uuid4().hex[:8]}"
    with get_client(sync_client=True) as client:
        flow_id = client.create_flow_from_name(workflow)
        mine = {client.create_deployment(flow_id, name) for name in ("prod", "staging")}
    LLMBudget(scope="workflow", subject=workflow, limit_usd="0.45", store=store).apply()
    LLMBudget(scope="user", limit_usd="0.45", store=store).apply()
    spend(engine, "0.45", Attribution(workflow=workflow, user="alice"))

    engine_for(store.to_settings()).budgets.deliver(emit_alert)

    with get_client(sync_client=True) as client:
        while not all(client.read_deployment(one).paused for one in mine):
            time.sleep(0.1)
        assert mine == {one.id for one in client.read_deployments() if one.paused}


def test_an_invalidation_warms_the_cache(pool: str, llm: CachedLLM) -> None:
    """A run of the deployment is created, which a worker would start."""
    assert pool
    set_up_automations(None)
    llm.invalidate()
    with get_client(sync_client=True) as client:
        deployment = client.read_deployment_by_name("cognition-warm-cache/ahead")
        wanted = DeploymentFilter(id=DeploymentFilterId(any_=[deployment.id]))
        while not (runs := client.read_flow_runs(deployment_filter=wanted)):
            time.sleep(0.1)
    assert {"AUTOMATION"} == {one.created_by.type for one in runs if one.created_by}
