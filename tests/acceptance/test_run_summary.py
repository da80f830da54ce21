"""A flow run that used the engine leaves one summary among its artifacts; the flow is a plain `@flow`."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from prefect import Flow, flow
from prefect.client.schemas.objects import FlowRun, State
from prefect.runtime import flow_run

from cognition import Budget
from cognition.errors import BudgetExceeded
from cognition.testing import FakeOpenAI, Reply, Usage
from cognition_blocks import CachedLLM, attribute, llm_task, publish_run_summary

Summaries = Callable[[str], list[str]]


def test_one_summary_at_the_end_of_a_run(llm: CachedLLM, summaries: Summaries) -> None:
    """It counts calls by layer and by task and names the slowest, and holds no prompt."""
    ask = llm_task(llm=llm)(prompt_about)

    @flow
    def body() -> str:
        for _ in range(3):
            ask("circuits")
        llm.complete("What is a fuse?")
        return str(flow_run.id)

    (text,) = summaries(body())

    assert "**Calls: 4 · from the cache: 2 ·" in text
    assert "| l1 | 2 |" in text
    assert "| provider | 2 |" in text
    assert "| prompt_about | openai-chat:gpt-5-mini | 3 |" in text
    assert "Slowest: " in text
    assert "circuits" not in text
    assert "fuse" not in text


def test_each_run_of_a_flow_has_its_own(llm: CachedLLM, summaries: Summaries) -> None:
    """The hook stays with the flow object; the second run neither repeats nor misses its summary."""

    @flow
    def body() -> str:
        llm.complete("What is a fuse?")
        return str(flow_run.id)

    first, second = body(), body()

    assert [1, 1] == [len(summaries(first)), len(summaries(second))]
    assert "from the cache: 0 ·" in summaries(first)[0]
    assert "from the cache: 1 ·" in summaries(second)[0]


async def test_an_async_flow(llm: CachedLLM, summaries: Summaries) -> None:
    """Runs of one async flow side by side write one summary each."""

    @flow
    async def body(number: int) -> str:
        await llm.acomplete(f"What is {number}?")
        return str(flow_run.id)

    flow_run_ids = await asyncio.gather(body(1), body(2))

    assert [1, 1] == [len(summaries(flow_run_id)) for flow_run_id in flow_run_ids]


def test_a_failed_run_has_one_too(llm: CachedLLM, summaries: Summaries) -> None:
    """Money is spent by failed runs as well."""
    seen: list[str] = []

    @flow
    def body() -> None:
        seen.append(str(flow_run.id))
        llm.complete("What is a fuse?")
        raise ValueError("afterwards")

    with pytest.raises(ValueError, match="afterwards"):
        body()

    assert 1 == len(summaries(seen[0]))


def test_subflows_are_in_the_summary_of_their_root(llm: CachedLLM, summaries: Summaries) -> None:
    """A flow that only calls a subflow reports its calls, and so does the subflow."""

    @flow
    def inner() -> str:
        llm.complete("What is a fuse?")
        return str(flow_run.id)

    @flow
    def outer() -> tuple[str, str]:
        return str(flow_run.id), inner()

    root, child = outer()

    assert "**Calls: 1 ·" in summaries(root)[0]
    assert "**Calls: 1 ·" in summaries(child)[0]


def test_a_run_without_calls_has_none(llm: CachedLLM, summaries: Summaries) -> None:
    """Neither a flow that never uses the engine nor one that only names whom it would be for."""
    llm.complete("What is a fuse?")

    @flow
    def body() -> str:
        with attribute(user="alice"):
            return str(flow_run.id)

    assert [] == summaries(body())


def test_many_threads_add_one_hook(llm: CachedLLM, summaries: Summaries) -> None:
    """Tasks that make their first calls at once do not add it twice."""
    ask = llm_task(llm=llm)(prompt_about)

    @flow
    def body() -> str:
        ask.map([f"topic {number}" for number in range(8)]).result()
        return str(flow_run.id)

    assert 1 == len(summaries(body()))


def test_the_users_own_hooks_stay(llm: CachedLLM, summaries: Summaries) -> None:
    """They run as well, and a hook the user adds by hand is not doubled; a copy of the flow is left alone."""
    seen: list[str] = []

    def mine(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:
        del flow, flow_run, state
        seen.append("mine")

    @flow(on_completion=[mine, publish_run_summary])
    def body() -> str:
        llm.complete("What is a fuse?")
        return str(flow_run.id)

    copy = body.with_options(name="copy", on_completion=[mine])

    assert 1 == len(summaries(body()))
    assert ["mine"] == seen
    assert [mine] == copy.on_completion_hooks


def test_a_summary_that_cannot_be_written_does_not_fail_the_run(
    llm: CachedLLM, provider: FakeOpenAI, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Prefect's server refuses the artifact, and the flow completes all the same."""
    monkeypatch.setattr("cognition_blocks.run_summary.ARTIFACT_KEY", "Not A Key")

    @flow
    def body() -> str:
        return llm.complete("What is a fuse?").text

    state = body(return_state=True)

    assert state.is_completed()
    assert 1 == provider.count


def test_a_summary_from_which_rows_are_missing_says_so(
    llm: CachedLLM, summaries: Summaries, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What PostgreSQL does not know yet is kept, and booked after the summary was written."""

    def left(_: object) -> bool:
        return False

    @flow
    def body() -> str:
        llm.complete("What is a fuse?")
        monkeypatch.setattr(type(llm.engine.ledger), "flush", left)
        return str(flow_run.id)

    (text,) = summaries(body())

    assert text.startswith("**Incomplete:**")


def prompt_about(topic: str) -> str:
    """Return a prompt."""
    return f"What is {topic}?"


def test_what_stood_in_the_way_is_told(llm: CachedLLM, provider: FakeOpenAI, summaries: Summaries) -> None:
    """The budgets of the run and of its workflow, calls that were refused, and breakers that changed meanwhile."""
    llm.engine.budgets.set(Budget.per_run("0.0003"))
    llm.engine.budgets.set(Budget(scope="workflow", subject="limited", limit_usd="5.00", period="daily"))
    provider.script(Reply(usage=Usage(100, 100)))

    @flow(name="limited")
    def body() -> str:
        llm.complete("What is a fuse?", settings={"max_tokens": 100})
        for _ in range(2):
            with pytest.raises(BudgetExceeded):
                llm.complete("What is a circuit?", settings={"max_tokens": 100})
        llm.engine.breakers.force("openai-chat:gpt-5-mini@default", "disabled", by="alice", reason="trial")
        return str(flow_run.id)

    run = body()

    (text,) = summaries(run)
    assert "Calls that got an error in the flow's own process: BudgetExceeded 2×." in text
    assert f"| lifetime budget of flow run {run} | $0.0003 | $0.000225 | $0.00 | $0.000075 |" in text
    assert "| daily budget of workflow limited | $5.00 | $0.000225 | $0.00 | $4.999775 |" in text
    assert "| openai-chat:gpt-5-mini@default | closed | disabled | trial |" in text


def test_a_run_of_which_every_call_was_refused_has_one_too(llm: CachedLLM, summaries: Summaries) -> None:
    """No row stands in the ledger, and just then somebody wants to know why."""
    llm.engine.budgets.set(Budget.per_run("0.0000001"))

    @flow
    def body() -> str:
        with pytest.raises(BudgetExceeded):
            llm.complete("What is a fuse?")
        return str(flow_run.id)

    (text,) = summaries(body())

    assert "**Calls: 0 · " in text
    assert "BudgetExceeded 1×" in text
