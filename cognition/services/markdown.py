"""Tables in Markdown, as reports and Prefect's artifacts show them."""

from __future__ import annotations

from collections.abc import Sequence


def table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, names: int = 1) -> str:
    """Return a table.

    Args:
        columns: Their heads.
        rows: One text a column.
        names: How many columns on the left hold names; the others hold figures and stand to the right.
    """
    head = [_line(columns), _line(["---"] * names + ["---:"] * (len(columns) - names))]
    return "\n".join([*head, *(_line(row) for row in rows)])


def cell(text: str | None) -> str:
    """Return a name that cannot break out of its cell, a dash for none."""
    if text is None:
        return "-"
    return " ".join(text.split()).replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
