"""Which flows run when: the table behind `cognition deploy`, `cognition serve` and `prefect.yaml`, which says the same.

The demo is in `prefect.yaml` alone: it is run by hand.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Final, cast

from prefect import Flow
from prefect.client.schemas.objects import ConcurrencyLimitConfig, ConcurrencyLimitStrategy
from prefect.deployments.runner import RunnerDeployment
from prefect.schedules import Cron
from prefect.types.entrypoint import EntrypointType

TAGS: Final = ("cognition", "maintenance")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scheduled:
    """One deployment.

    Attributes:
        name: After the slash: what tells the deployments of one flow apart.
        entrypoint: Module and function; the wheel on the worker is all that it takes.
        description: What it does, for the UI.
        cron: When.
        slug: Keeps the schedule the same through deployments.
        active: Whether it runs before somebody switches it on.
        parameters: What the flow is told.
        has_timezone: Whether the flow is told the schedule's time zone as well.
    """

    name: str
    entrypoint: str
    description: str
    cron: str
    slug: str
    active: bool = True
    parameters: Mapping[str, Any] = field(default_factory=dict[str, Any])
    has_timezone: bool = False

    def parameters_in(self, timezone: str) -> dict[str, Any]:
        """Return what the flow is told where days begin at a time zone's midnight."""
        return {**self.parameters, **({"timezone": timezone} if self.has_timezone else {})}

    @property
    def flow(self) -> Flow[..., Any]:
        """The flow."""
        module, _, function = self.entrypoint.rpartition(".")
        return getattr(import_module(module), function)


DEPLOYMENTS: Final = (
    Scheduled(
        name="hourly",
        entrypoint="cognition_flows.budgets.reset_budgets",
        description="Closes budget periods that are over and shows how every budget stands; spending depends on none.",
        cron="2 * * * *",
        slug="hourly",
        has_timezone=True,
    ),
    Scheduled(
        name="often",
        entrypoint="cognition_flows.budgets.deliver_alerts",
        description="Makes Prefect events of budget alerts, for automations that tell people or pause deployments.",
        cron="*/2 * * * *",
        slug="often",
    ),
    Scheduled(
        name="hourly",
        entrypoint="cognition_flows.upkeep.maintain_store",
        description="Deletes expired answers, old questions and old changes of breakers; advises about the tables.",
        cron="17 * * * *",
        slug="hourly",
    ),
    Scheduled(
        name="daily",
        entrypoint="cognition_flows.reports.report_hit_rate",
        description="How well the LLM cache served in 24 hours, compared with the 24 before.",
        cron="10 6 * * *",
        slug="daily",
    ),
    Scheduled(
        name="daily",
        entrypoint="cognition_flows.reports.report_costs",
        description="Who pays for yesterday's LLM calls; each table adds up to the ledger.",
        cron="5 6 * * *",
        slug="daily",
        parameters={"period": "day"},
        has_timezone=True,
    ),
    Scheduled(
        name="monthly",
        entrypoint="cognition_flows.reports.report_costs",
        description="Who pays for last month's LLM calls; each table adds up to the ledger.",
        cron="30 6 1 * *",
        slug="monthly",
        parameters={"period": "month"},
        has_timezone=True,
    ),
    Scheduled(
        name="ahead",
        entrypoint="cognition_flows.warming.warm_cache",
        description="Asks anew for frequent requests before they expire. It spends money, so switch its schedule on.",
        cron="*/15 * * * *",
        slug="ahead",
        active=False,
    ),
)


def runner_deployment(scheduled: Scheduled, timezone: str, **more: Any) -> RunnerDeployment:
    """Return a deployment as Prefect makes it.

    Args:
        scheduled: Which.
        timezone: Of its schedule.
        **more: For `Flow.to_deployment`, such as `work_pool_name`.
    """
    made = scheduled.flow.to_deployment(
        scheduled.name,
        description=scheduled.description,
        schedule=Cron(scheduled.cron, timezone=timezone, active=scheduled.active, slug=scheduled.slug),
        parameters=scheduled.parameters_in(timezone),
        tags=list(TAGS),
        # A run that is still busy does the work of the next one too.
        concurrency_limit=ConcurrencyLimitConfig(limit=1, collision_strategy=ConcurrencyLimitStrategy.CANCEL_NEW),
        entrypoint_type=EntrypointType.MODULE_PATH,
        **more,
    )
    # Only inside a running loop it would be a coroutine.
    return cast("RunnerDeployment", made)
