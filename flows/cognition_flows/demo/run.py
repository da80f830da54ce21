"""Runs the demo's flows four times and watches them."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from cognition import Cognition
from cognition.events import Event
from cognition.runtime import engine_for
from cognition.settings import Settings
from cognition_flows.demo.documents import read_documents
from cognition_flows.demo.flow import NAMESPACE, describe, describe_again
from cognition_flows.demo.passes import Pass
from cognition_flows.demo.reworded import Decided, explain_reworded

LOCAL_MODEL = "local:smollm2-135m"

# What a small hosted model costs: an example, because a local model has no price.
EXAMPLE_PRICES = {LOCAL_MODEL: {"input_per_million": "0.15", "output_per_million": "0.60"}}

LOCAL_EMBEDDER = "local:all-minilm-l6-v2"

_CALLS_PER_TEXT = 2
_PATIENCE_SECONDS = "900"
_OTHER_TEXTS = 2

Track = Callable[[Pass], Callable[[Event], None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoResult:
    """What the demo did.

    Attributes:
        model: The model asked, as `provider:model`.
        texts: What it was asked about.
        answers: A summary and a category for each text.
        passes: The runs of the flows.
        decided: What L3 decided about each reworded prompt; empty without an embedder.
        ledger: What the ledger says about them, by flow run and task.
    """

    model: str
    texts: list[str]
    answers: list[tuple[str, str]]
    passes: list[Pass]
    decided: list[Decided]
    ledger: list[dict[str, Any]]


def run_demo(model: str | None, source: Path | None, count: int, *, quiet: bool) -> DemoResult:
    """Run the flow cold, warm, with L1 emptied, and once more with every prompt reworded.

    Args:
        model: `provider:model`; None takes `COGNITION_MODEL`, else the local model.
        source: A file of texts; None reads the descriptions of installed packages.
        count: How many texts at most.
        quiet: Show progress on standard error, so that standard output stays clean.

    Raises:
        CognitionError: The texts, the model or the stores cannot be used.
    """
    model = model or os.environ.get("COGNITION_MODEL") or LOCAL_MODEL
    os.environ["COGNITION_MODEL"] = model
    os.environ.setdefault("COGNITION_PRICES", json.dumps(EXAMPLE_PRICES))
    os.environ.setdefault("COGNITION_EMBEDDER", LOCAL_EMBEDDER)
    # A small machine that does something else as well may need minutes for a text.
    os.environ.setdefault("COGNITION_RESILIENCE__ATTEMPT_TIMEOUT", _PATIENCE_SECONDS)
    os.environ.setdefault("COGNITION_RESILIENCE__DEADLINE", _PATIENCE_SECONDS)
    # One call in a hundred more, in the background: the figures of the passes would not always add up.
    os.environ.setdefault("COGNITION_SEMANTIC__CHECK_SHARE", "0")
    console = Console(stderr=quiet)
    texts = read_documents(source, count)
    with console.status("Starting PostgreSQL and Valkey …"):
        engine = engine_for(Settings())
    # What an earlier demo left would make the cold pass warm.
    engine.cache.invalidate(namespace=NAMESPACE)
    with temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}), _progress(console, len(texts)) as track:
        answers, passes = _exact_passes(engine, texts, track)
        decided, reworded = _reworded_pass(engine, texts, track)
    passes.append(reworded)
    return DemoResult(
        model=model, texts=texts, answers=answers, passes=passes, decided=decided, ledger=_ledger(engine, passes)
    )


def _exact_passes(engine: Cognition, texts: list[str], track: Track) -> tuple[list[tuple[str, str]], list[Pass]]:
    passes = [Pass("cold"), Pass("warm"), Pass("L1 empty")]
    answers: list[tuple[str, str]] = []
    for one in passes:
        if one is passes[-1]:
            engine.cache.evict_from_l1([address for earlier in passes for address in earlier.addresses])
        observe = track(one)
        engine.observers.add(observe)
        answers = describe.with_options(flow_run_name=one.name)(texts)
        engine.observers.remove(observe)
    return answers, passes


def _reworded_pass(engine: Cognition, texts: list[str], track: Track) -> tuple[list[Decided], Pass]:
    """Ask the same in other words, and something else in almost the same words."""
    one, others = Pass("reworded"), texts[:_OTHER_TEXTS]
    decided = explain_reworded(engine, texts, others)
    observe = track(one)
    engine.observers.add(observe)
    describe_again.with_options(flow_run_name=one.name)(texts, others)
    engine.observers.remove(observe)
    return decided, one


def _ledger(engine: Cognition, passes: list[Pass]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for one in passes:
        runs = {answered.call.attribution.flow_run_id for answered in one.answers}
        for run in sorted(run for run in runs if run):
            rows.extend(
                {"pass": one.name, "flow_run": run, "task": line.group["task"], "calls": line.calls}
                | {"attempts": line.attempts, "cost_usd": line.cost_usd, "saved_usd": line.saved_usd}
                for line in engine.ledger.report(("task",), flow_run_id=run)
            )
    return rows


@contextmanager
def _progress(console: Console, texts: int) -> Generator[Track]:
    columns = (TextColumn("{task.description:<12}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    # In a log or a pipe bars would only stand between what is read there.
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:

        def track(one: Pass) -> Callable[[Event], None]:
            bar = progress.add_task(one.name, total=texts * _CALLS_PER_TEXT)

            def observe(event: Event) -> None:
                one.observe(event)
                progress.update(bar, completed=len(one.answers) + one.failed)

            return observe

        yield track
