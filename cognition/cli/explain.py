"""The commands `cognition cache explain` and `cognition cache report-bad-hit`."""

from __future__ import annotations

import textwrap
from dataclasses import asdict
from datetime import timedelta
from typing import Annotated

import typer

from cognition.cli.options import naming_options
from cognition.cli.output import AsJson, print_json, print_table
from cognition.domain.explanation import Explanation
from cognition.runtime import Cognition

_WIDTH = 60

Model = Annotated[str | None, typer.Option(help="The model that would be asked, as provider:model.")]
Instructions = Annotated[str | None, typer.Option(help="The system prompt of the call.")]


def explain(
    prompt: Annotated[str, typer.Argument(help="What would be asked.")],
    model: Model = None,
    namespace: Annotated[str, typer.Option(help="The namespace of the call.")] = "default",
    instructions: Instructions = None,
    json_output: AsJson = False,
) -> None:
    """Say which layer would answer a prompt now and why, without asking or counting anything."""
    with naming_options({"model": "--model"}), Cognition.open() as engine:
        explanation = engine.cache.explain(prompt, model=model, namespace=namespace, instructions=instructions)
    if json_output:
        print_json(asdict(explanation))
    else:
        _print(explanation)


def report_bad_hit(
    request_id: Annotated[str, typer.Argument(help="The request_id of the completion that was wrong.")],
    json_output: AsJson = False,
) -> None:
    """Declare one answer wrong: it is dropped, and two questions that shared it never do so again."""
    with Cognition.open() as engine:
        done = engine.cache.report_bad_hit(request_id)
    if json_output:
        pair = done.pair and {"asked": done.pair.asked_text, "cached": done.pair.cached_text, "score": done.pair.score}
        print_json({"dropped": done.dropped, "pair": pair})
        return
    typer.echo("Dropped " + ", ".join(f"{count} in {layer}" for layer, count in done.dropped.items()) + ".")
    if done.pair is not None:
        typer.echo(f"Never again one answer for: {_short(done.pair.asked_text)} / {_short(done.pair.cached_text)}")


def _print(explanation: Explanation) -> None:
    typer.echo(f"Would be answered by {explanation.answered_by}.")
    typer.echo(f"exact key {explanation.exact_key}\nscope key {explanation.scope_key}")
    for held in explanation.layers:
        copied = " (a copy for a similar question)" if held.origin else ""
        left = f"holds an answer for another {_left(held.time_left)}{copied}" if held.time_left else "holds no answer"
        typer.echo(f"{held.layer}  {left}")
    typer.echo(f"l3  {explanation.semantic}")
    if explanation.nearby:
        rows = [
            (_short(near.text), f"{near.similarity:.3f}", f"{near.score:.3f}", "; ".join(near.reasons) or "answers")
            for near in explanation.nearby
        ]
        print_table("Near questions", ("asked before", "similarity", "score", "verdict"), rows)


def _left(time: timedelta) -> str:
    return str(timedelta(seconds=round(time.total_seconds())))


def _short(text: str) -> str:
    return textwrap.shorten(text, _WIDTH, placeholder=" …")
