"""A flow that may spend fifty cents spends at most fifty cents, whatever runs its tasks and however often."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import cloudpickle  # pyright: ignore[reportMissingTypeStubs]
import pytest
from prefect import State, flow
from prefect.runtime import flow_run
from prefect.task_runners import ProcessPoolTaskRunner, ThreadPoolTaskRunner
from sqlalchemy import Engine

from cognition.adapters.postgres.budgets import PostgresBudgets
from cognition.domain.budget import Budget
from cognition.errors import BudgetExceeded
from cognition.testing import FakeOpenAI, Fault, Reply, Usage
from cognition_blocks import CachedLLM, llm_task

# Workers cannot import a test module: what is defined here travels by value.
cloudpickle.register_pickle_by_value(sys.modules[__name__])  # pyright: ignore[reportUnknownMemberType]

RUNNERS: dict[str, Callable[[], Any]] = {
    "threads": lambda: ThreadPoolTaskRunner[Any](max_workers=4),
    "processes": lambda: ProcessPoolTaskRunner(max_workers=2),
}
CAP = Decimal("0.50")
# 400 tokens and 20,000 at $0.25 and $2 for a million; a prompt's bytes and 22,000 tokens are set aside for it.
COST = Decimal("0.0401")
MAX_TOKENS = 22_000


@pytest.fixture
def budgets(engine: Engine) -> PostgresBudgets:
    """Return the budgets of the tenant, past the engine of the block."""
    return PostgresBudgets(engine, "default")


@pytest.mark.slow
@pytest.mark.parametrize("runner", RUNNERS)
def test_a_run_never_spends_more_than_its_cap(
    runner: str, llm: CachedLLM, provider: FakeOpenAI, budgets: PostgresBudgets
) -> None:
    """Twenty mapped tasks of four cents, some of which are retried: those that no longer fit fail and say why."""
    budgets.put(Budget.per_run(CAP), "test")
    answer = Reply(usage=Usage(400, 20_000))
    provider.script(Fault(status=503), answer, Fault(status=503), *[answer] * 40)
    once = llm.model_copy(update={"attempts": 1})

    @llm_task(llm=once, settings={"max_tokens": MAX_TOKENS}, retries=2)
    def ask(topic: str) -> str:
        return f"What is {topic}?"

    @flow(task_runner=RUNNERS[runner]())
    def spends() -> tuple[str, list[State[str]]]:
        futures = ask.map([f"topic {number}" for number in range(20)])
        futures.wait()
        return str(flow_run.id), [future.state for future in futures]

    run, states = spends()

    answered = [state for state in states if state.is_completed()]
    refused = [str(state.message) for state in states if not state.is_completed()]
    (line,) = llm.engine.ledger.report(("root_flow_run",))
    assert line.cost_usd == COST * len(answered)
    assert CAP - 2 * COST < line.cost_usd <= CAP
    assert all(f"The lifetime budget of flow run {run} is $0.50" in message for message in refused)
    assert 20 == len(answered) + len(refused)
    (standing,) = budgets.look({"flow_run": run})
    assert (line.cost_usd, 0) == (standing.used_usd, standing.reserved_usd)
    assert provider.count == len(answered) + 2


@pytest.mark.parametrize("is_async", [False, True])
def test_the_log_of_refused_tasks_is_short(
    is_async: bool,  # noqa: FBT001  a case
    llm: CachedLLM,
    budgets: PostgresBudgets,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Of each its sentence and where Prefect called it, not the way through the engine; the error is the same."""
    budgets.put(Budget.per_run("0.000000001"), "test")

    def ask(topic: str) -> str:
        return f"What is {topic}?"

    async def ask_async(topic: str) -> str:
        return ask(topic)

    task: Any = llm_task(llm=llm, settings={"max_tokens": MAX_TOKENS})(ask_async if is_async else ask)

    @flow
    def refused() -> list[Any]:
        futures = task.map(["one", "two", "three"])
        futures.wait()
        return [future.result(raise_on_failure=False) for future in futures]

    errors = refused()

    assert [BudgetExceeded] * 3 == [type(error) for error in errors]
    records = [record for record in caplog.records if record.exc_info]
    logged = [logging.Formatter().format(record) for record in records]
    assert 3 == len(logged)
    for text in logged:
        assert "this call may cost $0.04" in text.splitlines()[-1]
        assert "cognition_blocks/task.py" in text
        assert "cognition/services" not in text
