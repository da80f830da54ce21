"""The command `cognition cache warm`."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import timedelta
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated, Any, cast

import typer

from cognition.adapters.prompt_file import read_wishes
from cognition.cli.hours import MOST_HOURS
from cognition.cli.options import command_of
from cognition.cli.output import AsJson, print_json
from cognition.domain.warming import WarmPlan
from cognition.errors import ConfigurationError
from cognition.runtime import Cognition


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the command can be told."""

    file: Annotated[
        Path | None,
        typer.Argument(
            help="JSON lines or CSV, also .gz: prompt, and model, namespace, instructions, settings where they differ."
        ),
    ] = None
    model: Annotated[str | None, typer.Option(help="The model to ask, as provider:model.")] = None
    namespace: Annotated[str | None, typer.Option(help="The namespace of the answers.")] = None
    instructions: Annotated[str | None, typer.Option(help="The system prompt of the calls.")] = None
    settings: Annotated[str | None, typer.Option(help='Model settings as JSON, such as {"temperature": 0}.')] = None
    max_cost_usd: Annotated[str | None, typer.Option(help="Ask for no more than this, such as 0.50.")] = None
    ahead_minutes: Annotated[
        float, typer.Option(help="Ask anew for what expires sooner.", min=0, max=MOST_HOURS * 60)
    ] = 10
    concurrency: Annotated[int, typer.Option(help="Calls side by side.", min=1, max=1000)] = 4
    least: Annotated[
        int | None, typer.Option(help="Leave what was asked less often; without a file at least twice.", min=0)
    ] = None
    hours: Annotated[float, typer.Option(help="How far to look back for that.", min=0, max=MOST_HOURS)] = 24
    limit: Annotated[int, typer.Option(help="At most so many lines or requests.", min=1)] = 10_000
    json_output: AsJson = False


def run(options: Options) -> None:
    """Ask for answers that are missing or about to expire, before anybody waits for them.

    Without a file: the requests that the ledger has seen most often, rebuilt from the questions that the semantic layer
    keeps. Those that were asked with other instructions or settings than these are left, and said to be.
    """
    plan = WarmPlan(
        max_cost_usd=_money(options.max_cost_usd),
        ahead=timedelta(minutes=options.ahead_minutes),
        concurrency=options.concurrency,
    )
    given: dict[str, Any] = {name: getattr(options, name) for name in ("model", "namespace", "instructions")}
    given["settings"] = _settings(options.settings)
    calls = {name: value for name, value in given.items() if value is not None}
    if options.file is None and calls.keys() & {"model", "namespace"}:
        raise ConfigurationError("Without a file, model and namespace are those of the ledger; leave out both.")
    window = timedelta(hours=options.hours)
    # Before anything is opened: what is wrong with the file should not cost a start of servers.
    wishes = None if options.file is None else read_wishes(options.file, options.limit)
    with Cognition.open() as engine:
        if wishes is None:
            least = 2 if options.least is None else options.least
            done = engine.warming.frequent(plan, least=least, window=window, limit=options.limit, **calls)
        else:
            done = engine.warming.wishes(wishes, plan, least=options.least or 0, window=window, **calls)
    if options.json_output:
        print_json(asdict(done))
    else:
        typer.echo(done.sentence)


warm = command_of(Options, run, {"model": "--model"})


def _money(text: str | None) -> Decimal | None:
    if text is None:
        return None
    try:
        amount = Decimal(text)
    except InvalidOperation:
        amount = Decimal(-1)
    if not amount.is_finite() or amount < 0:
        raise ConfigurationError(f"--max-cost-usd {text!r} is no amount; write US dollars, such as 0.50.")
    return amount


def _settings(text: str | None) -> dict[str, Any] | None:
    if text is None:
        return None
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise ConfigurationError(f'--settings {text!r} is no JSON object; write one such as {{"temperature": 0}}.')
    return cast("dict[str, Any]", value)
