"""The command line: thin commands over services.

Packages above the engine bring commands of their own (`cognition demo` is a Prefect flow) through the entry points
`cognition.commands`, so that the engine knows nothing of Prefect.
"""

from __future__ import annotations

import sys
from importlib.metadata import entry_points
from importlib.metadata import version as metadata_version
from typing import Annotated

import typer

from cognition.cli.breaker import breaker_app
from cognition.cli.budget import budget_app
from cognition.cli.cache import cache_app, stats
from cognition.cli.database import db_app
from cognition.cli.doctor import doctor
from cognition.cli.exporter import exporter
from cognition.cli.ledger import report
from cognition.cli.servers import down, status, up
from cognition.errors import CognitionError

__all__ = ["app", "main", "with_other_packages"]

app = typer.Typer(
    name="cognition",
    help="LLM calls in Prefect flows that are cached, resilient and accounted for.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(metadata_version("prefect-cognition"))
        raise typer.Exit


Version = Annotated[bool, typer.Option("--version", help="Print the version.", is_eager=True, callback=_print_version)]


@app.callback()
def every_command(*, version: Version = False) -> None:
    """LLM calls in Prefect flows that are cached, resilient and accounted for."""
    del version


for command in (up, down, status, doctor, stats):
    app.command()(command)
app.command("report")(report)
app.command()(exporter)
app.add_typer(db_app, name="db")
app.add_typer(cache_app, name="cache")
app.add_typer(breaker_app, name="breaker")
app.add_typer(budget_app, name="budget")


def with_other_packages() -> typer.Typer:
    """Return the command line with the commands that packages above the engine bring."""
    for entry_point in entry_points(group="cognition.commands"):
        app.command(entry_point.name)(entry_point.load())
    return app


def main() -> None:
    """Run a command; errors are one sentence on standard error and exit code 1, wrong usage is exit code 2."""
    try:
        with_other_packages()()
    except CognitionError as error:
        typer.echo(f"Error: {error}", err=True)
        sys.exit(1)
