"""The text of a flow run's summary: its calls by layer and task, what was refused, its budgets, its breakers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from cognition import Cognition
from cognition.domain.breaker_standing import Transition
from cognition.domain.ledger import ReportLine
from cognition.domain.pricing import dollars
from cognition.domain.reservation import Standing

# Of the latest ones; a breaker that trips more often in one run is worth a look at `cognition breaker history`.
_MOST_TRANSITIONS = 20


INCOMPLETE = (
    "**Incomplete:** PostgreSQL was away. What is missing here is kept and booked later; see `cognition report"
    " --flow-run` then."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SummarisedRun:
    """A flow run.

    Attributes:
        id: Its id.
        workflow: Name of its flow.
        since: When it began, None when Prefect does not say.
    """

    id: str
    workflow: str
    since: datetime | None


def summary_of(engine: Cognition, run: SummarisedRun) -> str | None:
    """Return the summary of a flow run and the subflows below it as Markdown, or None when it made no call.

    It names layers, tasks, models, and the budgets of the run, the workflow, tasks and models: no prompts, answers or
    users.
    """
    whole = engine.ledger.flush()
    layers = engine.ledger.report(group_by=("layer",), flow_run_id=run.id)
    failures = engine.failures(run.id)
    if whole and not layers and not failures:
        return None
    tasks = engine.ledger.report(group_by=("task", "model"), flow_run_id=run.id)
    sections = [*_calls(layers, tasks)]
    if not whole:
        sections.insert(0, INCOMPLETE)
    if failures:
        told = ", ".join(f"{error} {count}×" for error, count in failures.items())
        sections.append(f"Calls that got an error in the flow's own process: {told}.")
    sections += _budgets(engine.budgets.status(flow_run=run.id, workflow=run.workflow))
    sections += _breakers(engine, run, {line.group["model"] for line in tasks})
    return "\n\n".join(sections)


def _calls(layers: Sequence[ReportLine], tasks: Sequence[ReportLine]) -> Iterator[str]:
    calls, hits, unpriced = (sum(getattr(line, name) for line in layers) for name in ("calls", "hits", "unpriced"))
    cost = sum((line.cost_usd for line in layers), Decimal(0))
    saved = sum((line.saved_usd for line in layers), Decimal(0))
    yield f"**Calls: {calls} · from the cache: {hits} · cost: {dollars(cost)} · saved: {dollars(saved)}**"
    if not tasks:
        return
    slowest = max(tasks, key=lambda line: line.slowest_ms)
    yield f"Slowest: {slowest.slowest_ms:,.0f} ms in {slowest.group['task'] or 'the flow itself'}."
    yield "\n".join(_table("layer", sorted(layers, key=lambda line: line.group["layer"] or "")))
    yield "\n".join(_table("task | model", tasks))
    if unpriced:
        yield f"Attempts of unknown price, missing in the cost: {unpriced}."


def _budgets(standings: Sequence[Standing]) -> Iterator[str]:
    """Return how the budgets stand that limited the run."""
    if not standings:
        return
    rows = [
        f"| {_cell(one.name)} | {dollars(one.total_usd)} | {dollars(one.used_usd)} | {dollars(one.reserved_usd)}"
        f" | {dollars(one.remaining_usd)} |"
        for one in standings
    ]
    yield "\n".join(("| budget | limit | spent | set aside | left |", "|---|---:|---:|---:|---:|", *rows))


def _breakers(engine: Cognition, run: SummarisedRun, models: set[str | None]) -> Iterator[str]:
    """Return how the breakers of the run's models changed while it ran."""
    changed = [
        one
        for one in engine.breakers.history(limit=_MOST_TRANSITIONS)
        if run.since is not None and one.at >= run.since and f"{one.key.provider}:{one.key.model}" in models
    ]
    if changed:
        rows = [_transition(one) for one in reversed(changed)]
        yield "\n".join(("| at | breaker | from | to | why |", "|---|---|---|---|---|", *rows))


def _transition(one: Transition) -> str:
    when = one.at.strftime("%H:%M:%S")
    return f"| {when} | {_cell(str(one.key))} | {one.from_state} | {one.to_state} | {_cell(one.reason or one.cause)} |"


def _table(groups: str, lines: Sequence[ReportLine]) -> Iterator[str]:
    yield f"| {groups} | calls | cost | saved | median | slowest |"
    yield "|---" * (groups.count("|") + 1) + "|---:" * 5 + "|"
    for line in lines:
        names = " | ".join(_cell(value or "-") for value in line.group.values())
        money = f"{dollars(line.cost_usd)} | {dollars(line.saved_usd)}"
        median = "-" if line.median_latency_ms is None else f"{line.median_latency_ms:,.1f} ms"
        yield f"| {names} | {line.calls} | {money} | {median} | {line.slowest_ms:,.1f} ms |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
