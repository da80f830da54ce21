"""The command `cognition report`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Literal, cast

import typer

from cognition.cli.hours import MOST_HOURS
from cognition.cli.options import command_of
from cognition.cli.output import AsJson, print_json, print_table
from cognition.domain.charges import ChargedTo
from cognition.domain.ledger import Dimension, ReportLine
from cognition.errors import ConfigurationError
from cognition.runtime import Cognition
from cognition.services.chargeback import CUTS, Format

# Few and short, for a terminal of 80 columns; machines get all.
_COLUMNS = ("calls", "hits", "tokens", "cost", "saved")
_FIGURES = ("calls", "hits", "attempts", "input_tokens", "output_tokens", "cost_usd", "saved_usd", "unpriced")
_BY = "workflow,model"
_HOURS = 24.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What the command can be told."""

    by: Annotated[
        str | None, typer.Option(help=f"Dimensions, separated by commas; default: {_BY}, in files all of them.")
    ] = None
    hours: Annotated[
        float | None, typer.Option(help=f"How many hours back; default: {_HOURS:g}.", min=0, max=MOST_HOURS)
    ] = None
    since: Annotated[str | None, typer.Option(help="From this day or time on, such as 2026-11-01; UTC.")] = None
    until: Annotated[str | None, typer.Option(help="Up to but excluding this day or time.")] = None
    flow_run: Annotated[str | None, typer.Option(help="Only one flow run and the subflows below it.")] = None
    call: Annotated[
        str | None, typer.Option(help="Only one call, by the request_id of its completion, whenever it was.")
    ] = None
    kind: Annotated[
        Literal["table", "csv", "markdown", "json"],
        typer.Option("--format", help="csv, markdown and json are cut along each dimension by itself."),
    ] = "table"
    output: Annotated[Path | None, typer.Option(help="Write to a file.")] = None
    json_output: AsJson = False


def run(wanted: Wanted) -> None:
    """Print what calls cost and saved, dearest group first; or write a chargeback that adds up to the last digit.

    A table has a line for each combination of the dimensions. With `--format csv`, `markdown` or `json` the ledger is
    cut along each dimension by itself: workflow, flow_run, task, user, team, model, layer and day; the lines of each
    cut add up to the same total.
    """
    since, until = (None, None) if wanted.call else _period(wanted)
    if wanted.kind != "table":
        _charge_back(wanted, since, until)
        return
    if wanted.output is not None:
        raise ConfigurationError("A table is for a terminal; add --format csv, markdown or json to --output.")
    dimensions = cast("list[Dimension]", _names(wanted.by or _BY))
    with Cognition.open() as engine:
        lines = engine.ledger.report(
            dimensions, since=since, until=until, flow_run_id=wanted.flow_run, request_id=wanted.call
        )
    if wanted.json_output:
        print_json([dict(line.group) | {name: getattr(line, name) for name in _FIGURES} for line in lines])
        return
    print_table(_title(wanted, since, until), [*dimensions, *_COLUMNS], [_row(line) for line in lines])
    if unpriced := sum(line.unpriced for line in lines):
        typer.echo(f"Attempts of unknown price, missing in the cost: {unpriced}.")


report = command_of(Wanted, run)


def _charge_back(wanted: Wanted, since: datetime | None, until: datetime | None) -> None:
    if wanted.flow_run or wanted.call or wanted.json_output:
        raise ConfigurationError(
            "A chargeback covers all calls and has a --format; leave out --flow-run, --call and --json."
        )
    cuts = cast("list[ChargedTo]", _names(wanted.by) if wanted.by else list(CUTS))
    with Cognition.open() as engine:
        text = engine.reports.costs(cuts, since=since, until=until).render(cast("Format", wanted.kind))
    if wanted.output is None:
        typer.echo(text, nl=False)
        return
    try:
        wanted.output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"{wanted.output} cannot be written ({error.strerror}).") from error
    typer.echo(f"The report is in {wanted.output}.")


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",")]


def _period(wanted: Wanted) -> tuple[datetime | None, datetime | None]:
    """Return from when to when; without a word about it, the last hours."""
    if wanted.hours is not None and (wanted.since or wanted.until):
        raise ConfigurationError("Say either --hours or --since and --until.")
    if wanted.since or wanted.until:
        return _moment("--since", wanted.since), _moment("--until", wanted.until)
    return datetime.now(UTC) - timedelta(hours=_HOURS if wanted.hours is None else wanted.hours), None


def _moment(option: str, text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigurationError(f"{option} {text!r} is no time; write 2026-11-01 or 2026-11-01T08:00+01:00.") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _title(wanted: Wanted, since: datetime | None, until: datetime | None) -> str:
    if wanted.call:
        return f"Call {wanted.call}"
    if not (wanted.since or wanted.until):
        return f"The last {_HOURS if wanted.hours is None else wanted.hours:g} hours"
    return " ".join(
        f"{word} {moment:%Y-%m-%d %H:%M %Z}" for word, moment in (("Since", since), ("until", until)) if moment
    )


def _row(line: ReportLine) -> list[object]:
    tokens = line.input_tokens + line.output_tokens
    money = (f"${line.cost_usd:.6f}", f"${line.saved_usd:.6f}")
    return [*line.group.values(), line.calls, line.hits, f"{tokens:,}", *money]
