"""How commands print: JSON for machines, tables for people."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

_FIGURES_BEGIN = frozenset("$0123456789")

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]


def print_json(content: object) -> None:
    """Print a value as JSON; decimals and times become texts, so that nothing is rounded, and durations seconds."""
    typer.echo(json.dumps(content, default=_plain, ensure_ascii=False))


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print rows under a title; figures stand to the right and are never broken."""
    table = Table(title=title, title_justify="left")
    for index, column in enumerate(columns):
        figures = all(_is_figure(row[index]) for row in rows)
        table.add_column(column, justify="right" if figures else "left", overflow="fold", no_wrap=figures)
    for row in rows:
        table.add_row(*["-" if cell is None else str(_plain(cell)) for cell in row])
    if rows:
        Console().print(table)
    else:
        typer.echo(f"{title}: nothing found.")


def local_time(at: datetime) -> str:
    """Return a time for people, in the time zone of this machine."""
    return at.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _is_figure(cell: object) -> bool:
    return isinstance(cell, int | float | Decimal) or (isinstance(cell, str) and cell[:1] in _FIGURES_BEGIN)


def _plain(value: object) -> object:
    if isinstance(value, Decimal):
        # Not in scientific notation, which a zero with places after its point would have.
        return f"{value:f}"
    return value.total_seconds() if isinstance(value, timedelta) else str(value)
