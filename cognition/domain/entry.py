"""A cached answer and what a look-up found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

from pydantic_ai.messages import ModelResponse

from cognition.domain.deferred import Deferred

FIRST_GENERATION = 1
"""Generation of a namespace that was never invalidated."""


class Layer(StrEnum):
    """Where an answer came from, fastest first."""

    L1 = "l1"
    L2 = "l2"
    L3 = "l3"
    PROVIDER = "provider"


@dataclass(frozen=True, slots=True)
class Address:
    """Where an entry lives in every layer.

    Attributes:
        tenant: Whose entry it is; already part of the key, repeated so that stores can filter and index by it.
        namespace: The group that is invalidated together.
        key: The exact key, 32 bytes.
        scope_key: Inside which a similar prompt may answer, 32 bytes.
    """

    tenant: str
    namespace: str
    key: bytes
    scope_key: bytes

    def __hash__(self) -> int:
        """Hash the key alone: it is a digest of everything else, and addresses are looked up a lot."""
        return hash(self.key)


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheEntry(Deferred):
    """An answer as every layer keeps it.

    Attributes:
        key: The exact key in hexadecimal; a value found under another key is foreign and counts as corrupt.
        generation: Generation of the namespace in which it was stored.
        model: The model that answered, as `provider:model`.
        requested_model: The model that was asked for; another one after a fallback.
        response: The provider's answer.
        cost_usd: What the call cost, None when the price was unknown.
        created_at: When the provider answered; copies in faster layers keep it.
        expires_at: End of this copy's life; a copy never outlives the one it was made from.
        request_id: The call that produced it.
        tags: Labels for `invalidate(tag=...)`.
        origin: For a copy made for a similar question: the exact key, in hexadecimal, of the question that was
            answered; None for an answer to the question itself.
        similarity: Cosine similarity of the two questions; None for an answer to the question itself.
        written: The stored form, once a codec has made or read it, for what all copies of the entry have in common.
            Those made by `lasting_until` and `of_generation` share it; one made by `replace` starts without.
    """

    key: str
    generation: int
    model: str
    requested_model: str
    response: ModelResponse
    cost_usd: Decimal | None
    created_at: datetime
    expires_at: datetime
    request_id: str
    tags: tuple[str, ...] = ()
    origin: str | None = None
    similarity: float | None = None
    written: list[bytes] = field(default_factory=list[bytes], init=False, repr=False, compare=False)

    def is_fresh(self, now: datetime) -> bool:
        """Whether the entry may still answer."""
        return now < self.expires_at

    def expiring_at(self, when: datetime) -> CacheEntry:
        """Return a copy that ends at a given time, or earlier when this one does: a copy never prolongs a life."""
        return self if when >= self.expires_at else self.lasting_until(when)

    def lasting_until(self, when: datetime) -> CacheEntry:
        """Return the same answer with another end."""
        return self._copy(self.generation, when)

    def of_generation(self, generation: int) -> CacheEntry:
        """Return the same answer as a member of another generation."""
        return self._copy(generation, self.expires_at)

    def _copy(self, generation: int, expires_at: datetime) -> CacheEntry:
        return CacheEntry.deferred(
            self._answer, key=self.key, generation=generation, expires_at=expires_at, written=self.written
        )

    def _answer(self, _: str) -> dict[str, Any]:
        """Return what no copy changes."""
        return {name: getattr(self, name) for name in _ANSWER}


_ANSWER = (
    "model",
    "requested_model",
    "response",
    "cost_usd",
    "created_at",
    "request_id",
    "tags",
    "origin",
    "similarity",
)


@dataclass(frozen=True, slots=True)
class Found:
    """What one store holds under an address.

    Attributes:
        entry: The entry, or None.
        generation: The namespace's generation as far as the store knows it.
        corrupt: Whether an unreadable or foreign value was found and removed.
    """

    entry: CacheEntry | None = None
    generation: int | None = None
    corrupt: bool = False


@dataclass(frozen=True, slots=True)
class Hit:
    """A layer may answer."""

    layer: Layer
    entry: CacheEntry


@dataclass(frozen=True, slots=True)
class Miss:
    """No layer may answer.

    Attributes:
        generation: The namespace's generation when it was looked up; an answer stored under an older one is refused.
    """

    generation: int | None = None


@dataclass(frozen=True, slots=True)
class Bypass:
    """The policy forbade to look."""


LookUp = Hit | Miss | Bypass


@dataclass(frozen=True, slots=True)
class Near:
    """Questions near one.

    Attributes:
        fingerprint: Of the embedder that made the vector.
        vector: The question's embedding, of unit length.
        above: The lowest cosine similarity that counts as near.
    """

    fingerprint: str
    vector: Sequence[float]
    above: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which entries a caller declares wrong. Conditions that are set must all hold; at least one must be set.

    Attributes:
        tenant: Whose entries.
        namespace: All of one namespace, or None for every namespace.
        model: All answers that one model gave, as `provider:model`.
        tag: All entries that carry a tag.
        key: One exact request.
        created_before: All answers older than a time.
        similar: All answers to questions near one.
    """

    tenant: str
    namespace: str | None = None
    model: str | None = None
    tag: str | None = None
    key: bytes | None = None
    created_before: datetime | None = None
    similar: Near | None = None
