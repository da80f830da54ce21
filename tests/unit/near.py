"""Questions that mean the same and questions that do not, and an engine that answers the former from L3."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

from cognition import CachePolicy, SemanticPolicy, Settings
from cognition.adapters.memory import MemoryEmbedder
from cognition.domain.pricing import Rate
from cognition.resilience.policy import ResiliencePolicy
from tests.unit.memory_engine import MODEL, OpenProvider, Rig

# The embedder of the tests sees words only, whatever their case and what stands between them.
CACHED = "How do I reset my password?"
ASKED = "how do I reset my password"
ASKED_TOO = "How do I reset my password, please?"
ASKED_THEN = "How do I reset my password ?"
ASKED_LAST = "how do I reset my password??"
NEGATED = "How do I not reset my password?"
FAR = "Which trains run to Lisbon on Sundays?"
FAR_AGAIN = "Which trains run to Lisbon on Sundays ?"

# Low enough for every score that tells a paraphrase from the rest; nothing is left to chance.
LENIENT = SemanticPolicy(threshold=0.5, floor=0.5, check_share=0.0)
CHECKED = replace(LENIENT, check_share=1.0)
SHADOW = replace(LENIENT, mode="shadow")
COST = Decimal("0.0004")  # 1000 and 100 tokens at the prices below
LIVES = CachePolicy(l1_ttl=timedelta(minutes=5), l2_ttl=timedelta(hours=1), l3_ttl=timedelta(hours=24), jitter=0.0)

SETTINGS = Settings(
    model=MODEL,
    cache=LIVES,
    semantic=LENIENT,
    resilience=ResiliencePolicy(attempts=1),
    prices={MODEL: Rate(input_per_million=Decimal("0.2"), output_per_million=Decimal(2))},
)

MakeNear = Callable[..., Rig]


def near_parts(**parts: Any) -> dict[str, Any]:
    """Return the parts of a rig with a semantic layer whose provider answers every prompt by its own text."""
    return {"provider": OpenProvider(), "settings": SETTINGS, "embedder": MemoryEmbedder()} | parts


def asked_of_provider(rig: Rig) -> list[Any]:
    """Return the prompts that reached the provider, in order."""
    assert isinstance(rig.provider, OpenProvider)
    return [request.prompt for request in rig.provider.requests]


def embedded(rig: Rig) -> list[str]:
    """Return the texts that the embedder was asked for, in order."""
    assert rig.embedder is not None
    return rig.embedder.embedded
