"""`prefect deploy --all` from the repository and `cognition deploy` from the wheel, as deployments/README.md tells."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import typer
from prefect import get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.schedules import CronSchedule
from prefect.settings import PREFECT_API_URL
from typer.testing import CliRunner

from cognition.errors import ConfigurationError
from cognition_flows.commands import deploy as command
from cognition_flows.deploying import deploy
from cognition_flows.deployments import DEPLOYMENTS

ROOT = Path(__file__).parents[2]
POOL = "here"
DEMO = "cognition-demo/demo"
NAMES = {
    "cognition-reset-budgets/hourly",
    "cognition-deliver-alerts/often",
    "cognition-maintain-store/hourly",
    "cognition-report-hit-rate/daily",
    "cognition-report-costs/daily",
    "cognition-report-costs/monthly",
    "cognition-warm-cache/ahead",
}


@pytest.fixture(scope="module")
def pool() -> Generator[str]:
    """Return the name of a work pool."""
    with get_client(sync_client=True) as client:
        client.create_work_pool(WorkPoolCreate(name=POOL, type="process"), overwrite=True)
        yield POOL


@pytest.fixture(scope="module")
def from_yaml(pool: str) -> dict[str, dict[str, Any]]:
    """Return what is on the server after `prefect deploy --all`."""
    environment = os.environ | {"COGNITION_WORK_POOL": pool, "PREFECT_API_URL": str(PREFECT_API_URL.value())}
    commands = [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all"]
    done = subprocess.run(commands, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
    assert 0 == done.returncode, done.stdout + done.stderr
    return on_the_server()


def on_the_server() -> dict[str, dict[str, Any]]:
    """Return what the server knows of each deployment of ours, by its name."""
    with get_client(sync_client=True) as client:
        flows = {flow.id: flow.name for flow in client.read_flows()}
        found = [one for one in client.read_deployments() if flows[one.flow_id].startswith("cognition-")]
    return {
        f"{flows[one.flow_id]}/{one.name}": {
            "id": one.id,
            "description": one.description,
            "entrypoint": one.entrypoint,
            "pull_steps": one.pull_steps or [],
            "parameters": one.parameters,
            "tags": sorted(one.tags),
            "pool": one.work_pool_name,
            "limit": one.global_concurrency_limit and one.global_concurrency_limit.limit,
            "when_full": one.concurrency_options and one.concurrency_options.collision_strategy,
            "schedules": [
                (schedule.slug, schedule.active, schedule.schedule.cron, schedule.schedule.timezone)
                for schedule in one.schedules
                if isinstance(schedule.schedule, CronSchedule)
            ],
        }
        for one in found
    }


def test_deployments_run_from_the_wheel(from_yaml: dict[str, dict[str, Any]]) -> None:
    """A deployment names a module and no folder, so that any worker with the wheel can run it."""
    assert {*NAMES, DEMO} == from_yaml.keys()
    assert {(POOL, 1, "CANCEL_NEW")} == {(one["pool"], one["limit"], one["when_full"]) for one in from_yaml.values()}
    assert [[]] * len(from_yaml) == [one["pull_steps"] for one in from_yaml.values()]
    assert "cognition_flows.demo.flow.describe" == from_yaml[DEMO]["entrypoint"]


def test_the_wheel_deploys_the_same(from_yaml: dict[str, dict[str, Any]], pool: str) -> None:
    """Over what the file deployed, and again: each is brought to the same, none is doubled."""
    for _ in range(2):
        told = deploy(pool, "UTC", {})
        assert from_yaml == on_the_server()
        assert NAMES == {one.name for one in told}


def test_the_command_deploys_for_a_time_zone(pool: str) -> None:
    """Midnights there, a job's image, and the schedule that spends money is off."""
    app = typer.Typer()
    app.command()(command)
    arguments = ["--pool", pool, "--timezone", "Europe/Berlin", "--image", "registry/cognition:1"]
    done = CliRunner().invoke(app, [*arguments, "--json"])

    assert NAMES == {one["name"] for one in json.loads(done.stdout)}
    assert ["cognition-warm-cache/ahead"] == [one["name"] for one in json.loads(done.stdout) if not one["active"]]
    costs = on_the_server()["cognition-report-costs/daily"]
    assert ("Europe/Berlin", [("daily", True, "5 6 * * *", "Europe/Berlin")]) == (
        costs["parameters"]["timezone"],
        costs["schedules"],
    )
    with get_client(sync_client=True) as client:
        deployment = client.read_deployment(UUID(str(costs["id"])))
        assert {"image": "registry/cognition:1"} == deployment.job_variables
        deploy(pool, "UTC", {})
        assert "off until you switch it on" in CliRunner().invoke(app, ["--pool", pool]).stdout


@pytest.mark.parametrize("scheduled", DEPLOYMENTS, ids=lambda one: f"{one.entrypoint.rpartition('.')[2]}-{one.name}")
def test_parameters_are_those_of_the_flow(scheduled: Any) -> None:
    """Whatever the table says, the flow takes."""
    parameters = scheduled.parameters_in("Europe/Berlin")
    assert parameters.items() <= scheduled.flow.validate_parameters(parameters).items()


@pytest.mark.parametrize(
    ("name", "timezone", "words"),
    [
        (None, "UTC", "--pool or COGNITION_WORK_POOL"),
        ("", "UTC", "'cognition serve' needs none"),
        ("nowhere", "UTC", "prefect work-pool create nowhere"),
        (POOL, "Mars", "no time zone 'Mars'"),
    ],
)
def test_what_is_missing_is_said(pool: str, name: str | None, timezone: str, words: str) -> None:
    """In one sentence, before anything is deployed."""
    assert pool
    with pytest.raises(ConfigurationError, match=words):
        deploy(name, timezone, {})
