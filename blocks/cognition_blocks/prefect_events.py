"""What happens in an engine as Prefect events: breakers that change, answers declared wrong.

Blocks add `tell_prefect` to their engines; `COGNITION_PREFECT_EVENTS=false` keeps them from it. Prefect's client sends
events in the background, so that no call waits for them, and adds the run that an event happened in, with its
deployment. They hold names and figures, never a prompt or an answer.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from prefect.events import emit_event
from prefect.settings import PREFECT_API_URL

from cognition import Cognition, Settings
from cognition.domain.breaker import BreakerState
from cognition.domain.breaker_standing import Transition
from cognition.events import BadHitReported, BreakerChanged, Event, Invalidated
from cognition.runtime import engine_for

INVALIDATED = "cognition.cache.invalidated"
BAD_HIT = "cognition.cache.bad_hit"
BREAKER: Mapping[BreakerState, str] = {
    BreakerState.OPEN: "cognition.breaker.opened",
    BreakerState.HALF_OPEN: "cognition.breaker.half_open",
    BreakerState.CLOSED: "cognition.breaker.closed",
    BreakerState.FORCED_OPEN: "cognition.breaker.forced",
    BreakerState.DISABLED: "cognition.breaker.forced",
    BreakerState.METRICS_ONLY: "cognition.breaker.forced",
}

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Told:
    """One event.

    Attributes:
        name: What happened.
        resource: To what.
        payload: The figures.
    """

    name: str
    resource: Mapping[str, str]
    payload: Mapping[str, Any]


def engine_of_block(settings: Settings) -> Cognition:
    """Return the engine of this process for some settings, which tells Prefect what happens unless they forbid it."""
    engine = engine_for(settings)
    if settings.prefect_events:
        engine.observers.add(tell_prefect)
    return engine


def tell_prefect(event: Event) -> None:
    """Emit an event of the engine as an event of Prefect, if it is one that people or automations wait for.

    Where no server is set there is nobody to tell; Prefect would start a server for it.
    """
    told = _told(event)
    if told is None or not PREFECT_API_URL.value():
        return
    try:
        emit_event(told.name, resource=dict(told.resource), payload=dict(told.payload))
    except Exception as error:  # noqa: BLE001  whatever is wrong with Prefect's client, the call goes on
        _log.warning("The event %s was not sent: %s", told.name, type(error).__name__)


def _told(event: Event) -> Told | None:
    match event:
        case BreakerChanged():
            return _of_breaker(event.transition, shared=event.shared)
        case Invalidated():
            payload = {"tenant": event.tenant, "namespace": event.namespace, "dropped": _counts(event)}
            return Told(INVALIDATED, _cache(event.tenant, event.namespace), payload)
        case BadHitReported():
            payload = {
                "tenant": event.tenant,
                "namespace": event.namespace,
                "request_id": event.request_id,
                "layer": event.layer.value,
                "similar": event.similar,
                "dropped": _counts(event),
            }
            return Told(BAD_HIT, _cache(event.tenant, event.namespace), payload)
        case _:
            return None


def _of_breaker(transition: Transition, *, shared: bool) -> Told:
    key = transition.key
    resource = {
        "prefect.resource.id": f"cognition.breaker.{key}",
        "prefect.resource.name": f"circuit breaker of {key.provider}:{key.model}",
        "cognition.breaker.provider": key.provider,
        "cognition.breaker.model": key.model,
        "cognition.breaker.credential-scope": key.credential_scope,
    }
    payload = {
        "from": transition.from_state.value,
        "to": transition.to_state.value,
        "cause": transition.cause,
        "reason": transition.reason,
        "actor": transition.actor,
        "worker": transition.worker,
        "consecutive_failures": transition.consecutive_failures,
        "generation": transition.generation,
        "at": transition.at.isoformat(),
        "open_until": None if transition.open_until is None else transition.open_until.isoformat(),
        "shared": shared,
    }
    return Told(BREAKER[transition.to_state], resource, payload)


def _cache(tenant: str, namespace: str | None) -> dict[str, str]:
    """Return the cache of a tenant, or one namespace of it, as a resource."""
    whole = {"prefect.resource.id": f"cognition.cache.{tenant}", "cognition.cache.tenant": tenant}
    if namespace is None:
        return {**whole, "prefect.resource.name": f"LLM cache of {tenant}"}
    return {
        "prefect.resource.id": f"cognition.cache.{tenant}.{namespace}",
        "prefect.resource.name": f"LLM cache of {tenant}, namespace {namespace}",
        "cognition.cache.tenant": tenant,
        "cognition.cache.namespace": namespace,
    }


def _counts(event: Invalidated | BadHitReported) -> dict[str, int]:
    return {layer.value: count for layer, count in event.dropped}
