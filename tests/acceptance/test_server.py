"""A real Prefect server and a worker: what the test harness does not run, such as the scheduler.

The server offers our blocks by itself once the package is installed beside it.
"""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Generator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import cast
from uuid import UUID

import pytest
import sqlalchemy as sa
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterFlowRunId,
    DeploymentFilter,
    DeploymentFilterId,
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import StateType
from prefect.deployments.runner import RunnerDeployment
from prefect.settings import PREFECT_API_URL, temporary_settings

from cognition import Attribution
from cognition.runtime import engine_for
from cognition_blocks import CognitionStore, LLMBudget
from cognition_flows.automations import PAUSE, WARM, set_up_automations
from cognition_flows.budgets import BUDGETS_KEY, reset_budgets
from cognition_flows.deployments import DEPLOYMENTS
from tests.acceptance.spending import spend
from tests.older_budgets import grow_old
from tests.prefect_server import environment_of, prefect_server

SLOW, QUICK, WHEEL = "without-a-worker", "with-a-worker", "with-the-wheel"
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Generator[str]:
    """Start a real server, and return the address of its API."""
    with prefect_server(tmp_path_factory.mktemp("server")) as address:
        yield f"{address}/api"


@pytest.mark.slow
def test_our_blocks_are_in_the_catalogue(server: str) -> None:
    """No command, no save: the server has registered all types with their schemas when it answers."""
    for slug in ("cached-llm", "cognition-store", "llm-budget"):
        block_type = answer_of(f"{server}/block_types/slug/{slug}")
        assert block_type["description"]
        assert "BLOCK_NAME" in str(block_type["code_example"])
        schemas = answer_of(
            f"{server}/block_schemas/filter", {"block_schemas": {"block_type_id": {"any_": [block_type["id"]]}}}
        )
        assert 1 == len(schemas)


@pytest.fixture
def client(server: str) -> Generator[SyncPrefectClient]:
    """Return a client of that server, which this process means from now on too."""
    with temporary_settings({PREFECT_API_URL: server}), get_client(sync_client=True) as client:
        yield client


@pytest.fixture
def stores(database_url: str, redis_url: str) -> dict[str, str]:
    """Return the variables that name the stores of this test."""
    return {"COGNITION_DATABASE_URL": database_url, "COGNITION_REDIS_URL": redis_url}


@contextmanager
def worker_of(pool: str, environment: dict[str, str], folder: Path, python: str = sys.executable) -> Generator[None]:
    """Run a worker in a folder, with two places, which looks for work every second."""
    command = [python, "-m", "prefect", "worker", "start", "--pool", pool, "--limit", "2"]
    environment |= {"PREFECT_WORKER_QUERY_SECONDS": "1"}
    with (folder / "worker.log").open("wb") as log:
        # A group of its own, for the runs that it has started when it is stopped.
        process = subprocess.Popen(command, env=environment, cwd=folder, stdout=log, stderr=log, start_new_session=True)
    try:
        yield
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(timeout=30)


@pytest.fixture
def worker(server: str, client: SyncPrefectClient, stores: dict[str, str], tmp_path: Path) -> Generator[None]:
    """Start a worker in a folder of its own, with the stores in its environment."""
    client.create_work_pool(WorkPoolCreate(name=QUICK, type="process"), overwrite=True)
    with worker_of(QUICK, environment_of(tmp_path) | stores | {"PREFECT_API_URL": server}, tmp_path):
        yield


@pytest.fixture(scope="module")
def deployed(server: str, tmp_path_factory: pytest.TempPathFactory) -> list[dict[UUID, int]]:
    """Deploy all twice, and the automations; return the deployments of each time, and how many schedules they have."""
    seen: list[dict[UUID, int]] = []
    with temporary_settings({PREFECT_API_URL: server}), get_client(sync_client=True) as client:
        client.create_work_pool(WorkPoolCreate(name=SLOW, type="process"))
        for _ in range(2):
            deploy_all(server, tmp_path_factory.mktemp("deploying"))
            seen.append({one.id: len(one.schedules) for one in client.read_deployments()})
        set_up_automations(None)
    return seen


def deploy_all(server: str, folder: Path) -> None:
    """Run `prefect deploy --all` as a person does, without asking."""
    environment = environment_of(folder) | {"COGNITION_WORK_POOL": SLOW, "PREFECT_API_URL": server}
    command = [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all"]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
    assert 0 == done.returncode, done.stdout + done.stderr


@pytest.mark.slow
def test_what_is_deployed_twice_is_there_once_and_is_scheduled(
    client: SyncPrefectClient, deployed: list[dict[UUID, int]]
) -> None:
    """The same deployments with as many schedules; runs of the active ones appear without anybody's help."""
    first, second = deployed
    assert first == second
    active = {one.id for one in client.read_deployments() if any(schedule.active for schedule in one.schedules)}
    assert len([one for one in DEPLOYMENTS if one.active]) == len(active & first.keys())
    while not active <= {run.deployment_id for run in client.read_flow_runs() if run.auto_scheduled}:
        time.sleep(0.5)
    assert {PAUSE, WARM} <= {one.name for one in client.read_automations()}


@pytest.mark.slow
@pytest.mark.usefixtures("deployed", "worker")
def test_doubled_and_missed_runs_on_a_worker_change_nothing(
    client: SyncPrefectClient, store: CognitionStore, engine: sa.Engine
) -> None:
    """After two missed days two runs start at once; what may be spent stays. What is spent pauses its deployment."""
    flow_id = client.create_flow_from_name("nightly")
    prod = client.create_deployment(flow_id, "prod")
    LLMBudget(scope="user", subject="alice", limit_usd="1.00", store=store).apply()
    LLMBudget(scope="workflow", subject="nightly", limit_usd="0.90", period="lifetime", store=store).apply()
    spend(engine, "0.90", Attribution(user="alice", workflow="nightly"))
    grow_old(engine, timedelta(days=2))
    budgets = engine_for(store.to_settings()).budgets
    before = [(one.name, one.used_usd, one.remaining_usd) for one in budgets.status()]

    often = cast("RunnerDeployment", reset_budgets.to_deployment("often", interval=timedelta(seconds=3)))
    often.work_pool_name, often.entrypoint = QUICK, "cognition_flows.budgets.reset_budgets"
    mine = DeploymentFilter(id=DeploymentFilterId(any_=[cast("UUID", often.apply())]))
    done = FlowRunFilter(state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.COMPLETED])))
    while len(runs := client.read_flow_runs(deployment_filter=mine, flow_run_filter=done)) < 2:
        time.sleep(0.5)

    assert {True} == {run.auto_scheduled for run in runs}
    assert before == [(one.name, one.used_usd, one.remaining_usd) for one in budgets.status()]
    assert [] == budgets.close_periods()
    with engine.connect() as connection:
        closed = "SELECT count(*) FROM budget_periods WHERE closed_at IS NOT NULL AND used_usd = 0.9"
        assert 1 == connection.scalar(sa.text(closed))
    while not client.read_deployment(prod).paused:
        time.sleep(0.5)
    assert [prod] == [one.id for one in client.read_deployments() if one.paused]


@pytest.mark.slow
@pytest.mark.timeout(300)  # where it is the first, it waits for the server and for the wheel
def test_a_worker_needs_the_wheel_and_nothing_else(
    client: SyncPrefectClient, stores: dict[str, str], store: CognitionStore, wheel_python: Path, tmp_path: Path
) -> None:
    """Deployed from a folder without source, run by a worker in such a folder: a flow reads the store and reports."""
    client.create_work_pool(WorkPoolCreate(name=WHEEL, type="process"))
    LLMBudget(scope="user", subject="alice", limit_usd="1.00", store=store).apply()
    environment = environment_of(tmp_path) | stores | {"PREFECT_API_URL": str(client.api_url)}
    environment.pop("PYTHONPATH", None)
    (work := tmp_path / "work").mkdir()

    with worker_of(WHEEL, environment, work, str(wheel_python)):
        command = [wheel_python.with_name("cognition"), "deploy", "--pool", WHEEL]
        done = subprocess.run(command, cwd=work, env=environment, capture_output=True, text=True, check=False)
        assert 0 == done.returncode, done.stderr
        deployment = client.read_deployment_by_name("cognition-reset-budgets/hourly")
        run = client.create_flow_run_from_deployment(deployment.id)
        while not (state := client.read_flow_run(run.id).state) or not state.is_final():
            time.sleep(0.5)

    log = (work / "worker.log").read_text(encoding="utf-8")
    assert StateType.COMPLETED == state.type, log
    assert str(ROOT) not in log
    (page,) = client.read_artifacts(artifact_filter=ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[run.id])))
    assert BUDGETS_KEY == page.key
    assert "| daily budget of user alice | $1.00 |" in str(page.data)


def answer_of(url: str, body: object = None) -> dict[str, object]:
    """Return the JSON that the server answers."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, headers={"content-type": "application/json"})  # noqa: S310 - loopback
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - loopback
        return json.load(answer)
