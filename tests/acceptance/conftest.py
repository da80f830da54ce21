"""A Prefect server for the session, and for each test an LLM block on empty stores and a fake provider."""

from __future__ import annotations

from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from prefect import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId, ArtifactFilterKey
from prefect.settings import (
    PREFECT_FLOWS_HEARTBEAT_FREQUENCY,
    PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW,
    PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_ENABLED,
    temporary_settings,
)
from prefect.testing.utilities import prefect_test_harness
from pydantic import SecretStr

from cognition.runtime import open_engines
from cognition.testing import FakeOpenAI
from cognition_blocks import CachedLLM, CognitionStore
from cognition_blocks.run_summary import ARTIFACT_KEY
from tests.prefect_server import prefect_server as started_server

API_KEY = "sk-acceptance-5f1d0c77"


@pytest.fixture(scope="session", autouse=True)
def prefect_server() -> Generator[None]:
    """One Prefect server on SQLite for the session.

    Without the heartbeat a flow run ends a second sooner; without the recorder the server spends a tenth of the time on
    each task run, whose records these tests do not read.
    """
    settings: dict[Any, Any] = {
        PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None,
        PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW: "ignore",
        PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_ENABLED: False,
    }
    with temporary_settings(settings), prefect_test_harness(server_startup_timeout=180):
        yield


@pytest.fixture(scope="session")
def real_server(tmp_path_factory: pytest.TempPathFactory) -> Generator[str]:
    """Return the address of a `prefect server start`, with its UI and with our blocks registered by itself."""
    with started_server(tmp_path_factory.mktemp("server")) as address:
        yield address


@pytest.fixture
def provider() -> Generator[FakeOpenAI]:
    """Return an OpenAI-compatible server that accepts one key."""
    with FakeOpenAI(api_key=API_KEY) as fake:
        yield fake


@pytest.fixture
def store(database_url: str, redis_url: str) -> Generator[CognitionStore]:
    """Return a block on an empty database and an empty Redis; engines on it are closed before those go."""
    yield CognitionStore(database_url=SecretStr(database_url), redis_url=SecretStr(redis_url))
    for engine in open_engines():
        engine.close()


@pytest.fixture
def llm(provider: FakeOpenAI, store: CognitionStore) -> CachedLLM:
    """Return a model of a known price at the fake provider, whose answers are kept in the store."""
    return CachedLLM(
        model_name="openai-chat:gpt-5-mini", api_key=SecretStr(API_KEY), base_url=provider.base_url, store=store
    )


@pytest.fixture
def summaries() -> Callable[[str], list[str]]:
    """Return a function that reads the run summaries of a flow run."""

    def read(flow_run_id: str) -> list[str]:
        with get_client(sync_client=True) as client:
            of_run = ArtifactFilterFlowRunId(any_=[UUID(flow_run_id)])
            wanted = ArtifactFilter(flow_run_id=of_run, key=ArtifactFilterKey(any_=[ARTIFACT_KEY]))
            return [str(artifact.data) for artifact in client.read_artifacts(artifact_filter=wanted)]

    return read


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let Prefect leave sockets to the garbage collector, as it does after async flows."""
    here = Path(__file__).parent
    sockets = "ignore:Exception ignored in. <socket.socket:pytest.PytestUnraisableExceptionWarning"
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(pytest.mark.filterwarnings(sockets))
