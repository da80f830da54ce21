"""`llm_task` on every task runner: threads, processes and Dask, with attribution and one summary."""

import sys
from collections.abc import Callable
from typing import Any

import cloudpickle  # pyright: ignore[reportMissingTypeStubs]
import pytest
from prefect import flow
from prefect.runtime import flow_run
from prefect.task_runners import ProcessPoolTaskRunner, ThreadPoolTaskRunner
from prefect_dask.task_runners import DaskTaskRunner

from cognition.runtime import open_engines
from cognition.testing import FakeOpenAI
from cognition_blocks import CachedLLM, attribute, llm_task, publish_run_summary

# Workers cannot import a test module: what is defined here travels by value.
cloudpickle.register_pickle_by_value(sys.modules[__name__])  # pyright: ignore[reportUnknownMemberType]

RUNNERS: dict[str, Callable[[], Any]] = {
    "threads": lambda: ThreadPoolTaskRunner[Any](max_workers=2),
    "processes": lambda: ProcessPoolTaskRunner(max_workers=2),
    "dask": lambda: DaskTaskRunner(cluster_kwargs={"n_workers": 2, "threads_per_worker": 1, "dashboard_address": ":0"}),
}


@pytest.mark.slow
@pytest.mark.parametrize("runner", RUNNERS)
def test_a_mapped_task_asks_once_and_is_booked(
    runner: str, llm: CachedLLM, provider: FakeOpenAI, summaries: Callable[[str], list[str]]
) -> None:
    """Four tasks with two prompts: two provider calls, all booked to run, task, user and team, and one summary."""

    @llm_task(llm=llm, returns="completion", tags=["project:x"])
    def ask(topic: str) -> str:
        return f"What is {topic}?"

    @flow(name="on-a-runner", task_runner=RUNNERS[runner]())
    def maps() -> tuple[str, list[str]]:
        with attribute(user="alice", team="support"):
            first = ask.map(["a", "b"]).result()
            second = ask.map(["a", "b"]).result()
        return str(flow_run.id), [str(done.layer) for done in [*first, *second]]

    flow_run_id, layers = maps()

    assert ["provider", "provider", "l1", "l1"] == layers
    assert 2 == provider.count
    dimensions = ("workflow", "flow_run", "root_flow_run", "task", "user", "team")
    (line,) = llm.engine.ledger.report(group_by=dimensions)
    assert ("on-a-runner", flow_run_id, flow_run_id, "ask", "alice", "support") == tuple(line.group.values())
    assert (4, 2) == (line.calls, line.hits)
    (summary,) = summaries(flow_run_id)
    assert "Calls: 4 · from the cache: 2 ·" in summary


@pytest.mark.slow
def test_a_tasks_own_tags_are_exact_in_processes(llm: CachedLLM) -> None:
    """Prefect 3.8 hands every process-pool task the tags of the first submission; `with_options` is the way around."""

    @llm_task(llm=llm)
    def ask(topic: str) -> str:
        return f"What is {topic}?"

    @flow(task_runner=RUNNERS["processes"]())
    def submits() -> None:
        with attribute(user="alice"):
            ask.submit("a").wait()  # pyright: ignore[reportUnknownMemberType]
        ask.with_options(tags=["user:bob"]).submit("b").wait()  # pyright: ignore[reportUnknownMemberType]

    submits()

    users = sorted(str(line.group["user"]) for line in llm.engine.ledger.report(group_by=("user",)))
    assert ["alice", "bob"] == users


@pytest.mark.slow
def test_a_worker_of_a_subflow_knows_the_root(llm: CachedLLM) -> None:
    """The worker's process holds only the subflow's run, so Prefect's server is asked for the one above."""

    @llm_task(llm=llm)
    def ask(topic: str) -> str:
        return f"What is {topic}?"

    @flow(task_runner=RUNNERS["processes"]())
    def inner() -> str:
        ask.submit("a").wait()  # pyright: ignore[reportUnknownMemberType]
        return str(flow_run.id)

    @flow
    def outer() -> tuple[str, str]:
        return str(flow_run.id), inner()

    root, child = outer()

    (line,) = llm.engine.ledger.report(group_by=("root_flow_run", "flow_run"))
    assert (root, child) == tuple(line.group.values())


@pytest.mark.slow
def test_only_workers_called_and_the_flow_names_the_hook(llm: CachedLLM, summaries: Callable[[str], list[str]]) -> None:
    """A flow that does nothing but submit to a pool gets its summary by the documented hook."""

    @llm_task(llm=llm)
    def ask(topic: str) -> str:
        return f"What is {topic}?"

    @flow(task_runner=RUNNERS["processes"](), on_completion=[publish_run_summary])
    def submits() -> str:
        ask.submit("a").wait()  # pyright: ignore[reportUnknownMemberType]
        return str(flow_run.id)

    @llm_task
    def of_another_flow(topic: str) -> str:
        return topic

    assert "**Calls: 1 ·" in summaries(submits())[0]
    assert [llm.engine] == open_engines(), f"{of_another_flow.name} was never sent to a worker"
