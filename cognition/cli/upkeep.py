"""The commands `cognition cache reembed` and `cognition cache build-index`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from cognition.cli.output import AsJson, print_json
from cognition.runtime import Cognition


def reembed(
    limit: Annotated[int, typer.Option(help="Look at most at so many answers.", min=1)] = 10_000,
    json_output: AsJson = False,
) -> None:
    """Let the present embedder find what was kept with another one; safe to stop and to run again."""
    with Cognition.open() as engine:
        done = engine.cache.reembed(limit)
    if json_output:
        print_json(asdict(done))
        return
    left = f" {done.left} are too long for it and stay where they are." if done.left else ""
    more = "" if done.done else " Run it again: more wait."
    typer.echo(f"Moved {done.moved} answers to the present embedder.{left}{more}")


def build_index(
    lists: Annotated[
        int | None,
        typer.Option(help="Groups of vectors; by default a thousandth of the rows, of millions their root.", min=1),
    ] = None,
    json_output: AsJson = False,
) -> None:
    """Build an IVFFlat index after a bulk load of the semantic layer, while others read and write."""
    with Cognition.open() as engine:
        name = engine.cache.build_vector_index(lists)
    if json_output:
        print_json({"index": name})
    else:
        typer.echo(f"Built {name}.")
