"""What `cognition deploy` and `cognition serve` do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import prefect
from prefect import get_client
from prefect.exceptions import ObjectNotFound

from cognition.errors import ConfigurationError
from cognition_flows.deployments import DEPLOYMENTS, Scheduled, runner_deployment
from cognition_flows.periods import zone_of


@dataclass(frozen=True, slots=True)
class Deployed:
    """What was deployed.

    Attributes:
        name: Flow and deployment, as Prefect names it.
        cron: When it runs.
        active: Whether it does so already.
    """

    name: str
    cron: str
    active: bool


def deploy(pool: str | None, timezone: str, job_variables: Mapping[str, Any]) -> list[Deployed]:
    """Deploy all flows to a work pool; those that are there are brought to this version.

    Args:
        pool: Name of the work pool.
        timezone: Whose midnights count.
        job_variables: What the runs of these deployments are started with, such as `image`.

    Raises:
        ConfigurationError: There is no such pool or time zone.
    """
    if not pool:
        raise ConfigurationError("Name the work pool with --pool or COGNITION_WORK_POOL; 'cognition serve' needs none.")
    zone_of(timezone)
    with get_client(sync_client=True) as client:
        try:
            client.read_work_pool(pool)
        except ObjectNotFound:
            raise ConfigurationError(
                f"There is no work pool {pool!r}; create it with: prefect work-pool create {pool} --type process."
            ) from None
    for scheduled in DEPLOYMENTS:
        runner_deployment(scheduled, timezone, work_pool_name=pool, job_variables=dict(job_variables)).apply()
    return [_told(scheduled) for scheduled in DEPLOYMENTS]


def serve(timezone: str) -> None:
    """Run all flows on their schedules in this process, without a work pool, until it is stopped.

    Args:
        timezone: Whose midnights count.

    Raises:
        ConfigurationError: There is no such time zone.
    """
    zone_of(timezone)
    # Two at a time: a report does not wait for a long upkeep.
    prefect.serve(*(runner_deployment(scheduled, timezone) for scheduled in DEPLOYMENTS), limit=2)


def _told(scheduled: Scheduled) -> Deployed:
    return Deployed(f"{scheduled.flow.name}/{scheduled.name}", scheduled.cron, scheduled.active)
