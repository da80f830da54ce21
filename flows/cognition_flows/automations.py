"""The automations that `cognition deploy --automations` sets up: what follows from an event without a person.

They are found by their names, so that deploying again changes what is there and doubles none. One that somebody
switched off stays off.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.events.actions import ActionTypes, PauseDeployment, RunDeployment, SendNotification
from prefect.events.schemas.automations import AutomationCore, EventTrigger
from prefect.exceptions import ObjectNotFound

from cognition.errors import ConfigurationError
from cognition_blocks.budget_events import EXCEEDED, SOFT_LIMIT
from cognition_blocks.prefect_events import INVALIDATED

PAUSE: Final = "cognition: pause what has spent its budget"
NOTIFY: Final = "cognition: tell people of a budget near its limit"
WARM: Final = "cognition: warm the cache after an invalidation"

_WARMING: Final = "cognition-warm-cache/ahead"
_SUBJECT: Final = "LLM budget near its limit: {{ event.resource.name }}"
_BODY: Final = """The {{ event.resource.name }} has spent {{ event.payload.used }} of {{ event.payload.limit }}
in the period since {{ event.payload.period_start }}.
"""


@dataclass(frozen=True, slots=True)
class Automated:
    """What became of one automation.

    Attributes:
        name: Which.
        done: What it does, or why it was not set up.
        set_up: Whether it is on the server.
    """

    name: str
    done: str
    set_up: bool = True


def set_up_automations(notify: str | None) -> list[Automated]:
    """Create the automations, or bring those that are there to this version.

    Args:
        notify: A notification block, as `slack-webhook/ops`; None sends no notifications.

    Raises:
        ConfigurationError: There is no such block, or the flows are not deployed.
    """
    with get_client(sync_client=True) as client:
        pausing = PauseDeployment(source="inferred", deployment_id=None)
        told = [
            _put(client, _automation(PAUSE, EXCEEDED, pausing, "pauses the deployment")),
            _put(client, _automation(WARM, INVALIDATED, _run_warming(client), "runs warm_cache")),
        ]
        if notify is None:
            return [*told, Automated(NOTIFY, "left out, for no block is named with --notify", set_up=False)]
        sending = SendNotification(block_document_id=_block(client, notify), subject=_SUBJECT, body=_BODY)
        return [*told, _put(client, _automation(NOTIFY, SOFT_LIMIT, sending, f"sends to {notify}"))]


def _automation(name: str, event: str, action: ActionTypes, done: str) -> AutomationCore:
    return AutomationCore(
        name=name,
        description=f"On {event}: {done}. Set up by 'cognition deploy --automations'.",
        enabled=True,
        # Each budget and each namespace for itself: what happens to two at once are two things.
        trigger=EventTrigger(expect={event}, for_each={"prefect.resource.id"}, match_related=_related_to(action)),
        actions=[action],
    )


def _related_to(action: ActionTypes) -> dict[str, str | list[str]]:
    """Return what an event must be related to, so that the action finds what it acts on."""
    is_inferred = isinstance(action, PauseDeployment)
    return {"prefect.resource.id": "prefect.deployment.*", "prefect.resource.role": "deployment"} if is_inferred else {}


def _put(client: SyncPrefectClient, wanted: AutomationCore) -> Automated:
    # When Prefect changes one it sends only what was given: a type that was not given would be lost, and an owner that
    # was given, even none, is refused.
    wanted = AutomationCore.model_validate(wanted.model_dump(exclude={"owner_resource"}))
    present = client.read_automations_by_name(wanted.name)
    if present:
        wanted.enabled = present[0].enabled
        client.update_automation(present[0].id, wanted)
    else:
        client.create_automation(wanted)
    return Automated(wanted.name, wanted.description.partition(". ")[0])


def _run_warming(client: SyncPrefectClient) -> RunDeployment:
    try:
        deployment = client.read_deployment_by_name(_WARMING)
    except ObjectNotFound:
        raise ConfigurationError(f"There is no deployment {_WARMING!r}; deploy the flows first.") from None
    return RunDeployment(source="selected", deployment_id=deployment.id, parameters=None, job_variables=None)


def _block(client: SyncPrefectClient, name: str) -> UUID:
    slug, slash, document = name.partition("/")
    if not slash:
        raise ConfigurationError(f"{name!r} names no block; write its type too, such as slack-webhook/ops.")
    try:
        return client.read_block_document_by_name(document, slug).id
    except ObjectNotFound:
        raise ConfigurationError(
            f"There is no block {name!r}; create it under Blocks in Prefect's UI, or name another with --notify."
        ) from None
