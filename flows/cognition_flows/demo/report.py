"""Prints what the demo did."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from cognition.cli.output import print_json
from cognition_flows.demo.run import EXAMPLE_PRICES, DemoResult

_SHOWN_ANSWERS = 3
_LEDGER_COLUMNS = ("pass", "flow_run", "task", "calls", "attempts", "cost_usd", "saved_usd")


def print_demo(result: DemoResult, *, as_json: bool) -> None:
    """Print tables for people, or JSON for machines."""
    if as_json:
        answers = [{"summary": summary, "category": category} for summary, category in result.answers]
        passes = [one.figures() for one in result.passes]
        print_json(
            {"model": result.model, "texts": len(result.texts), "passes": passes, "ledger": result.ledger}
            | {"answers": answers}
        )
        return
    console = Console()
    for part in (_answers(result), _passes(result), _ledger(result), *_notes(result)):
        console.print(part)


def _answers(result: DemoResult) -> Table:
    title = f"What {result.model} said (first {_SHOWN_ANSWERS})"
    table = Table("text", "summary", "category", title=title, title_justify="left")
    for text, (summary, category) in list(zip(result.texts, result.answers, strict=True))[:_SHOWN_ANSWERS]:
        table.add_row(text[:60] + "…", summary, category)
    return table


def _passes(result: DemoResult) -> Table:
    columns = ("pass", "calls", "L1", "L2", "provider", "median ms", "p95 ms", "cost", "saved")
    table = Table(*columns, title=f"{len(result.texts)} texts, {result.model}", title_justify="left")
    for one in result.passes:
        shown = one.figures()
        counts = (shown["calls"], *shown["layers"].values(), shown["median_ms"], shown["p95_ms"])
        table.add_row(one.name, *map(str, counts), f"${shown['cost_usd']}", f"${shown['saved_usd']}")
    return table


def _ledger(result: DemoResult) -> Table:
    table = Table(*_LEDGER_COLUMNS, title="The ledger, by flow run and task", title_justify="left")
    for row in result.ledger:
        table.add_row(*(str(row[name]) for name in _LEDGER_COLUMNS))
    return table


def _notes(result: DemoResult) -> list[str]:
    notes: list[str] = []
    if price := EXAMPLE_PRICES.get(result.model):
        notes.append(
            f"Example price of the local model: ${price['input_per_million']} in and "
            f"${price['output_per_million']} out per million tokens."
        )
    reasons = [f"{times} times {reason}" for one in result.passes for reason, times in one.not_stored.items()]
    if reasons:
        notes.append(f"Some answers were not cached, because they are not finished: {', '.join(reasons)}.")
    return notes
