"""Rounds in which everybody takes a turn, in a new order each time; who cannot do a thing is asked once."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from benchmarks.peers.scene import Lacking, Worker


@dataclass(frozen=True)
class Task:
    """A figure that one round gives.

    Attributes:
        title: Of its table or column.
        work: What a worker does for it.
        figure: Which value of the result counts.
        options: Given the worker's name, what the work is told; None leaves the worker out.
    """

    title: str
    work: str
    figure: str
    options: Callable[[str], dict[str, Any] | None]


@dataclass
class Rounds:
    """What the rounds gave, by title and name, and why somebody has no figure."""

    samples: defaultdict[str, defaultdict[str, list[float]]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(list))
    )
    reasons: defaultdict[str, dict[str, str]] = field(default_factory=lambda: defaultdict(dict))
    _dice: random.Random = field(default_factory=lambda: random.Random(0))  # noqa: S311  no secret

    def play(self, workers: Mapping[str, Worker], tasks: list[Task], *, counts: bool = True) -> None:
        """Let everybody do every task once; a round that does not count warms up."""
        for task in tasks:
            for name, worker in self._dice.sample(list(workers.items()), len(workers)):
                options = task.options(name)
                if options is None or name in self.reasons[task.title]:
                    continue
                result = self.attempt(worker, task.title, task.work, **options)
                value = result.get(task.figure) if result else None
                if value is not None and counts:
                    self.samples[task.title][name].append(value)

    def attempt(self, worker: Worker, title: str, work: str, **options: Any) -> dict[str, Any] | None:
        """Have something done; None, and a reason is kept, where it cannot be."""
        try:
            return worker.do(work, **options)
        except Lacking as reason:
            self.reasons[title][worker.name] = str(reason)
            return None

    def found(self) -> dict[str, Any]:
        """Return everything as JSON has it."""
        samples = {title: dict(values) for title, values in self.samples.items()}
        return {"samples": samples, "reasons": {title: why for title, why in self.reasons.items() if why}}
