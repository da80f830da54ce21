"""One pass of the demo, observed: who answered, how fast, at what price."""

from __future__ import annotations

import statistics
from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal
from threading import Lock
from typing import Any

from cognition.domain.entry import Address
from cognition.events import Answered, AnsweredMany, Event, Failed, NotStored


@dataclass(slots=True)
class Pass:
    """What one run of the flow did; an observer of the engine's events.

    Attributes:
        name: What is special about it.
        answers: Every answer, in the order they came.
        not_stored: Why answers were not kept, and how often.
        failed: How many calls ended in an error.
    """

    name: str
    answers: list[Answered] = field(default_factory=list[Answered])
    not_stored: Counter[str] = field(default_factory=Counter[str])
    failed: int = 0
    _lock: Lock = field(default_factory=Lock)

    def observe(self, event: Event) -> None:
        """Take an event into account."""
        with self._lock:
            match event:
                case Answered():
                    self.answers.append(event)
                case AnsweredMany():
                    self.answers.extend(event)
                case NotStored(reason=reason):
                    self.not_stored[reason] += 1
                case Failed():
                    self.failed += 1
                case _:
                    pass

    @property
    def addresses(self) -> list[Address]:
        """Where the answers live in the cache."""
        return [answered.address for answered in self.answers]

    def figures(self) -> dict[str, Any]:
        """Return the figures of the pass, as they are printed in JSON."""
        completions = [answered.completion for answered in self.answers]
        latencies = sorted(completion.latency.total_seconds() * 1000 for completion in completions)
        layers = Counter(str(completion.layer) for completion in completions)
        return {
            "name": self.name,
            "calls": len(completions),
            "layers": {layer: layers[layer] for layer in ("l1", "l2", "l3", "provider")},
            "failed": self.failed,
            "not_stored": dict(self.not_stored),
            "median_ms": round(statistics.median(latencies), 2) if latencies else None,
            "p95_ms": round(latencies[round(0.95 * (len(latencies) - 1))], 2) if latencies else None,
            "cost_usd": sum((completion.cost_usd or Decimal(0) for completion in completions), Decimal(0)),
            "saved_usd": sum((completion.saved_usd or Decimal(0) for completion in completions), Decimal(0)),
            "unpriced": sum(completion.cost_usd is None for completion in completions),
        }
