"""The commands `cognition budget alerts`, `ack` and `resolve`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, cast

import typer

from cognition.cli.budget_orders import By, somebody
from cognition.cli.output import AsJson, local_time, print_json, print_table
from cognition.domain.budget_alert import ALERT_STATES, Alert, AlertState
from cognition.domain.pricing import dollars
from cognition.runtime import Cognition

_ID_LETTERS = 8  # enough for `ack` and `resolve`, and for a terminal of 80 columns

AlertId = Annotated[str, typer.Argument(help="Which alert, as `alerts` prints it.")]
Note = Annotated[str, typer.Option(help="What others should know.")]


def list_alerts(
    state: Annotated[
        str | None, typer.Option(help=f"Only {', '.join(ALERT_STATES)} ones; by default all that are not resolved.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", help="How many at most.", min=1, max=10_000)] = 100,
    json_output: AsJson = False,
) -> None:
    """Print which limits were reached, newest first."""
    with Cognition.open() as engine:
        alerts = engine.budgets.alerts(cast("AlertState | None", state), limit)
    if json_output:
        print_json([asdict(one) for one in alerts])
        return
    columns = ("id", "at", "budget", "reached", "spent", "of", "state")
    print_table("Alerts", columns, [_row(one) for one in alerts])


def acknowledge(alert_id: AlertId, note: Note = "", by: By = None, json_output: AsJson = False) -> None:
    """Take notice of an alert; whoever was first stays named."""
    with Cognition.open() as engine:
        alert = engine.budgets.acknowledge(alert_id, by=somebody(by), note=note)
    _print(alert, json_output=json_output)


def resolve(alert_id: AlertId, note: Note = "", by: By = None, json_output: AsJson = False) -> None:
    """End an alert."""
    with Cognition.open() as engine:
        alert = engine.budgets.resolve(alert_id, by=somebody(by), note=note)
    _print(alert, json_output=json_output)


def _print(alert: Alert, *, json_output: bool) -> None:
    if json_output:
        print_json(asdict(alert))
    else:
        typer.echo(f"The alert of the {alert.name} is {alert.state} by {alert.acknowledged_by}.")


def _row(one: Alert) -> tuple[object, ...]:
    return (
        str(one.alert_id)[:_ID_LETTERS],
        local_time(one.created_at),
        one.name,
        f"{one.threshold:.0%}",
        dollars(one.used_usd),
        dollars(one.limit_usd),
        f"{one.state} by {one.acknowledged_by} {one.note or ''}".strip() if one.acknowledged_by else one.state,
    )
