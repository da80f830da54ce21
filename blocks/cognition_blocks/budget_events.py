"""Alerts of budgets as Prefect events, so that an automation can notify somebody or pause a deployment.

They are sent with `engine.budgets.deliver(emit_alert)`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextvars import ContextVar, copy_context
from functools import partial
from typing import Any, cast
from uuid import UUID, uuid5

from prefect import get_client
from prefect.client.schemas.filters import FlowFilter, FlowFilterName
from prefect.context import FlowRunContext, TaskRunContext
from prefect.events import emit_event
from prefect.events.schemas.events import Event

from cognition.domain.budget_alert import Alert
from cognition.domain.pricing import dollars
from cognition.errors import ConfigurationError

SOFT_LIMIT = "cognition.budget.soft_limit"
EXCEEDED = "cognition.budget.exceeded"

_ADVICE = "set PREFECT_API_URL to a server that runs."

_log = logging.getLogger(__name__)

# An event may name 100 resources.
_MOST_DEPLOYMENTS = 50

Resource = dict[str, str]


def emit_alert(alert: Alert) -> None:
    """Emit an alert as an event; the same alert is the same event, however often it is emitted.

    Its resource is `cognition.budget.<id>`. Related are the flow run whose budget it is and its deployment, or the
    deployments of the workflow whose budget it is, so that the action *pause deployment* knows which. That action takes
    the first one, so that a limit which is reached is told once for each deployment, with that one first.

    Raises:
        ConfigurationError: Prefect takes no events here now, so that the alert must be delivered later or elsewhere.
    """
    _require_server()
    for identifier, related in _tellings(alert, _related(alert)):
        emitted = _outside_runs(partial(_emit, alert, identifier, related))
        if emitted is None:
            raise ConfigurationError(f"Prefect takes no events here; {_ADVICE}")


def _emit(alert: Alert, identifier: UUID, related: list[Resource]) -> Event | None:
    return emit_event(
        EXCEEDED if alert.exceeded else SOFT_LIMIT,
        resource={
            "prefect.resource.id": f"cognition.budget.{alert.budget_id}",
            "prefect.resource.name": alert.name,
            "cognition.budget.scope": alert.scope,
            "cognition.budget.subject": alert.subject,
            "cognition.budget.period": alert.period,
        },
        related=related,
        payload=_payload(alert),
        occurred=alert.created_at,
        id=identifier,
    )


def _tellings(alert: Alert, related: list[Resource]) -> list[tuple[UUID, list[Resource]]]:
    """Return under which ids an alert is told, and with which resources; the first id is the alert's own."""
    deployments = [one for one in related if one["prefect.resource.role"] == "deployment"]
    tellings = [(alert.alert_id, related)]
    if alert.exceeded:
        for one in deployments[1:]:
            others = [other for other in related if other is not one]
            tellings.append((uuid5(alert.alert_id, one["prefect.resource.id"]), [one, *others]))
    return tellings


def _outside_runs(emit: Callable[[], Event | None]) -> Event | None:
    """Emit as if outside any run.

    Prefect adds to an event the run that emits it and its deployment. That run only delivers; an automation that pauses
    the deployment of an event without another one would pause the delivery of alerts.
    """

    def leave_and_emit() -> Event | None:
        for run in cast("tuple[ContextVar[Any], ...]", (FlowRunContext.__var__, TaskRunContext.__var__)):
            run.set(None)
        return emit()

    return copy_context().run(leave_and_emit)


def _require_server() -> None:
    """Return when Prefect's server answers: events are sent in the background, where nobody hears that they got lost.

    Raises:
        ConfigurationError: It does not.
    """
    with get_client(sync_client=True) as client:
        error = client.api_healthcheck()
    if error is not None:
        raise ConfigurationError(f"Prefect's server does not answer ({type(error).__name__}); {_ADVICE}")


def _payload(alert: Alert) -> dict[str, str]:
    """Return the figures; money as text, because JSON knows no decimals, and once more as people read it."""
    return {
        "alert_id": str(alert.alert_id),
        "threshold": str(alert.threshold),
        "limit_usd": str(alert.limit_usd),
        "used_usd": str(alert.used_usd),
        "reserved_usd": str(alert.reserved_usd),
        "limit": dollars(alert.limit_usd),
        "used": dollars(alert.used_usd),
        "period_start": alert.period_start.isoformat(),
    }


def _related(alert: Alert) -> list[Resource]:
    """Return whose budget it is, as far as Prefect knows them."""
    try:
        match alert.scope:
            case "flow_run":
                return _run_and_deployment(UUID(alert.subject))
            case "workflow":
                return _deployments_of(alert.subject)
            case _:
                return []
    except Exception as error:  # noqa: BLE001 - whatever is wrong with a name or with Prefect's server, the alert goes out
        _log.warning("What alert %s is related to stays unknown: %s", alert.alert_id, type(error).__name__)
        return []


def _run_and_deployment(flow_run_id: UUID) -> list[Resource]:
    with get_client(sync_client=True) as client:
        run = client.read_flow_run(flow_run_id)
    named = _resource("flow-run", flow_run_id, run.name)
    return [named] if run.deployment_id is None else [named, _resource("deployment", run.deployment_id)]


def _deployments_of(flow_name: str) -> list[Resource]:
    wanted = FlowFilter(name=FlowFilterName(any_=[flow_name]))
    with get_client(sync_client=True) as client:
        found: Sequence[tuple[UUID, str]] = [
            (one.id, one.name) for one in client.read_deployments(flow_filter=wanted, limit=_MOST_DEPLOYMENTS)
        ]
    return [_resource("deployment", deployment_id, name) for deployment_id, name in found]


def _resource(role: str, identifier: UUID, name: str | None = None) -> Resource:
    resource = {"prefect.resource.id": f"prefect.{role}.{identifier}", "prefect.resource.role": role}
    return resource if name is None else {**resource, "prefect.resource.name": name}
