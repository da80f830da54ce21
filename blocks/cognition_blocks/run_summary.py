"""One Markdown artifact for each flow run that used the engine: its calls by layer and by task, cost and saving.

Prefect calls a flow's state hooks at the end of a run, in the flow's own process. The first call made in a run adds the
hook to the flow object that Prefect is running, so that a plain `@flow` needs no further decorator.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

from prefect import Flow, get_client
from prefect.client.schemas.actions import ArtifactCreate
from prefect.client.schemas.objects import FlowRun, State
from prefect.context import FlowRunContext

from cognition import Cognition
from cognition.domain.ledger import ReportLine
from cognition.runtime import open_engines
from cognition_blocks.llm_reference import resolve
from cognition_blocks.run_context import enclosing_runs
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
    del flow, state
    # Two engines on one database tell the same, hence the dictionary.
    summaries: dict[str, None] = {}
    # A flow whose calls were all made by workers of a pool has opened no engine itself.
    for source in open_engines() or llms_of_workers():
        with _warning_only(flow_run):
            engine = source if isinstance(source, Cognition) else resolve(source).engine
            if text := summary_of(engine, str(flow_run.id)):
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


def summary_of(engine: Cognition, flow_run_id: str) -> str | None:
    """Return the summary of a flow run and the subflows below it as Markdown, or None when it made no call.

    It names layers, tasks and models, and no prompts, answers or users.
    """
    engine.ledger.flush()
    layers = engine.ledger.report(group_by=("layer",), flow_run_id=flow_run_id)
    if not layers:
        return None
    tasks = engine.ledger.report(group_by=("task", "model"), flow_run_id=flow_run_id)
    calls, hits, unpriced = (sum(getattr(line, name) for line in layers) for name in ("calls", "hits", "unpriced"))
    cost = sum((line.cost_usd for line in layers), Decimal(0))
    saved = sum((line.saved_usd for line in layers), Decimal(0))
    slowest = max(tasks, key=lambda line: line.slowest_ms)
    lines = [
        f"**Calls: {calls} · from the cache: {hits} · cost: {_usd(cost)} · saved: {_usd(saved)}**",
        f"Slowest: {slowest.slowest_ms:,.0f} ms in {slowest.group['task'] or 'the flow itself'}.",
        "\n".join(_table("layer", sorted(layers, key=lambda line: line.group["layer"] or ""))),
        "\n".join(_table("task | model", tasks)),
    ]
    if unpriced:
        lines.append(f"Attempts of unknown price, missing in the cost: {unpriced}.")
    return "\n\n".join(lines)


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
        description="What the LLM calls of this flow run cost and saved.",
        data=text,
        flow_run_id=flow_run.id,
    )
    with get_client(sync_client=True) as client:
        client.create_artifact(artifact)


def _table(groups: str, lines: Sequence[ReportLine]) -> Iterator[str]:
    yield f"| {groups} | calls | cost | saved | median | slowest |"
    yield "|---" * (groups.count("|") + 1) + "|---:" * 5 + "|"
    for line in lines:
        names = " | ".join((value or "-").replace("|", "\\|") for value in line.group.values())
        money = f"{_usd(line.cost_usd)} | {_usd(line.saved_usd)}"
        yield f"| {names} | {line.calls} | {money} | {line.median_latency_ms:,.1f} ms | {line.slowest_ms:,.1f} ms |"


def _usd(amount: Decimal) -> str:
    return f"${amount:,.6f}"
