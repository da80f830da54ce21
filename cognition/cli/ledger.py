"""The command `cognition report`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, cast

import typer

from cognition.cli.hours import MOST_HOURS
from cognition.cli.output import AsJson, print_json, print_table
from cognition.domain.ledger import Dimension, ReportLine
from cognition.runtime import Cognition

# Few and short, for a terminal of 80 columns; machines get all.
_COLUMNS = ("calls", "hits", "tokens", "cost", "saved")
_FIGURES = ("calls", "hits", "attempts", "input_tokens", "output_tokens", "cost_usd", "saved_usd", "unpriced")


def report(
    by: Annotated[str, typer.Option(help="Dimensions, separated by commas.")] = "workflow,model",
    hours: Annotated[float, typer.Option(help="How many hours back.", min=0, max=MOST_HOURS)] = 24,
    flow_run: Annotated[str | None, typer.Option(help="Only one flow run and the subflows below it.")] = None,
    json_output: AsJson = False,
) -> None:
    """Print what calls cost and saved, dearest group first."""
    dimensions = cast("list[Dimension]", [name.strip() for name in by.split(",")])
    with Cognition.open() as engine:
        since = datetime.now(UTC) - timedelta(hours=hours)
        lines = engine.ledger.report(dimensions, since=since, flow_run_id=flow_run)
    if json_output:
        print_json([dict(line.group) | {name: getattr(line, name) for name in _FIGURES} for line in lines])
        return
    print_table(f"The last {hours:g} hours", [*dimensions, *_COLUMNS], [_row(line) for line in lines])
    if unpriced := sum(line.unpriced for line in lines):
        typer.echo(f"Attempts of unknown price, missing in the cost: {unpriced}.")


def _row(line: ReportLine) -> list[object]:
    tokens = line.input_tokens + line.output_tokens
    money = (f"${line.cost_usd:.6f}", f"${line.saved_usd:.6f}")
    return [*line.group.values(), line.calls, line.hits, f"{tokens:,}", *money]
