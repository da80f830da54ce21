"""Why a prompt would be answered from where it would be, in facts that people and machines can read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from cognition.domain.entry import Layer


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldIn:
    """What one exact layer holds under the prompt's own key.

    Attributes:
        layer: The layer.
        held: Whether it holds an answer that may be given.
        time_left: How long the answer still lives; None when there is none.
        origin: For a copy made for a similar question: the exact key of the question that was answered.
    """

    layer: Layer
    held: bool
    time_left: timedelta | None = None
    origin: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NearbyQuestion:
    """A question in the same scope whose answer was considered.

    Attributes:
        text: What had been asked.
        similarity: Cosine similarity, 1 is identical.
        score: How likely its answer does, 0 to 1; 0 when the guard refuses it.
        answers: Whether its answer may be given.
        reasons: Why it may not, in plain words; empty when it may.
        time_left: How long its answer still lives.
    """

    text: str
    similarity: float
    score: float
    answers: bool
    reasons: Sequence[str]
    time_left: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """What would happen to a prompt now, and why; nothing is asked, counted or changed by explaining.

    Attributes:
        model: The model that would be asked.
        tenant: Whose call it would be.
        namespace: In which namespace.
        exact_key: What the exact layers compare, in hexadecimal.
        scope_key: Inside which a similar prompt may answer, in hexadecimal.
        answered_by: The layer that would answer, or the provider.
        layers: What L1 and L2 hold.
        semantic: What L3 does about it, in one sentence.
        nearby: What L3 considered, nearest first.
    """

    model: str
    tenant: str
    namespace: str
    exact_key: str
    scope_key: str
    answered_by: Layer
    layers: Sequence[HeldIn]
    semantic: str
    nearby: Sequence[NearbyQuestion]
