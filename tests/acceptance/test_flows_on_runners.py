"""The scheduled flows where the task runner is not Prefect's own: processes, and Dask."""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from inspect import getmembers
from typing import Any, Final
from uuid import uuid4

import cloudpickle  # pyright: ignore[reportMissingTypeStubs]
import pytest
import sqlalchemy as sa
from distributed import LocalCluster
from prefect import Task, flow, get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId
from prefect.task_runners import ProcessPoolTaskRunner
from prefect_dask.task_runners import DaskTaskRunner

from cognition import Attribution
from cognition.testing import FakeOpenAI, Reply, Usage
from cognition_blocks import CachedLLM, CognitionStore, LLMBudget
from cognition_flows import budgets, reports, upkeep, warming
from cognition_flows.budgets import BUDGETS_KEY
from cognition_flows.deployments import DEPLOYMENTS
from cognition_flows.reports import COSTS_KEY, HIT_RATE_KEY
from tests.acceptance.spending import spend

# Workers cannot import a test module: what is defined here travels by value.
cloudpickle.register_pickle_by_value(sys.modules[__name__])  # pyright: ignore[reportUnknownMemberType]

NOW, DAY = datetime.now(UTC), timedelta(days=1)
ASKED = warming.WarmSource(prompts=["Is it open?"])


@dataclass(frozen=True)
class Step:
    """A step of a flow.

    Attributes:
        told: What it is told after the name of the block.
        right: Whether a result is the one where the block is `saved`.
        named: What it is told by name.
    """

    told: tuple[Any, ...]
    right: Callable[[Any], bool]
    named: Mapping[str, Any] = field(default_factory=dict[str, Any])


STEPS: Final[dict[str, Step]] = {
    "close_periods": Step((), lambda closed: closed == []),
    "read_budgets": Step((), lambda books: [Decimal("0.90")] == [one.standing.used_usd for one in books.forecasts]),
    "deliver": Step((), lambda told: (told.delivered, told.failed) == (1, 0)),
    "purge_reservations": Step((30,), lambda count: count == 0),
    "purge_answers": Step((), lambda count: count == 0),
    "purge_questions": Step((30,), lambda count: count == 0),
    "purge_breaker_history": Step((90,), lambda count: count == 0),
    "reembed": Step((10,), lambda count: count == 0),
    "build_vector_index": Step((), lambda count: count == 0, {"wanted": True}),
    "roll_up_ledger": Step((400,), lambda count: count == 0),
    # Nobody called the provider for those 90 cents.
    "reconcile_budgets": Step((), lambda count: count == 1, {"repair": False}),
    "look_at_tables": Step((), lambda told: "llm_cost_tracking" in {one.name for one in told[0]}),
    "read_hit_rate": Step((24,), lambda rates: rates.total.calls == 1),
    "read_costs": Step((NOW - DAY, NOW + DAY), lambda costs: costs[0].total.calls == 1),
    "warm": Step((ASKED, warming.WarmLimits()), lambda done: (done.asked, done.failed) == (1, {})),
}


@pytest.fixture(scope="module")
def dask() -> Generator[str]:
    """Return the address of a cluster of one worker."""
    options: dict[str, Any] = {"n_workers": 1, "threads_per_worker": 1, "dashboard_address": ":0"}
    cluster: Any = LocalCluster(**options)  # distributed is typed only in part
    with cluster:
        yield cluster.scheduler_address


@pytest.fixture(params=["processes", "dask"])
def runner(request: pytest.FixtureRequest) -> Callable[[], Any]:
    """Return a function that makes a task runner whose tasks leave this process."""
    if request.param == "processes":
        return lambda: ProcessPoolTaskRunner(max_workers=1)
    address: str = request.getfixturevalue("dask")
    return lambda: DaskTaskRunner(address=address)


@pytest.fixture
def saved(llm: CachedLLM, store: CognitionStore, provider: FakeOpenAI, engine: sa.Engine) -> str:
    """Return the name of a block document; its ledger has one call, and a budget of a dollar has spent 90 cents."""
    provider.default = Reply(text="It depends.", usage=Usage(1000, 100))
    LLMBudget(scope="user", subject="alice", limit_usd="1.00", store=store).apply()
    spend(engine, "0.90", Attribution(user="alice"))
    llm.complete("What is a circuit breaker?", attribution=Attribution(workflow="nightly"))
    llm.engine.ledger.flush()
    name = f"runners-{uuid4().hex}"
    llm.save(name)
    return name


def steps() -> dict[str, Task[..., Any]]:
    """Return all tasks of the scheduled flows."""
    modules = (budgets, reports, upkeep, warming)
    return {name: found for module in modules for name, found in getmembers(module) if isinstance(found, Task)}


@pytest.mark.slow
def test_every_step_runs_in_another_process(runner: Callable[[], Any], saved: str) -> None:
    """A task, its arguments and its result are pickled; the store is found by the name of the block."""

    @flow(task_runner=runner())
    def submits() -> dict[str, Any]:
        futures = {name: one.submit(saved, *STEPS[name].told, **STEPS[name].named) for name, one in steps().items()}  # pyright: ignore[reportUnknownMemberType]
        return {name: future.result() for name, future in futures.items()}

    done = submits()

    assert STEPS.keys() == done.keys()
    assert dict.fromkeys(STEPS, True) == {name: one.right(done[name]) for name, one in STEPS.items()}


@pytest.mark.slow
def test_every_flow_completes(runner: Callable[[], Any], saved: str) -> None:
    """With its artifacts, whichever task runner a team gives it."""
    flows = {scheduled.flow.name: scheduled.flow for scheduled in DEPLOYMENTS}

    states = [one.with_options(task_runner=runner())(llm=saved, return_state=True) for one in flows.values()]

    assert [True] * len(flows) == [state.is_completed() for state in states], states
    runs = [run for state in states if (run := state.state_details.flow_run_id)]
    with get_client(sync_client=True) as client:
        of_these = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=runs))
        keys = {artifact.key for artifact in client.read_artifacts(artifact_filter=of_these)}
    assert set() == {BUDGETS_KEY, COSTS_KEY, HIT_RATE_KEY, upkeep.ARTIFACT_KEY, warming.ARTIFACT_KEY} - keys
