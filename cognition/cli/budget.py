"""The commands `cognition budget …` that say what may be spent and how that stands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from datetime import timedelta
from decimal import Decimal
from typing import Annotated, Any, cast

import typer

from cognition.cli.budget_alerts import acknowledge, list_alerts, resolve
from cognition.cli.budget_orders import By, Name, adjust_app, somebody
from cognition.cli.budget_upkeep import close, forecast, purge, reconcile
from cognition.cli.options import command_of
from cognition.cli.output import AsJson, local_time, print_json, print_table
from cognition.domain.budget import PERIODS, SCOPES, Budget
from cognition.domain.budget_change import changed, differences, same_budget
from cognition.domain.budget_name import name_of
from cognition.domain.pricing import dollars
from cognition.domain.reservation import Standing
from cognition.errors import ConfigurationError
from cognition.runtime import Cognition
from cognition.services.budget_control import Who

budget_app = typer.Typer(
    help="Say what may be spent, see how that stands, and look after alerts.", no_args_is_help=True
)
budget_app.add_typer(adjust_app, name="adjust")
budget_app.command("alerts")(list_alerts)
budget_app.command("ack")(acknowledge)
budget_app.command()(resolve)
for command in (forecast, reconcile, close, purge):
    budget_app.command()(command)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What may be spent; what is None stays as it is, or is what a new budget has by default."""

    scope: Annotated[str, typer.Option(help=f"Whose spend is limited: {', '.join(SCOPES)}.")]
    period: Annotated[str, typer.Option(help=f"After what time spending begins anew: {', '.join(PERIODS)}.")]
    limit: Annotated[str | None, typer.Option(help="How much, in US dollars, such as 5.00; a new one needs it.")] = None
    subject: Annotated[str, typer.Option(help="Which user, workflow …; * for each of them separately.")] = "*"
    length_hours: Annotated[int, typer.Option(help="Of a rolling period: how many hours.", min=0)] = 0
    timezone: Annotated[str | None, typer.Option(help="Whose calendar counts, such as Europe/Berlin, else UTC.")] = None
    week_start: Annotated[
        int | None, typer.Option(help="Of a weekly period: 1 is Monday, 7 is Sunday, else Monday.")
    ] = None
    soft_limit: Annotated[
        str | None, typer.Option(help="Share of the limit at which an alert is raised, else 0.8.")
    ] = None
    on_soft: Annotated[str | None, typer.Option(help="Beyond the soft limit: warn, or else downgrade.")] = None
    on_hard: Annotated[str | None, typer.Option(help="When a call no longer fits: block, or else downgrade.")] = None
    downgrade_to: Annotated[str | None, typer.Option(help="The cheaper model, as provider:model.")] = None
    on_unknown_price: Annotated[
        str | None, typer.Option(help="Calls of models whose price nobody knows: refuse, or else ceiling or allow.")
    ] = None
    price_ceiling: Annotated[str | None, typer.Option(help="What such a call sets aside under ceiling.")] = None
    on_store_down: Annotated[
        str | None, typer.Option(help="While PostgreSQL is away: closed, or else open or last_known.")
    ] = None
    last_known_minutes: Annotated[int | None, typer.Option(help="For how long last_known is good.", min=1)] = None
    by: By = None
    json_output: AsJson = False

    def named(self) -> dict[str, Any]:
        """Return the fields of a budget that were named; it refuses words that it does not know."""
        known = {name: value for name, value in asdict(self).items() if name not in _OF_OTHER_NAMES}
        minutes = self.last_known_minutes
        known |= {
            "limit_usd": self.limit,
            "length": timedelta(hours=self.length_hours),
            "price_ceiling_usd": self.price_ceiling,
            "last_known_max_age": None if minutes is None else timedelta(minutes=minutes),
        }
        return {name: value for name, value in known.items() if value is not None}


_OF_OTHER_NAMES = ("limit", "length_hours", "price_ceiling", "last_known_minutes", "by", "json_output")


def set_budget(wanted: Wanted) -> None:
    """Let a budget count from now on. Of one that is there only what is named is changed, and its spend stays.

    Scope, subject and period tell which one is meant, of a rolling one its length too.
    """
    named = wanted.named()
    with Cognition.open() as engine:
        before = same_budget(named, engine.budgets.list())
        budget = _new(named) if before is None else changed(before, named)
        budget_id = engine.budgets.set(budget, by=somebody(wanted.by))
    changes = None if before is None else differences(before, budget)
    if wanted.json_output:
        told = {"budget_id": budget_id, "name": name_of(budget), "limit_usd": budget.limit_usd}
        print_json(told | {"is_new": before is None, "changed": changes or {}})
        return
    limit = dollars(budget.limit_usd)
    typer.echo(f"{name_of(budget)} may spend {limit}, for every process; its id is {budget_id}.")
    if changes is not None:
        typer.echo(_changes_text(changes))


def _new(named: Mapping[str, Any]) -> Budget:
    if "limit_usd" not in named:
        raise ConfigurationError("A new budget needs a limit; add --limit with US dollars, such as --limit 5.00.")
    return Budget(**named)


def _changes_text(changes: Mapping[str, tuple[object, object]]) -> str:
    if not changes:
        return "It was so before."
    told = (f"{name} is {_word(new)}, it was {_word(old)}" for name, (old, new) in changes.items())
    return f"Changed: {'; '.join(told)}."


def _word(value: object) -> str:
    return f"{value.normalize():f}" if isinstance(value, Decimal) else "nothing" if value is None else str(value)


_AS_TYPED = {
    **{one.name: f"--{one.name.replace('_', '-')}" for one in fields(Wanted) if one.name not in _OF_OTHER_NAMES},
    "limit_usd": "--limit",
    "length": "--length-hours",
    "price_ceiling_usd": "--price-ceiling",
    "last_known_max_age": "--last-known-minutes",
}

budget_app.command("set")(command_of(Wanted, set_budget, _AS_TYPED))


@budget_app.command("list")
def list_budgets(json_output: AsJson = False) -> None:
    """Print all budgets, those that are off too."""
    with Cognition.open() as engine:
        budgets = engine.budgets.list()
    if json_output:
        print_json([asdict(one) for one in budgets])
        return
    columns = ("budget", "limit", "soft limit", "resets", "at the limit", "counts", "id")
    print_table("Budgets", columns, [_budget_row(one) for one in budgets])


@budget_app.command()
def deactivate(budget: Name, by: By = None, json_output: AsJson = False) -> None:
    """Let a budget limit nothing any more; set it again to let it count again."""
    with Cognition.open() as engine:
        off = engine.budgets.deactivate(budget, by=somebody(by))
    if json_output:
        print_json({"budget_id": off.budget_id, "active": off.active})
    else:
        typer.echo(f"{name_of(off)} limits nothing any more.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Whose:
    """Whose budgets are asked for."""

    user: Annotated[str | None, typer.Option(help="Those of a user.")] = None
    team: Annotated[str | None, typer.Option(help="Those of a team.")] = None
    workflow: Annotated[str | None, typer.Option(help="Those of a workflow.")] = None
    task: Annotated[str | None, typer.Option(help="Those of a task.")] = None
    model: Annotated[str | None, typer.Option(help="Those of a model, as provider:model.")] = None
    flow_run: Annotated[str | None, typer.Option(help="Those of a root flow run.")] = None
    json_output: AsJson = False


def status(whose: Whose) -> None:
    """Print how budgets stand: those that limit somebody's calls, or all, the latest used ones first."""
    named = {name: value for name, value in asdict(whose).items() if name in Who.__annotations__ and value}
    with Cognition.open() as engine:
        standings = engine.budgets.status(**cast("Who", named))
    if whose.json_output:
        print_json([_standing_json(one) for one in standings])
        return
    columns = ("budget", "spent", "set aside", "left", "of", "money is freed")
    print_table("Budgets", columns, [_standing_row(one) for one in standings])


budget_app.command("status")(command_of(Whose, status))


def _budget_row(one: Budget) -> tuple[object, ...]:
    resets = one.period if not one.length else f"rolling {one.length.total_seconds() / 3600:g} hours"
    return (
        f"{one.scope}:{one.subject}",
        dollars(one.limit_usd),
        f"{one.soft_limit:.0%}",
        resets if one.timezone == "UTC" else f"{resets}, {one.timezone}",
        one.on_hard if one.downgrade_to is None else f"{one.on_hard} ({one.downgrade_to})",
        "yes" if one.active else "no",
        one.budget_id,
    )


def _standing_row(one: Standing) -> tuple[object, ...]:
    return (
        one.name,
        dollars(one.used_usd),
        dollars(one.reserved_usd),
        dollars(one.remaining_usd),
        dollars(one.total_usd),
        "never" if one.resets_at is None else local_time(one.resets_at),
    )


def _standing_json(one: Standing) -> dict[str, object]:
    return {**asdict(one), "total_usd": one.total_usd, "remaining_usd": one.remaining_usd}
