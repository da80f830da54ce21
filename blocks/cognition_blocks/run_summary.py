"""One Markdown artifact for each flow run that used the engine: see `summary_text`.

Prefect calls a flow's state hooks at the end of a run, in the flow's own process. The first call made in a run adds the
hook to the flow object that Prefect is running, so that a plain `@flow` needs no further decorator.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from prefect import Flow, get_client
from prefect.client.schemas.actions import ArtifactCreate
from prefect.client.schemas.objects import FlowRun, State
from prefect.context import FlowRunContext

from cognition import Cognition
from cognition.runtime import open_engines
from cognition_blocks.llm_reference import resolve
from cognition_blocks.run_context import enclosing_runs
from cognition_blocks.summary_text import INCOMPLETE, SummarisedRun, summary_of
from cognition_blocks.task import llms_of_workers

ARTIFACT_KEY = "cognition-run-summary"

_log = logging.getLogger(__name__)

# Tasks of one run make their first calls in several threads at once.
_adding = threading.Lock()


def publish_run_summary(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:
    """Write the summary of a flow run as an artifact: a flow run hook, which never fails the run.

    It is added by itself by the first call in the flow's own process and by `attribute(...)`. Only a flow that does
    nothing but submit to a process pool or to Dask has to name it:
    `@flow(on_completion=[publish_run_summary], on_failure=[publish_run_summary])`.
    """
    del state
    run = SummarisedRun(id=str(flow_run.id), workflow=flow.name, since=flow_run.start_time)
    # Two engines on one database tell the same, hence the dictionary.
    summaries: dict[str, None] = {}
    # A flow whose calls were all made by workers of a pool has opened no engine itself.
    for source in open_engines() or llms_of_workers():
        with _warning_only(flow_run):
            engine = source if isinstance(source, Cognition) else resolve(source).engine
            text: str | None = INCOMPLETE
            try:
                text = summary_of(engine, run)
            finally:
                if text:
                    summaries[text] = None
    if summaries:
        with _warning_only(flow_run):
            _publish("\n\n---\n\n".join(summaries), flow_run)


@contextmanager
def _warning_only(flow_run: FlowRun) -> Generator[None]:
    """Turn any error into a warning: a report about the run must not fail the run."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 - whatever is wrong with a store or with Prefect's server
        _log.warning("The summary of flow run %s is incomplete: %s", flow_run.id, type(error).__name__)


def add_run_summary() -> None:
    """Let the flow runs of this thread's context write their summary when they end; does nothing outside a flow run."""
    innermost = FlowRunContext.get()
    # In a pool's process the flow is a copy that never ends.
    if innermost is None or innermost.detached:
        return
    for context in enclosing_runs(innermost):
        if context.flow is not None and publish_run_summary not in context.flow.on_completion_hooks:
            _add_to(context.flow)


def _add_to(flow: Flow[..., Any]) -> None:
    with _adding:
        for name in ("on_completion_hooks", "on_failure_hooks", "on_crashed_hooks", "on_cancellation_hooks"):
            hooks = getattr(flow, name)
            if publish_run_summary not in hooks:
                # A new list: Prefect 3.8 shares one between a flow and its `with_options` copies.
                setattr(flow, name, [*hooks, publish_run_summary])


def _publish(text: str, flow_run: FlowRun) -> None:
    artifact = ArtifactCreate(
        key=ARTIFACT_KEY,
        type="markdown",
        description="What the LLM calls of this flow run cost and saved, and what stood in their way.",
        data=text,
        flow_run_id=flow_run.id,
    )
    with get_client(sync_client=True) as client:
        client.create_artifact(artifact)
