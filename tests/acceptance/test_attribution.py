"""Every call is booked to the runs around it and to whom `attribute` names."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from prefect import flow, tags, task
from prefect.runtime import flow_run

from cognition.domain.attribution import Attribution
from cognition.domain.entry import Layer
from cognition.domain.ledger import Dimension
from cognition.errors import ConfigurationError
from cognition_blocks import CachedLLM, attribute, llm_task
from cognition_blocks.run_context import current_attribution


def test_nobody_outside_any_run() -> None:
    """A call made outside flows and tasks is booked to the tenant alone."""
    assert Attribution() == current_attribution()


def test_a_call_in_the_flow_itself() -> None:
    """Without a task there is a flow run only; a run with no flow above it is its own root."""

    @flow(name="nightly")
    def body() -> tuple[str, Attribution]:
        return str(flow_run.id), current_attribution()

    flow_run_id, who = body()

    assert Attribution(workflow="nightly", flow_run_id=flow_run_id, root_flow_run_id=flow_run_id) == who


def test_a_call_in_a_task() -> None:
    """The task's name, run and tags are known; `user:` and `team:` tags become user and team."""

    @task(tags=["team:search", "project:x"])
    def inner() -> Attribution:
        return current_attribution()

    @flow
    def body() -> Attribution:
        with tags("user:alice"):
            return inner()

    who = body()

    assert ("inner", "alice", "search", ("project:x",), 1) == (
        who.task_name,
        who.user,
        who.team,
        who.tags,
        who.run_count,
    )
    assert who.task_run_id is not None


def test_a_retried_task_is_told_apart() -> None:
    """The second start of a task run counts 2."""
    seen: list[int] = []

    @task(retries=1)
    def fails_once() -> None:
        seen.append(current_attribution().run_count)
        if len(seen) == 1:
            raise ValueError("once")

    @flow
    def body() -> None:
        fails_once()

    body()

    assert [1, 2] == seen


def test_subflows_are_booked_to_their_root() -> None:
    """Two levels down, directly and in submitted tasks, the outermost run is known at once."""

    @task
    def leaf() -> Attribution:
        return current_attribution()

    @flow(name="innermost")
    def innermost() -> list[Attribution]:
        submitted = leaf.submit()  # pyright: ignore[reportUnknownMemberType]
        return [current_attribution(), leaf(), submitted.result()]

    @flow
    def middle() -> list[Attribution]:
        return innermost()

    @flow
    def outermost() -> tuple[str, list[Attribution]]:
        return str(flow_run.id), middle()

    root, found = outermost()

    assert {(root, "innermost")} == {(who.root_flow_run_id, who.workflow) for who in found}
    assert root not in {who.flow_run_id for who in found}


async def test_an_async_flow_and_its_threads() -> None:
    """Prefect's context follows into `asyncio.to_thread` and async tasks."""

    @task
    async def leaf() -> Attribution:
        return current_attribution()

    @flow
    async def body() -> list[Attribution]:
        return [await leaf(), await asyncio.to_thread(current_attribution)]

    in_task, in_thread = await body()

    assert in_task.flow_run_id == in_thread.flow_run_id is not None


def test_a_bare_thread_has_no_context() -> None:
    """Prefect's context does not follow there, so nothing is claimed."""

    @flow
    def body() -> Attribution:
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(current_attribution).result()

    assert Attribution() == body()


def test_attribute_around_a_flow_reaches_its_tasks() -> None:
    """The `with` block may stand anywhere above the call."""

    @task
    def leaf() -> Attribution:
        return current_attribution()

    @flow
    def body() -> Attribution:
        return leaf.submit().result()  # pyright: ignore[reportUnknownMemberType]

    with attribute(user="alice", team="support", project="atlas"):
        who = body()

    assert ("alice", "support", ("project:atlas",)) == (who.user, who.team, who.tags)


def test_the_inner_block_wins_for_what_it_names() -> None:
    """A nested block changes the user and leaves the team; afterwards the outer one holds again."""
    with attribute(user="alice", team="support"):
        with attribute(user="bob"):
            inner = current_attribution()
        outer = current_attribution()

    assert ("bob", "support") == (inner.user, inner.team)
    assert ("alice", "support") == (outer.user, outer.team)


@pytest.mark.parametrize("user", [" ", ["alice"], 1.5], ids=repr)
def test_what_is_no_name_is_refused(user: Any) -> None:
    """A missing user must not become a user without a name."""
    with pytest.raises(ConfigurationError, match="'user' of attribute"), attribute(user=user):
        pass


def test_a_number_is_a_name() -> None:
    """Identifiers of people often are numbers in the databases that they come from."""
    with attribute(user=7, ticket=12):
        who = current_attribution()

    assert ("7", ("ticket:12",)) == (who.user, who.tags)


def test_what_the_ledger_says(llm: CachedLLM) -> None:
    """Provider calls and hits of one task are booked alike, and what the caller says himself wins."""
    ask = llm_task(llm=llm, tags=["team:search"])(prompt_about)

    @flow(name="nightly")
    def body() -> str:
        with attribute(user="alice"):
            ask("circuits")
            ask("circuits")
        llm.complete("What is a fuse?", attribution=Attribution(user="carol"))
        return str(flow_run.id)

    flow_run_id = body()

    by: tuple[Dimension, ...] = ("workflow", "flow_run", "task", "user", "team")
    lines = {tuple(line.group.values()): (line.calls, line.hits) for line in llm.engine.ledger.report(group_by=by)}
    expected = {
        ("nightly", flow_run_id, "prompt_about", "alice", "search"): (2, 1),
        ("nightly", flow_run_id, None, "carol", None): (1, 0),
    }
    assert expected == lines


@pytest.mark.parametrize("tag", ["user:alice", "team:support", "project:atlas"])
def test_answers_can_be_invalidated_by_tag(llm: CachedLLM, tag: str) -> None:
    """Whoever the call was made for when its answer was stored marks it; answers made for others stay."""

    @flow
    def body() -> None:
        with attribute(user="alice", team="support", project="atlas"):
            llm.complete("What is a fuse?")
        with attribute(user="bob", team="search", project="mercury"):
            llm.complete("What is a relay?")

    body()

    assert 1 == llm.engine.cache.invalidate(tag=tag)[Layer.L2]
    # L1 forgets the whole namespace and gets its copies back from L2.
    assert ["provider", "l2"] == [done.layer for done in llm.complete_many(["What is a fuse?", "What is a relay?"])]


def prompt_about(topic: str) -> str:
    """Return a prompt."""
    return f"What is {topic}?"
