"""A provider that asks for a long wait: a deployed flow run gives its worker back and is started again in time."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from prefect import flow, get_client, task
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.objects import State
from prefect.deployments import run_deployment
from prefect.settings import PREFECT_API_URL
from prefect.types.entrypoint import EntrypointType

from cognition import CircuitOpen, ConfigurationError, RetryLater
from cognition.testing import FakeOpenAI, Fault
from cognition_blocks import CachedLLM, llm_task, reschedule_on_retry_later

FLOW = '''
"""A flow of a user."""

from prefect import flow

from cognition_blocks import llm_task, reschedule_on_retry_later


@llm_task(llm="patient")
def ask(topic: str) -> str:
    return f"What is {topic}?"


@flow
@reschedule_on_retry_later
def ask_later() -> str:
    return ask("a circuit breaker")
'''


@pytest.fixture
def worker(tmp_path: Path) -> Generator[subprocess.Popen[bytes]]:
    """Start a process worker, which finds the module of the user's flow."""
    (tmp_path / "a_users_flows.py").write_text(FLOW, encoding="utf-8")
    with get_client(sync_client=True) as client:
        client.create_work_pool(WorkPoolCreate(name="later", type="process"), overwrite=True)
    path = os.pathsep.join([str(tmp_path), *sys.path])
    environment = os.environ | {"PREFECT_API_URL": str(PREFECT_API_URL.value()), "PYTHONPATH": path}
    command = [sys.executable, "-m", "prefect", "worker", "start", "--pool", "later", "--type", "process"]
    with (tmp_path / "worker.log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    yield process
    # It runs nothing any more, and takes its time to end by itself.
    process.kill()
    process.wait(timeout=60)


def wait_for(flow_run_id: UUID, name: str, worker: subprocess.Popen[bytes]) -> State[Any]:
    """Return the state of a flow run once it has a name; pytest's own limit bounds the wait."""
    with get_client(sync_client=True) as client:
        while worker.poll() is None:
            state = client.read_flow_run(flow_run_id).state
            if state is not None and state.name == name:
                return state
            time.sleep(0.2)
    pytest.fail(f"The worker ended with code {worker.returncode}.")


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_deployed_flow_run_is_started_again_at_the_time(
    llm: CachedLLM,
    provider: FakeOpenAI,
    worker: subprocess.Popen[bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The first process ends while the run waits; a second one, when it is time, gets the answer."""
    # A wait beyond the deadline, because the limit that holds by default, 120 seconds, would make a long test.
    llm.model_copy(update={"deadline_seconds": 20.0}).save("patient", overwrite=True)
    provider.script(Fault(status=429, headers={"retry-after": "25"}))
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    module = importlib.import_module("a_users_flows")
    options: Any = {"work_pool_name": "later", "entrypoint_type": EntrypointType.MODULE_PATH, "_sync": True}
    module.ask_later.to_deployment("there", **options).apply(_sync=True)
    run: Any = run_deployment
    flow_run_id: UUID = run("ask-later/there", timeout=0, _sync=True).id

    waiting = wait_for(flow_run_id, "AwaitingRetry", worker)

    assert "may not be asked before" in str(waiting.message)
    assert 1 == provider.count
    wait_for(flow_run_id, "Completed", worker)
    first, second = provider.calls
    assert (second.at - first.at).total_seconds() >= 25


async def test_an_async_flow_is_understood_too(provider: FakeOpenAI, llm: CachedLLM) -> None:
    """Its error comes through the same door."""
    provider.default = Fault(status=429, headers={"retry-after": "300"})

    @flow
    @reschedule_on_retry_later
    async def once() -> str:
        return (await llm.acomplete("What is a circuit breaker?")).text

    with pytest.raises(RetryLater):
        await once()


def test_a_flow_run_without_a_deployment_fails_with_the_time(provider: FakeOpenAI, llm: CachedLLM) -> None:
    """Nobody would start it again: its caller learns when to."""
    provider.default = Fault(status=429, headers={"retry-after": "300"})

    @llm_task(llm=llm)
    def ask() -> str:
        return "What is a circuit breaker?"

    @flow
    @reschedule_on_retry_later
    def once() -> str:
        return ask()

    with pytest.raises(RetryLater):
        once()


def test_a_task_is_not_started_again_by_prefect_before_its_time(provider: FakeOpenAI, llm: CachedLLM) -> None:
    """`retry_condition` says no, so that no worker sleeps and the provider is left alone."""
    provider.default = Fault(status=429, headers={"retry-after": "300"})
    starts: list[int] = []

    @llm_task(llm=llm, retries=3)
    def ask() -> str:
        starts.append(1)
        return "What is a circuit breaker?"

    @flow
    def once() -> str:
        return ask()

    with pytest.raises(RetryLater):
        once()
    assert (1, 1) == (len(starts), provider.count)


@pytest.mark.parametrize("error", [ValueError("Mine."), CircuitOpen.of("b", "forced_open", None)], ids=repr)
def test_other_errors_pass_through(error: Exception) -> None:
    """Only a known time is a reason to wait."""

    @flow
    @reschedule_on_retry_later
    def once() -> None:
        raise error

    with pytest.raises(type(error)):
        once()


def test_retries_that_multiply_are_warned_of_once(llm: CachedLLM, caplog: pytest.LogCaptureFixture) -> None:
    """Three starts of three attempts; the tasks of a map are told once."""

    @task(retries=2)
    def ask(topic: str) -> str:
        return llm.complete(f"What is {topic}?").text

    @task(retries=1)
    def modest(topic: str) -> str:
        return llm.complete(f"What is {topic}?", resilience=llm.to_config().resilience).text

    @flow
    def many() -> None:
        ask.map(["a", "b", "c"]).result()
        modest("d")

    many()

    warnings = [record.getMessage() for record in caplog.records if "attempts for one answer" in record.getMessage()]
    assert ["9", "6"] == [message.split(": ")[1].split()[0] for message in warnings]


def test_a_global_limit_is_held_for_each_attempt(llm: CachedLLM, provider: FakeOpenAI) -> None:
    """One of Prefect's limits with one slot: three calls and a retry take turns, and the slot is given back."""
    with get_client(sync_client=True) as client:
        client.upsert_global_concurrency_limit_by_name("one-at-a-time", 1)
    provider.script(Fault(status=503))

    done = llm.model_copy(update={"global_limit": "one-at-a-time"}).complete_many(["a", "b", "c"])

    with get_client(sync_client=True) as client:
        limit = client.read_global_concurrency_limit_by_name("one-at-a-time")
    assert (3, 4, 0) == (len(done), provider.count, limit.active_slots)


def test_a_global_limit_that_is_missing_is_named(llm: CachedLLM, provider: FakeOpenAI) -> None:
    """The sentence says how to make it; the provider is not asked."""
    with pytest.raises(ConfigurationError, match="prefect gcl create nobody-made-this"):
        llm.model_copy(update={"global_limit": "nobody-made-this"}).complete("a")
    assert 0 == provider.count
