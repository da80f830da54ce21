"""The commands `cognition budget adjust …`."""

from __future__ import annotations

import getpass
from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated

import typer

from cognition.cli.output import AsJson, local_time, print_json, print_table
from cognition.domain.adjustment import Adjustment
from cognition.domain.pricing import dollars
from cognition.runtime import Cognition

adjust_app = typer.Typer(
    help="Change what may be spent in the present period; who and why is kept for good.", no_args_is_help=True
)

Name = Annotated[str, typer.Argument(help="Which budget: its id, or scope:subject such as workflow:nightly.")]
Amount = Annotated[str, typer.Argument(help="How much, in US dollars, such as 5.00.")]
By = Annotated[str | None, typer.Option("--by", help="Who says so; by default your user name.")]
Reason = Annotated[str, typer.Option(help="Why, for those who wonder.")]


def somebody(by: str | None) -> str:
    """Return who gives an order: who is named, or whose account it is."""
    return by or getpass.getuser()


@adjust_app.command("raise")
def raise_limit(budget: Name, amount: Amount, reason: Reason, by: By = None, json_output: AsJson = False) -> None:
    """Give more to spend in the present period; for good, set the budget anew."""
    with Cognition.open() as engine:
        made = engine.budgets.raise_limit(budget, amount, by=somebody(by), reason=reason)
    _print(made, json_output=json_output)


@adjust_app.command()
def reset(budget: Name, reason: Reason, by: By = None, json_output: AsJson = False) -> None:
    """Let spending begin anew; what was spent stays known, and alerts end."""
    with Cognition.open() as engine:
        made = engine.budgets.reset(budget, by=somebody(by), reason=reason)
    _print(made, json_output=json_output)


@adjust_app.command()
def transfer(
    source: Name,
    target: Annotated[str, typer.Argument(help="Who takes, named in the same way.")],
    amount: Amount,
    reason: Reason,
    json_output: AsJson = False,
) -> None:
    """Move money to another budget's present period, never more than is left; in your user name."""
    with Cognition.open() as engine:
        made = engine.budgets.transfer(source, target, amount, by=somebody(None), reason=reason)
    _print(made, json_output=json_output)


@adjust_app.command()
def history(
    limit: Annotated[int, typer.Option("--limit", help="How many at most.", min=1, max=10_000)] = 50,
    json_output: AsJson = False,
) -> None:
    """Print who adjusted what and why, newest first."""
    with Cognition.open() as engine:
        made = engine.budgets.adjustments(limit)
    if json_output:
        print_json([asdict(one) for one in made])
        return
    rows = [
        (local_time(one.created_at), one.kind, one.subject, dollars(one.amount_usd), one.actor, one.reason)
        for one in made
    ]
    print_table("Adjustments", ("at", "kind", "subject", "gives", "by", "reason"), rows)


def _print(made: Sequence[Adjustment], *, json_output: bool) -> None:
    if json_output:
        print_json([asdict(one) for one in made])
        return
    for one in made:
        typer.echo(f"{one.subject} may spend {dollars(one.amount_usd)} more in this period, for every process.")
    if not made:
        typer.echo("Nothing was spent, so that nothing was changed.")
