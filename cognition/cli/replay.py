"""The command `cognition cache replay`: what would the semantic layer do on my own traffic?"""

from __future__ import annotations

import time
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Self

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from cognition.cli.options import command_of
from cognition.cli.output import AsJson, print_json
from cognition.cli.replay_log import read_log
from cognition.cli.replay_output import Told, as_json, print_report
from cognition.cli.replay_plot import draw, require_plotting
from cognition.domain.semantic_policy import SemanticPolicy
from cognition.errors import ConfigurationError
from cognition.ports import Verifier
from cognition.services.replay import Plan, Replay
from cognition.settings import Settings
from cognition.wiring import embedder_alone, verifier_alone

_LOCAL = "local:all-minilm-l6-v2"


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the command can be told."""

    file: Annotated[Path, typer.Argument(help="A log: JSON lines or CSV, also .gz.")]
    embedder: Annotated[
        str | None, typer.Option(help=f"As provider:model; default: COGNITION_EMBEDDER, else {_LOCAL}.")
    ] = None
    verifier: Annotated[
        str | None, typer.Option(help="Also try it with a verifier, onnx:folder; default: COGNITION_VERIFIER.")
    ] = None
    k: Annotated[int | None, typer.Option("--k", help="How many neighbours are considered.", min=1, max=20)] = None
    thresholds: Annotated[str, typer.Option(help="What to try, separated by commas.")] = (
        "0.80,0.82,0.84,0.86,0.88,0.90,0.92,0.94,0.96,0.98"
    )
    max_error: Annotated[
        float | None, typer.Option(help="The share of wrong hits that is tolerated.", min=0.001, max=0.5)
    ] = None
    limit: Annotated[int, typer.Option(help="Read at most so many lines.", min=1)] = 50_000
    show: Annotated[int, typer.Option(help="Print so many wrong hits and refusals.", min=0)] = 0
    plot: Annotated[Path | None, typer.Option(help="Draw a PNG, which needs the extra `plot`.")] = None
    json_output: AsJson = False


def run(options: Options) -> None:
    """Replay logged calls: what would the semantic layer answer, how often rightly, and what would it save?

    Each line is one call, in order of time: `prompt`, or `messages`, whose last user's text is taken. Calls answer each
    other only when `tenant`, `namespace`, `model`, `instructions` and earlier messages are equal. Two calls with equal
    `label` may share an answer; without labels `answer` decides, to the letter, which is strict for prose. `cost_usd`
    is what a hit saves. Or each line is one pair: `cached`, `asked`, `answers` (true, false or null), and `weight`.
    """
    if options.plot is not None:
        require_plotting(options.plot)
    thresholds = _thresholds(options.thresholds)
    settings = Settings()
    policy = _policy(settings.semantic, options)
    log = read_log(options.file, options.limit)
    plan = Plan(thresholds=thresholds, policy=policy, show=options.show)
    name = options.embedder or settings.embedder or _LOCAL
    second = options.verifier or settings.verifier
    with embedder_alone(name) as embedder, _second_look(second) as verifier, _Bar() as bar:
        work = Replay(embedder, verifier, plan, bar.tell)
        report = work.of_calls(log.calls) if log.calls else work.of_pairs(log.pairs, log.stream_size)
    told = Told(log=log, embedder=name, verifier=second, policy=policy, seconds=bar.seconds())
    if options.plot is not None:
        draw(report, f"{options.file.name}: {report.calls:,.0f} calls, {name}", options.plot)
    if options.json_output:
        print_json(as_json(report, told))
    else:
        print_report(report, told)
        if options.plot is not None:
            typer.echo(f"The plot is in {options.plot}.")


replay = command_of(Options, run)


def _thresholds(text: str) -> list[float]:
    try:
        found = sorted({float(part) for part in text.split(",")})
    except ValueError:
        found = []
    if not found or not all(0 <= one <= 1 for one in found):
        raise ConfigurationError(f"The thresholds {text!r} cannot be used; write numbers from 0 to 1, such as 0.8,0.9.")
    return found


def _policy(policy: SemanticPolicy, options: Options) -> SemanticPolicy:
    if options.k is not None:
        policy = replace(policy, candidates=options.k)
    if options.max_error is not None:
        policy = replace(policy, max_error=options.max_error)
    return policy


def _second_look(name: str | None) -> AbstractContextManager[Verifier | None]:
    return nullcontext() if name is None else verifier_alone(name)


class _Bar:
    """A progress bar on standard error, where that is a terminal, and a stop-watch."""

    def __init__(self) -> None:
        console = Console(stderr=True)
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        self._progress = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
        self._task = self._progress.add_task("", total=None)
        self._started: dict[str, float] = {}
        self._ended = 0.0

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()
        self._ended = time.perf_counter()

    def tell(self, what: str, done: int, total: int) -> None:
        """Show how far it is."""
        if what not in self._started:
            self._started[what] = time.perf_counter()
            self._progress.reset(self._task, description=what)
        self._progress.update(self._task, completed=done, total=total)

    def seconds(self) -> dict[str, float]:
        """Return how long each step took."""
        starts = list(self._started.values())
        ends = [*starts[1:], self._ended]
        return {what: ends[place] - starts[place] for place, what in enumerate(self._started)}
