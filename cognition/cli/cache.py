"""The commands `cognition stats` and `cognition cache …`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Literal

import typer

from cognition.cli.explain import explain, report_bad_hit
from cognition.cli.hours import MOST_HOURS
from cognition.cli.options import command_of
from cognition.cli.output import AsJson, print_json, print_table
from cognition.cli.replay import replay
from cognition.cli.upkeep import build_index, reembed
from cognition.cli.warm import warm
from cognition.errors import ConfigurationError
from cognition.runtime import Cognition
from cognition.services.hit_rate_output import as_json, markdown

cache_app = typer.Typer(
    help="Explain look-ups, declare answers wrong, warm, replay a log, or tidy up.", no_args_is_help=True
)
cache_app.command()(explain)
cache_app.command()(report_bad_hit)
cache_app.command("replay")(replay)
cache_app.command("warm")(warm)
cache_app.command()(reembed)
cache_app.command()(build_index)

Hours = Annotated[float, typer.Option("--hours", help="How many hours back to count.", min=1, max=MOST_HOURS)]


Kind = Annotated[
    Literal["table", "markdown", "json"],
    typer.Option("--format", help="markdown and json: by namespace, model and workflow too, compared with before."),
]


def stats(hours: Hours = 24, kind: Kind = "table", json_output: AsJson = False) -> None:
    """Print how each cache layer served."""
    if kind != "table":
        with Cognition.open() as engine:
            rates = engine.reports.hit_rate(timedelta(hours=hours))
        if kind == "json":
            print_json(as_json(rates))
        else:
            typer.echo(markdown(rates), nl=False)
        return
    with Cognition.open() as engine:
        layers = engine.cache.stats(timedelta(hours=hours))
    if json_output:
        names = ("hits", "misses", "refusals", "corrupt", "stores", "saved_usd")
        print_json(
            [
                {"layer": one.layer, "hit_rate": one.hit_rate} | {name: getattr(one, name) for name in names}
                for one in layers
            ]
        )
        return
    rows = [
        (
            one.layer,
            one.hits,
            one.misses,
            f"{one.hit_rate:.1%}",
            one.refusals,
            one.corrupt,
            one.stores,
            f"${one.saved_usd:.6f}",
        )
        for one in layers
    ]
    columns = ("layer", "hits", "misses", "hit rate", "refused", "corrupt", "stores", "saved")
    print_table(f"The last {hours:g} hours", columns, rows)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wrong:
    """Which answers are declared wrong."""

    namespace: Annotated[str | None, typer.Option(help="All answers of a namespace.")] = None
    model: Annotated[str | None, typer.Option(help="All answers of a model, as provider:model.")] = None
    tag: Annotated[str | None, typer.Option(help="All answers that carry a tag, such as team:support.")] = None
    older_than_hours: Annotated[
        float | None, typer.Option(help="All answers older than this.", min=0, max=MOST_HOURS)
    ] = None
    similar_to: Annotated[str | None, typer.Option(help="All answers to questions like this one.")] = None
    above: Annotated[float, typer.Option(help="How like it at least, as cosine similarity.", min=0, max=1)] = 0.92
    json_output: AsJson = False


def invalidate(wrong: Wrong) -> None:
    """Remove answers from every layer, for every process; conditions that are given must all hold."""
    if all(one is None for one in (wrong.namespace, wrong.model, wrong.tag, wrong.older_than_hours, wrong.similar_to)):
        raise ConfigurationError(
            "Say what to invalidate, with --namespace, --model, --tag, --older-than-hours or --similar-to."
        )
    age = timedelta(hours=wrong.older_than_hours) if wrong.older_than_hours is not None else None
    with Cognition.open() as engine:
        dropped = engine.cache.invalidate(
            namespace=wrong.namespace,
            model=wrong.model,
            tag=wrong.tag,
            older_than=age,
            similar_to=wrong.similar_to,
            above=wrong.above,
        )
    if wrong.json_output:
        print_json({"dropped": dropped})
    else:
        typer.echo("Dropped " + ", ".join(f"{count} in {layer}" for layer, count in dropped.items()) + ".")


_AS_TYPED = {"similar_to": "--similar-to", "above": "--above"}

cache_app.command("invalidate")(command_of(Wrong, invalidate, _AS_TYPED))


@cache_app.command()
def purge(
    limit: Annotated[int, typer.Option(help="Delete at most so many.", min=1)] = 10_000, json_output: AsJson = False
) -> None:
    """Delete expired answers from L2."""
    with Cognition.open() as engine:
        purged = engine.cache.purge(limit)
    if json_output:
        print_json({"purged": purged})
    else:
        typer.echo(f"Purged {purged} expired entries.")
