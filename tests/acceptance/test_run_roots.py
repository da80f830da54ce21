"""The outermost run of a subflow, as a process knows it that holds only the subflow's own."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from prefect import flow
from prefect.context import FlowRunContext
from prefect.runtime import flow_run
from prefect.settings import PREFECT_API_URL, temporary_settings

from cognition_blocks.run_roots import RunRoots

AWAY: dict[Any, Any] = {PREFECT_API_URL: "http://127.0.0.1:9/api"}


class Seconds:
    """A clock that is set by hand."""

    now = 100.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


@pytest.fixture(scope="module")
def runs() -> tuple[str, UUID, UUID]:
    """Return the id of a run, of its subflow's run, and of the task run that stands for it."""

    @flow
    def inner() -> tuple[UUID, UUID]:
        context = FlowRunContext.get()
        assert context is not None
        assert context.flow_run is not None
        assert context.flow_run.parent_task_run_id is not None
        return context.flow_run.id, context.flow_run.parent_task_run_id

    @flow
    def outer() -> tuple[str, UUID, UUID]:
        return str(flow_run.id), *inner()

    return outer()


def test_a_hiccup_of_the_server_is_not_remembered_for_good(runs: tuple[str, UUID, UUID]) -> None:
    """Or all later calls of the subflow would be booked to a run, and a cap, of their own."""
    root, *subflow = runs
    clock = Seconds()
    roots = RunRoots(clock)

    with temporary_settings(AWAY):
        assert roots.root_of(*subflow) is None
    clock.now += 4.9
    assert roots.root_of(*subflow) is None, "a call does not wait for a server that was away a moment ago"
    clock.now += 0.1
    assert root == roots.root_of(*subflow)


def test_what_the_server_said_is_remembered(runs: tuple[str, UUID, UUID]) -> None:
    """Asking takes 150 ms, and calls are many."""
    root, *subflow = runs
    roots = RunRoots()
    assert root == roots.root_of(*subflow)

    with temporary_settings(AWAY):
        assert root == roots.root_of(*subflow)
