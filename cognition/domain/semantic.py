"""What the semantic layer (L3) compares: texts, their vectors, and the neighbours found for them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from unicodedata import normalize

import numpy as np
from numpy.typing import NDArray
from pydantic_ai.messages import UserPromptPart

from cognition.domain.completion import CompletionRequest
from cognition.domain.entry import Address, CacheEntry

Vector = NDArray[np.float32]
"""One embedding: one dimension, unit length, so that the scalar product of two is their cosine similarity."""

Vectors = NDArray[np.float32]
"""Embeddings of some texts: one row a text, each of unit length."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbedderIdentity:
    """What makes vectors comparable: only those of one identity may be compared.

    Attributes:
        name: `provider:model`, such as `local:all-minilm-l6-v2`.
        revision: Digest or version of the weights; empty when the provider tells none.
        dimensions: Length of a vector.
        normalised: Whether vectors are scaled to unit length; always so as they leave an embedder.
    """

    name: str
    revision: str
    dimensions: int
    normalised: bool = True

    @property
    def fingerprint(self) -> str:
        """One text of the identity, as it stands in every row of L3."""
        scale = "unit" if self.normalised else "raw"
        return f"{self.name}@{self.revision[:16] or '-'}/{self.dimensions}/{scale}"


@dataclass(frozen=True, slots=True)
class ForeignRow:
    """A row of L3 whose vector is another embedder's.

    Attributes:
        id: Identifies it for `replace`, and grows with the time of storing.
        tenant: Whose it is.
        text: What is to be embedded.
    """

    id: int
    tenant: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is looked up in L3.

    Attributes:
        address: Where the exact answer would live; its scope is the only one searched.
        text: The text of the last user message.
        vector: Its embedding.
    """

    address: Address
    text: str
    vector: Vector

    @property
    def text_hash(self) -> bytes:
        """Identifies the text, see `hash_of`."""
        return hash_of(self.text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbour:
    """A stored answer whose question is near.

    Attributes:
        text: The text of the last user message that was answered.
        similarity: Cosine similarity of the two texts, 1 is identical.
        entry: The answer; `entry.key` is the exact key of its own question.
    """

    text: str
    similarity: float
    entry: CacheEntry


LabelSource = Literal["feedback", "shadow", "judge"]
"""Who said whether an answer would do: a person, a comparison with the provider's own answer, a judging model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """An asked question, the neighbour that answered it or would have, and how near they are.

    Attributes:
        tenant: Whose.
        namespace: In which namespace.
        fingerprint: Of the embedder that compared them.
        request_id: The call that asked.
        asked_key: Exact key of what was asked.
        cached_key: Exact key of the neighbour's own question.
        asked_text: What was asked.
        cached_text: What had been answered.
        similarity: Cosine similarity.
        score: What was compared with the threshold.
        served: Whether the neighbour's answer was given.
        at: When it was asked.
    """

    tenant: str
    namespace: str
    fingerprint: str
    request_id: str
    asked_key: bytes
    cached_key: bytes
    asked_text: str
    cached_text: str
    similarity: float
    score: float
    served: bool
    at: datetime


@dataclass(frozen=True, slots=True)
class Label:
    """A verdict on one pair.

    Attributes:
        score: What was compared with the threshold.
        right: Whether the neighbour's answer would do.
        source: Who says so.
        at: When it was said.
    """

    score: float
    right: bool
    source: LabelSource
    at: datetime


def asked_text(request: CompletionRequest) -> str | None:
    """Return the text of the last user message, the only thing in which two requests of one scope may differ.

    None when there is none, such as after a tool's answer: then only the exact layers apply.
    """
    if isinstance(request.prompt, str):
        return request.prompt
    for part in reversed(request.messages[-1].parts):
        if isinstance(part, UserPromptPart):
            items = [part.content] if isinstance(part.content, str) else part.content
            return "\n".join(item for item in items if isinstance(item, str)).strip() or None
    return None


def hash_of(text: str) -> bytes:
    """Return what identifies a text in the vector cache and in blocked pairs: SHA-256 of its NFC form in UTF-8."""
    return hashlib.sha256(normalize("NFC", text).encode("utf-8", "surrogatepass")).digest()
