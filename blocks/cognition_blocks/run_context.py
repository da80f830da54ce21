"""Which flow run, task run and person a call belongs to, read from Prefect's context in the caller's thread."""

from __future__ import annotations

from collections.abc import Iterator
from contextvars import Token

from prefect.context import FlowRunContext, TagsContext, TaskRunContext

from cognition.domain.attribution import Attribution
from cognition_blocks.run_roots import RunRoots
from cognition_blocks.tags import TEAM, USER, free_labels, value_of

_ROOTS = RunRoots()


def current_attribution() -> Attribution:
    """Return what the calls of this thread are booked to; empty outside any run.

    Asks no server, but for one case: the first call of a pool worker's process inside a subflow (see `_root_run_id`).
    """
    flow, task = FlowRunContext.get(), TaskRunContext.get()
    flow_run, task_run = (flow.flow_run if flow else None), (task.task_run if task else None)
    # The task's own tags come first: they are exact even where Prefect 3.8 hands a process pool stale context tags.
    tags = (
        task.task.tags if task else (),
        TagsContext.get().current_tags,
        task_run.tags if task_run else (),
        flow_run.tags if flow_run else (),
    )
    return Attribution(
        user=value_of(USER, *tags),
        team=value_of(TEAM, *tags),
        workflow=flow.flow.name if flow and flow.flow else None,
        flow_run_id=str(flow_run.id) if flow_run else None,
        root_flow_run_id=_root_run_id(flow) if flow else None,
        deployment_id=str(flow_run.deployment_id) if flow_run and flow_run.deployment_id else None,
        task_run_id=str(task_run.id) if task_run else None,
        task_name=task.task.name if task else None,
        run_count=task_run.run_count if task_run else 1,
        tags=free_labels(*tags),
    )


def enclosing_runs(innermost: FlowRunContext) -> Iterator[FlowRunContext]:
    """Return a flow run's context and those of the flow runs around it in this process, innermost first."""
    context: FlowRunContext | None = innermost
    while context is not None:
        yield context
        # What the context variable held before this run began; Prefect keeps it for leaving the context, and asking the
        # server for the same answer takes 150 ms a level. Where it is absent, `RunRoots` finds the way.
        token: Token[FlowRunContext] | None = getattr(context, "_token", None)
        outer = token.old_value if token else None
        context = outer if isinstance(outer, FlowRunContext) else None


def _root_run_id(innermost: FlowRunContext) -> str | None:
    """Return the outermost flow run; the server is asked only if this process does not hold it."""
    *_, outermost = enclosing_runs(innermost)
    if outermost.flow_run is None:
        return None
    if outermost.flow_run.parent_task_run_id is None:
        return str(outermost.flow_run.id)
    return _ROOTS.root_of(outermost.flow_run.id, outermost.flow_run.parent_task_run_id)
