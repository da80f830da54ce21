"""The commands `cognition budget forecast`, `reconcile`, `close` and `purge`."""

from __future__ import annotations

from dataclasses import asdict
from datetime import timedelta
from typing import Annotated

import typer

from cognition.cli.budget_orders import By, somebody
from cognition.cli.output import AsJson, local_time, print_json, print_table
from cognition.domain.adjustment import Drift
from cognition.domain.forecast import Forecast
from cognition.domain.pricing import dollars
from cognition.runtime import Cognition


def forecast(
    budget: Annotated[
        str | None, typer.Argument(help="Its id, or scope:subject such as workflow:nightly; by default all.")
    ] = None,
    json_output: AsJson = False,
) -> None:
    """Print when money is gone if spending goes on as it did in the present period."""
    with Cognition.open() as engine:
        told = engine.budgets.forecast(budget)
    if json_output:
        print_json([_forecast_json(one) for one in told])
        return
    columns = ("budget", "left", "an hour", "used up", "hours", "attempts")
    print_table("Forecast: mean hourly spend", columns, [_forecast_row(one) for one in told])


def reconcile(
    repair: Annotated[bool, typer.Option("--repair", help="Book what was not booked, adjust the rest.")] = False,
    reason: Annotated[str, typer.Option(help="Why, for those who wonder.")] = "reconciliation",
    by: By = None,
    json_output: AsJson = False,
) -> None:
    """Compare what budgets count with the reservations, adjustments and ledger rows that explain it."""
    with Cognition.open() as engine:
        drifts = engine.budgets.reconcile(repair=repair, by=somebody(by), reason=reason)
    if json_output:
        print_json([asdict(one) | {"excess_usd": one.excess_usd} for one in drifts])
        return
    columns = ("budget", "since", "counted", "settled", "booked", "not booked", "rows missing", "set aside", "held")
    print_table("Counters that differ", columns, [_drift_row(one) for one in drifts])
    if unbooked := sorted({str(call) for one in drifts for call in one.unbooked_calls}):
        typer.echo(f"Stand in the ledger, {'booked now' if repair else 'not booked'}: {', '.join(unbooked)}.")
    if drifts and repair:
        typer.echo(f"Made up for {sum(one.repairable for one in drifts)} of {len(drifts)}.")


def close(
    limit: Annotated[int, typer.Option("--limit", help="Close at most so many.", min=1)] = 10_000,
    json_output: AsJson = False,
) -> None:
    """Close periods that are over, end their alerts, and print what was spent in them."""
    with Cognition.open() as engine:
        closed = engine.budgets.close_periods(limit)
    if json_output:
        print_json([asdict(one) for one in closed])
        return
    rows = [
        (
            one.name,
            local_time(one.period_start),
            dollars(one.used_usd),
            dollars(one.limit_usd + one.credit_usd),
            one.calls,
            one.alerts_resolved,
        )
        for one in closed
    ]
    print_table("Closed periods", ("budget", "since", "spent", "of", "attempts", "alerts ended"), rows)


def purge(
    days: Annotated[int, typer.Option(help="Keep so many days.", min=1, max=36_500)] = 30,
    limit: Annotated[int, typer.Option("--limit", help="Delete at most so many.", min=1)] = 100_000,
    json_output: AsJson = False,
) -> None:
    """Delete reservations that ended long ago; what was spent stays counted."""
    with Cognition.open() as engine:
        purged = engine.budgets.purge(timedelta(days=days), limit)
    if json_output:
        print_json({"purged": purged})
    else:
        typer.echo(f"Deleted {purged} old reservations.")


def _forecast_row(one: Forecast) -> tuple[object, ...]:
    if one.exhausted_at is not None:
        when = local_time(one.exhausted_at)
    else:
        when = "not before money is freed" if one.hourly_usd is not None else "too little to go by"
    return (
        one.standing.name,
        dollars(one.standing.remaining_usd),
        None if one.hourly_usd is None else dollars(one.hourly_usd),
        when,
        one.hours,
        one.attempts,
    )


def _forecast_json(one: Forecast) -> dict[str, object]:
    standing = {name: getattr(one.standing, name) for name in ("budget_id", "scope", "subject", "period")}
    money = {"remaining_usd": one.standing.remaining_usd, "resets_at": one.standing.resets_at}
    names = ("method", "hours", "attempts", "hourly_usd", "exhausted_at")
    return standing | money | {name: getattr(one, name) for name in names}


def _drift_row(one: Drift) -> tuple[object, ...]:
    return (
        one.name,
        local_time(one.period_start),
        dollars(one.used_usd - one.reconciled_usd),
        dollars(one.settled_usd),
        dollars(one.booked_usd),
        dollars(one.unbooked_usd),
        one.missing_rows,
        dollars(one.reserved_usd),
        dollars(one.held_usd),
    )
