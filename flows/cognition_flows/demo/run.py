"""Runs the demo's flow three times and prints what happened."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from cognition import Cognition
from cognition.domain.entry import Address
from cognition.events import Event
from cognition.runtime import engine_for
from cognition.settings import Settings
from cognition_flows.demo.documents import read_documents
from cognition_flows.demo.flow import NAMESPACE, describe
from cognition_flows.demo.passes import Pass

LOCAL_MODEL = "local:smollm2-135m"

# What a small hosted model costs: an example, because a local model has no price.
EXAMPLE_PRICES = {LOCAL_MODEL: {"input_per_million": "0.15", "output_per_million": "0.60"}}

_CALLS_PER_TEXT = 2


def run_demo(model: str | None, source: Path | None, count: int, *, json_output: bool) -> None:
    """Run the flow cold, warm, and with L1 emptied; print a table, or JSON.

    Args:
        model: `provider:model`; None takes `COGNITION_MODEL`, else the local model.
        source: A file of texts; None reads the descriptions of installed packages.
        count: How many texts at most.
        json_output: Print JSON instead of tables.

    Raises:
        CognitionError: The texts, the model or the stores cannot be used.
    """
    model = model or os.environ.get("COGNITION_MODEL") or LOCAL_MODEL
    os.environ["COGNITION_MODEL"] = model
    os.environ.setdefault("COGNITION_PRICES", json.dumps(EXAMPLE_PRICES))
    console = Console(stderr=json_output)
    texts = read_documents(source, count)
    with console.status("Starting PostgreSQL and Valkey …"):
        engine = engine_for(Settings())
    # What an earlier demo left would make the cold pass warm.
    engine.cache.invalidate(namespace=NAMESPACE)
    with temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}), _progress(console, len(texts)) as track:
        answers, passes = _three_passes(engine, texts, track)
    ledger = _ledger(engine, passes)
    if json_output:
        result = {"model": model, "texts": len(texts), "passes": [one.figures() for one in passes], "ledger": ledger}
        typer_safe = result | {"answers": [{"summary": summary, "category": category} for summary, category in answers]}
        print(json.dumps(typer_safe, default=str, ensure_ascii=False))  # noqa: T201  what the user asked for
    else:
        _print(console, model, texts, answers, passes, ledger)


def _three_passes(
    engine: Cognition, texts: list[str], track: Callable[[Pass], Callable[[Event], None]]
) -> tuple[list[tuple[str, str]], list[Pass]]:
    passes = [Pass("cold"), Pass("warm"), Pass("L1 emptied")]
    answers: list[tuple[str, str]] = []
    current: Callable[[Event], None] | None = None

    def observe(event: Event) -> None:
        if current is not None:
            current(event)

    engine.observers.add(observe)
    for one in passes:
        if one is passes[2]:
            engine.cache.evict_from_l1(_known(passes))
        current = track(one)
        answers = describe.with_options(flow_run_name=one.name)(texts)
    return answers, passes


def _known(passes: list[Pass]) -> list[Address]:
    return [address for one in passes for address in one.addresses]


def _ledger(engine: Cognition, passes: list[Pass]) -> list[dict[str, Any]]:
    """Return what the ledger says about this demo's flow runs, by flow run and task."""
    rows: list[dict[str, Any]] = []
    for one in passes:
        runs = {answered.call.attribution.flow_run_id for answered in one.answers}
        for run in sorted(run for run in runs if run):
            rows.extend(
                {
                    "pass": one.name,
                    "flow_run": run,
                    "task": line.group["task"],
                    "calls": line.calls,
                    "attempts": line.attempts,
                    "cost_usd": line.cost_usd,
                    "saved_usd": line.saved_usd,
                }
                for line in engine.ledger.report(("task",), flow_run_id=run)
            )
    return rows


@contextmanager
def _progress(console: Console, texts: int) -> Generator[Callable[[Pass], Callable[[Event], None]]]:
    columns = (TextColumn("{task.description:<12}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:

        def track(one: Pass) -> Callable[[Event], None]:
            bar = progress.add_task(one.name, total=texts * _CALLS_PER_TEXT)

            def observe(event: Event) -> None:
                one.observe(event)
                progress.update(bar, completed=len(one.answers) + one.failed)

            return observe

        yield track


def _print(
    console: Console,
    model: str,
    texts: list[str],
    answers: list[tuple[str, str]],
    passes: list[Pass],
    ledger: list[dict[str, Any]],
) -> None:
    examples = Table("text", "summary", "category", title="What the model said (first three)", title_justify="left")
    for text, (summary, category) in list(zip(texts, answers, strict=True))[:3]:
        examples.add_row(text[:60] + "…", summary, category)
    console.print(examples)
    columns = ("pass", "calls", "L1", "L2", "provider", "median ms", "p95 ms", "cost", "saved")
    table = Table(*columns, title=f"{len(texts)} texts, {model}", title_justify="left")
    for one in passes:
        shown = one.figures()
        counts = (shown["calls"], *shown["layers"].values(), shown["median_ms"], shown["p95_ms"])
        table.add_row(one.name, *map(str, counts), f"${shown['cost_usd']}", f"${shown['saved_usd']}")
    console.print(table)
    names = ("pass", "flow_run", "task", "calls", "attempts", "cost_usd", "saved_usd")
    booked = Table(*names, title="The ledger, by flow run and task", title_justify="left")
    for row in ledger:
        booked.add_row(*(str(row[name]) for name in names))
    console.print(booked)
    if model == LOCAL_MODEL:
        price = EXAMPLE_PRICES[LOCAL_MODEL]
        console.print(
            f"Example price for the local model: ${price['input_per_million']} in and ${price['output_per_million']} out "
            "per million tokens."
        )
    kept_back = {reason: times for one in passes for reason, times in one.not_stored.items()}
    if kept_back:
        reasons = ", ".join(f"{times} × {reason}" for reason, times in kept_back.items())
        console.print(f"Answers that were not cached, because they are not finished: {reasons}.")
