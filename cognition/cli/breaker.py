"""The commands `cognition breaker …`."""

from __future__ import annotations

import getpass
from datetime import timedelta
from typing import Annotated

import typer

from cognition.cli.output import AsJson, local_time, print_json, print_table
from cognition.domain.breaker import BreakerState
from cognition.domain.breaker_standing import Standing, Transition
from cognition.runtime import Cognition

breaker_app = typer.Typer(
    help="Look at the circuit breakers that all processes share, or overrule them.", no_args_is_help=True
)

Key = Annotated[str, typer.Argument(help="Which breaker, as `list` prints it, such as openai:gpt-5-mini@default.")]
By = Annotated[str | None, typer.Option("--by", help="Who orders it; by default your user name.")]
Reason = Annotated[str, typer.Option(help="Why, for those who wonder.")]


@breaker_app.command("list")
def list_breakers(json_output: AsJson = False) -> None:
    """Print how every breaker stands that ever saw a failure, a cool-down or an order."""
    with Cognition.open() as engine:
        standings = engine.breakers.list()
    if json_output:
        print_json([_standing_json(one) for one in standings])
        return
    columns = ("breaker", "state", "for", "failures in a row", "probes", "failed", "refused", "last failure", "note")
    print_table("Circuit breakers", columns, [_standing_row(one) for one in standings])


@breaker_app.command()
def force(
    key: Key,
    state: Annotated[str, typer.Argument(help="forced_open, disabled or metrics_only.")],
    reason: Reason,
    by: By = None,
    json_output: AsJson = False,
) -> None:
    """Stop all calls (forced_open), let all through (disabled), or let all through and count (metrics_only)."""
    with Cognition.open() as engine:
        transition = engine.breakers.force(key, state, by=by or getpass.getuser(), reason=reason)
    _print_order(transition, json_output=json_output)


@breaker_app.command()
def reset(key: Key, reason: Reason = "reset", by: By = None, json_output: AsJson = False) -> None:
    """Close a breaker, whatever it was, and forget its failures and its cool-down."""
    with Cognition.open() as engine:
        transition = engine.breakers.reset(key, by=by or getpass.getuser(), reason=reason)
    _print_order(transition, json_output=json_output)


@breaker_app.command()
def history(
    key: Annotated[str | None, typer.Argument(help="Only one breaker.")] = None,
    limit: Annotated[int, typer.Option(help="How many changes at most.", min=1, max=10_000)] = 50,
    json_output: AsJson = False,
) -> None:
    """Print how breakers changed their state, newest first."""
    with Cognition.open() as engine:
        transitions = engine.breakers.history(key, limit)
    if json_output:
        print_json([_transition_json(one) for one in transitions])
        return
    rows = [
        (local_time(one.at), one.key, one.from_state, one.to_state, one.cause, one.actor or one.worker, one.reason)
        for one in transitions
    ]
    print_table("Changes", ("at", "breaker", "from", "to", "cause", "by", "reason"), rows)


@breaker_app.command()
def purge(
    days: Annotated[int, typer.Option(help="Keep so many days.", min=0, max=36_500)] = 90,
    limit: Annotated[int, typer.Option(help="Delete at most so many.", min=1)] = 10_000,
    json_output: AsJson = False,
) -> None:
    """Delete old changes from the history."""
    with Cognition.open() as engine:
        purged = engine.breakers.purge(timedelta(days=days), limit)
    if json_output:
        print_json({"purged": purged})
    else:
        typer.echo(f"Deleted {purged} old changes.")


def _print_order(transition: Transition, *, json_output: bool) -> None:
    if json_output:
        print_json(_transition_json(transition))
    else:
        before, after = _words(transition.from_state), _words(transition.to_state)
        typer.echo(f"{transition.key} was {before} and is {after} now, for every process within a second.")


def _standing_row(one: Standing) -> tuple[object, ...]:
    wait = max(one.open_left, one.cooldown_left).total_seconds()
    forced = f"{one.forced.reason} ({one.forced.actor})" if one.forced else None
    return (
        one.key,
        _words(one.state),
        f"{wait:.0f} s" if wait else "",
        one.consecutive_failures,
        len(one.permits),
        one.totals.failures,
        one.totals.rejections,
        one.last_failure,
        forced or (f"cooling down: {one.cooldown_reason}" if one.cooldown_left else None),
    )


def _standing_json(one: Standing) -> dict[str, object]:
    return {
        "breaker": str(one.key),
        "provider": one.key.provider,
        "model": one.key.model,
        "credential_scope": one.key.credential_scope,
        "state": one.state,
        "generation": one.generation,
        "open_seconds": one.open_left.total_seconds(),
        "cooldown_seconds": one.cooldown_left.total_seconds(),
        "cooldown_reason": one.cooldown_reason if one.cooldown_left else None,
        "consecutive_failures": one.consecutive_failures,
        "probes": len(one.permits),
        "successes": one.totals.successes,
        "failures": one.totals.failures,
        "rejections": one.totals.rejections,
        "outdated": one.totals.outdated,
        "last_failure": one.last_failure,
        "last_failure_at": one.last_failure_at,
        "forced_by": one.forced.actor if one.forced else None,
        "forced_reason": one.forced.reason if one.forced else None,
    }


def _transition_json(one: Transition) -> dict[str, object]:
    return {
        "breaker": str(one.key),
        "from": one.from_state,
        "to": one.to_state,
        "generation": one.generation,
        "at": one.at,
        "cause": one.cause,
        "worker": one.worker,
        "actor": one.actor,
        "reason": one.reason,
        "open_seconds": one.open_seconds,
    }


def _words(state: BreakerState) -> str:
    return state.value.replace("_", " ")
