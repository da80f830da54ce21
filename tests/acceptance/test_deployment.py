"""`prefect deploy --all` from the repository, as deployments/README.md tells."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from prefect import get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.settings import PREFECT_API_URL

ROOT = Path(__file__).parents[2]


def test_deployments_run_from_the_wheel() -> None:
    """A deployment names a module and no folder, so that any worker with the wheel can run it."""
    with get_client(sync_client=True) as client:
        client.create_work_pool(WorkPoolCreate(name="here", type="process"), overwrite=True)
        environment = os.environ | {"COGNITION_WORK_POOL": "here", "PREFECT_API_URL": str(PREFECT_API_URL.value())}
        command = [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all"]
        done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
        assert 0 == done.returncode, done.stdout + done.stderr
        deployment = client.read_deployment_by_name("cognition-demo/demo")

    assert ("cognition_flows.demo.flow.describe", []) == (deployment.entrypoint, deployment.pull_steps or [])
