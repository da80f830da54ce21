"""A budget is set by its block, and its alerts become Prefect events that name what an automation acts on."""

from __future__ import annotations

import time
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa
from prefect import flow, get_client
from prefect.events.filters import EventFilter, EventIDFilter
from prefect.events.schemas.events import Event
from prefect.settings import PREFECT_API_URL, temporary_settings

from cognition import Attribution
from cognition.domain.budget_alert import Alert
from cognition.errors import ConfigurationError
from cognition.runtime import engine_for
from cognition_blocks import CognitionStore, LLMBudget, emit_alert
from tests.acceptance.spending import spend
from tests.acceptance.told import told


def event_of(alert: Alert) -> Event:
    """Return the event of an alert, once the server has it; pytest's own limit bounds the wait."""
    wanted = EventFilter(id=EventIDFilter(id=[alert.alert_id]))
    while True:
        with get_client(sync_client=True) as client:
            events = client.read_events(filter=wanted, limit=1).events
        if events:
            (event,) = events
            return event
        time.sleep(0.1)


def related(event: Event) -> set[tuple[str, str]]:
    """Return what an event is related to."""
    return {(one.role, one.id) for one in event.related}


@pytest.fixture
def deployed() -> tuple[str, UUID, UUID]:
    """Return the name of a flow, its deployment, and a run of that."""
    name = f"nightly-{uuid4().hex[:8]}"
    with get_client(sync_client=True) as client:
        flow_id = client.create_flow_from_name(name)
        deployment_id = client.create_deployment(flow_id, "prod")
        return name, deployment_id, client.create_flow_run_from_deployment(deployment_id).id


def test_alerts_become_events(store: CognitionStore, engine: sa.Engine, deployed: tuple[str, UUID, UUID]) -> None:
    """With the figures as text, and with the deployment that could be paused; each alert once."""
    workflow, deployment_id, run_id = deployed
    cap = LLMBudget(scope="flow_run", limit_usd="0.50", period="lifetime", store=store).apply()
    daily = LLMBudget(scope="workflow", subject=workflow, limit_usd="0.45", store=store).apply()
    spend(engine, "0.45", Attribution(workflow=workflow, flow_run_id=str(run_id)))
    budgets = engine_for(store.to_settings()).budgets

    assert (3, 0) == ((done := budgets.deliver(emit_alert)).delivered, done.failed)
    assert 0 == budgets.deliver(emit_alert).delivered

    alerts = {(one.scope, one.exceeded): one for one in budgets.alerts()}
    of_run = event_of(alerts["flow_run", False])
    assert ("cognition.budget.soft_limit", f"cognition.budget.{cap}") == (of_run.event, of_run.resource.id)
    pausable = ("deployment", f"prefect.deployment.{deployment_id}")
    assert {("flow-run", f"prefect.flow-run.{run_id}"), pausable} == related(of_run)
    exceeded = event_of(alerts["workflow", True])
    assert ("cognition.budget.exceeded", f"cognition.budget.{daily}") == (exceeded.event, exceeded.resource.id)
    assert {pausable} == related(exceeded)
    assert f"daily budget of workflow {workflow}" == exceeded.resource["prefect.resource.name"]
    assert ("0.450000000", "0.450000000", "1.0000") == tuple(
        exceeded.payload[name] for name in ("limit_usd", "used_usd", "threshold")
    )
    assert alerts["workflow", True].created_at == exceeded.occurred


def test_each_deployment_of_a_workflow_can_be_paused(
    store: CognitionStore, engine: sa.Engine, deployed: tuple[str, UUID, UUID]
) -> None:
    """The action takes the first one of an event, so that each has an event; the run that delivers is left out."""
    workflow, first, _ = deployed
    with get_client(sync_client=True) as client:
        second = client.create_deployment(client.create_flow_from_name(workflow), "staging")
    LLMBudget(scope="workflow", subject=workflow, limit_usd="0.45", store=store).apply()
    spend(engine, "0.45", Attribution(workflow=workflow))
    budgets = engine_for(store.to_settings()).budgets

    assert 2 == flow(name="delivering")(lambda: budgets.deliver(emit_alert).delivered)()

    budget_id = f"cognition.budget.{budgets.alerts()[0].budget_id}"
    events = told("cognition.budget.exceeded", budget_id, 2)
    assert {f"prefect.deployment.{one}" for one in (first, second)} == {event.related[0].id for event in events}
    assert [{"deployment"}] * 2 == [{role for role, _ in related(event)} for event in events]


def test_what_prefect_does_not_know_is_left_out(store: CognitionStore, engine: sa.Engine) -> None:
    """The alert goes out all the same: of a run that is none, of a user, of a workflow without a deployment."""
    LLMBudget(scope="flow_run", limit_usd="0.50", period="lifetime", store=store).apply()
    LLMBudget(scope="user", limit_usd="0.50", store=store).apply()
    LLMBudget(scope="workflow", limit_usd="0.50", store=store).apply()
    for run in ("no-uuid", str(uuid4())):
        spend(engine, "0.45", Attribution(workflow=f"w-{run}", user=f"u-{run}", flow_run_id=run))
    budgets = engine_for(store.to_settings()).budgets
    assert (6, 0) == ((done := budgets.deliver(emit_alert)).delivered, done.failed)
    assert [set[tuple[str, str]]()] * 6 == [related(event_of(alert)) for alert in budgets.alerts()]


def test_an_alert_that_prefect_does_not_take_waits(store: CognitionStore, engine: sa.Engine) -> None:
    """Without a server there is nobody to tell; it is told later."""
    LLMBudget(scope="user", limit_usd="0.50", store=store).apply()
    spend(engine, "0.45", Attribution(user="alice"))
    budgets = engine_for(store.to_settings()).budgets
    (alert,) = budgets.alerts()
    with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api"}):
        with pytest.raises(ConfigurationError, match=r"does not answer .*; set PREFECT_API_URL"):
            emit_alert(alert)
        assert (0, 1) == ((done := budgets.deliver(emit_alert)).delivered, done.failed)
    (waiting,) = budgets.alerts()
    assert (1, None) == (waiting.deliveries, waiting.delivered_at)
