"""Questions with vectors for tests of the semantic layer."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

import numpy as np
from pydantic_ai.messages import (
    BinaryImage,
    ModelMessage,
    ModelRequest,
    ModelResponse,
    SystemPromptPart,
    TextPart,
    UserPromptPart,
)

from cognition.domain.completion import CompletionRequest
from cognition.domain.entry import CacheEntry
from cognition.domain.fingerprint import address_of
from cognition.domain.semantic import Pair, Question, Vector
from cognition.testing.contracts.samples import MODEL, NOON, an_entry

DIMENSIONS = 384
EMBEDDER = "local:test@1/384/unit"


def a_vector(seed: int = 0) -> Vector:
    """Return a unit vector; those of two seeds are nearly at right angles."""
    vector = np.random.default_rng(seed).standard_normal(DIMENSIONS)
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def near(vector: Vector, similarity: float, seed: int = 1) -> Vector:
    """Return a unit vector that has this cosine similarity to another.

    Args:
        vector: The other.
        similarity: From -1 to 1.
        seed: In which direction it departs.
    """
    away = a_vector(seed).astype(np.float64)
    away -= vector * (away @ vector)
    away /= np.linalg.norm(away)
    return (similarity * vector + np.sqrt(1 - similarity**2) * away).astype(np.float32)


def a_question(text: str = "What is a circuit breaker?", vector: Vector | None = None, **where: Any) -> Question:
    """Return a question.

    Args:
        text: The last user message.
        vector: Its embedding.
        **where: Other fields of `CompletionRequest`; besides `system`, `earlier` and `image` for messages around it.
    """
    around = {name: where.pop(name, None) for name in ("system", "earlier", "image")}
    place: dict[str, Any] = {"model": MODEL, "tenant": "acme", "namespace": "support", **where}
    request = CompletionRequest(prompt=_messages(text, **around) if any(around.values()) else text, **place)
    return Question(address=address_of(request), text=text, vector=a_vector() if vector is None else vector)


def an_answer_to(question: Question, text: str = "It stops calls.", **changes: Any) -> tuple[Question, CacheEntry]:
    """Return a question with an entry for it, as `put` takes them.

    Args:
        question: The question.
        text: The answer.
        **changes: Fields of `CacheEntry` with other values.
    """
    return question, an_entry(question.address, text, **changes)


def a_pair(asked: Question, cached: Question, at: datetime = NOON, **changes: Any) -> Pair:
    """Return the pair of an asked question and the neighbour it met.

    Args:
        asked: What was asked.
        cached: What had been answered.
        at: When.
        **changes: Fields of `Pair` with other values.
    """
    pair = Pair(
        tenant=asked.address.tenant,
        namespace=asked.address.namespace,
        fingerprint=EMBEDDER,
        request_id="call-1",
        asked_key=asked.address.key,
        cached_key=cached.address.key,
        asked_text=asked.text,
        cached_text=cached.text,
        similarity=0.95,
        score=0.94,
        served=True,
        at=at,
    )
    return replace(pair, **changes)


def _messages(text: str, system: str | None, earlier: str | None, image: bytes | None) -> list[ModelMessage]:
    before: list[ModelMessage] = []
    if earlier:
        before = [ModelRequest(parts=[UserPromptPart(earlier)]), ModelResponse(parts=[TextPart("Yes.")])]
    content = [text, BinaryImage(image, media_type="image/png")] if image else text
    first = [SystemPromptPart(system)] if system else []
    return [*before, ModelRequest(parts=[*first, UserPromptPart(content)])]
