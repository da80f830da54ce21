"""The examples of job variables say only what their pool's own template knows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect.workers.process import ProcessJobConfiguration

from cognition.settings import unknown_variables

WORKERS = Path(__file__).parents[2] / "deployments" / "workers"


@pytest.mark.parametrize("kind", ["process", "docker", "kubernetes"])
def test_variables_are_those_that_the_engine_reads(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A misspelt one would be read by nobody."""
    content: dict[str, Any] = yaml.safe_load((WORKERS / f"{kind}.yaml").read_text(encoding="utf-8"))
    for name, value in {**content["env"], "COGNITION_WORK_POOL": "here"}.items():
        monkeypatch.setenv(name, value)
    assert [] == list(unknown_variables())
    assert "COGNITION_MODEL" in content["env"]


def test_a_process_pool_knows_its_variables() -> None:
    """Prefect ignores one that it does not know, and says nothing."""
    content: dict[str, Any] = yaml.safe_load((WORKERS / "process.yaml").read_text(encoding="utf-8"))
    assert content.keys() <= ProcessJobConfiguration.model_fields.keys()
