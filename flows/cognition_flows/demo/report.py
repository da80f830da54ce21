"""Prints what the demo did."""

from __future__ import annotations

import textwrap
from dataclasses import asdict
from datetime import timedelta
from decimal import Decimal

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from cognition.cli.output import print_json
from cognition_flows.demo.run import EXAMPLE_PRICES, DemoResult

_SHOWN_ANSWERS = 3
_LEDGER_COLUMNS = ("pass", "flow run", "task", "calls", "attempts", "cost", "saved")


def print_demo(result: DemoResult, *, as_json: bool) -> None:
    """Print tables for people, or JSON for machines."""
    if as_json:
        answers = [{"summary": summary, "category": category} for summary, category in result.answers]
        passes = [one.figures() for one in result.passes]
        print_json(
            {"model": result.model, "texts": len(result.texts), "passes": passes, "ledger": result.ledger}
            | {"answers": answers, "reworded": [asdict(one) for one in result.decided]}
        )
        return
    console = Console()
    for part in (_answers(result), _passes(result), _decided(result), _ledger(result), *_notes(result)):
        console.print(part)


def _answers(result: DemoResult) -> Table:
    title = f"What {result.model} said (first {_SHOWN_ANSWERS})"
    table = Table("text", "summary", "category", title=title, title_justify="left")
    for text, (summary, category) in list(zip(result.texts, result.answers, strict=True))[:_SHOWN_ANSWERS]:
        table.add_row(textwrap.shorten(text, 60, placeholder=" …"), summary, category)
    return table


def _passes(result: DemoResult) -> Table:
    columns = ("pass", "calls", "L1", "L2", "L3", "LLM", "median", "95 %", "cost", "saved")
    # Without frames, so that all of it fits into 80 columns, which is what logs and pipes have.
    table = Table(
        *columns,
        title=f"{len(result.texts)} texts, {result.model}",
        title_justify="left",
        box=SIMPLE,
        padding=(0, 1, 0, 0),
    )
    for one in result.passes:
        shown = one.figures()
        counts = map(str, (shown["calls"], *shown["layers"].values()))
        waits = (_milliseconds(shown["median_ms"]), _milliseconds(shown["p95_ms"]))
        table.add_row(one.name, *counts, *waits, _dollars(shown["cost_usd"]), _dollars(shown["saved_usd"]))
    return table


def _decided(result: DemoResult) -> Table:
    """Show a few hits, and every prompt that looks the same and was refused."""
    title = "What the semantic layer (L3) said to reworded prompts"
    table = Table("asked", "similarity", "score", "decision", title=title, title_justify="left")
    given = [one for one in result.decided if one.answered][:_SHOWN_ANSWERS]
    for one in (*given, *(one for one in result.decided if not one.answered)):
        figures = ("-" if value is None else f"{value:.3f}" for value in (one.similarity, one.score))
        verdict = "answered" if one.answered else "refused"
        table.add_row(textwrap.shorten(one.prompt, 60, placeholder=" …"), *figures, f"{verdict}: {one.reason}")
    return table


def _ledger(result: DemoResult) -> Table:
    table = Table(*_LEDGER_COLUMNS, title="The ledger, by flow run and task", title_justify="left")
    for row in result.ledger:
        counts = map(str, (row["calls"], row["attempts"]))
        money = (_dollars(row["cost_usd"]), _dollars(row["saved_usd"]))
        table.add_row(row["pass"], row["flow_run"][:8], row["task"], *counts, *money)
    return table


def _milliseconds(value: float | None) -> str:
    if value is None:
        return "-"
    seconds = timedelta(milliseconds=value).total_seconds()
    return f"{seconds:.1f} s" if seconds >= 1 else f"{value:.1f} ms"


def _dollars(value: Decimal) -> str:
    return f"${value:.6f}"


def _notes(result: DemoResult) -> list[str]:
    notes: list[str] = []
    if price := EXAMPLE_PRICES.get(result.model):
        notes.append(
            f"Example price of the local model: ${price['input_per_million']} in and "
            f"${price['output_per_million']} out per million tokens."
        )
    reasons = [f"{times} times {reason}" for one in result.passes for reason, times in one.not_stored.items()]
    if reasons:
        notes.append(f"Answers that were not cached: {', '.join(reasons)}.")
    return notes
