"""What the engine needs from the outside world, grouped by who needs it.

Stores are synchronous and safe to use from any thread; the provider is asynchronous and lives on the owner loop. Every
store raises `CacheUnavailable` when it does not answer, and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from pydantic_ai.messages import ModelResponse
from pydantic_ai.usage import RequestUsage

from cognition.domain.completion import CompletionRequest
from cognition.domain.entry import Address, CacheEntry, Found, Layer, Selection
from cognition.domain.ledger import BookedCall, LayerStats, LedgerBatch, ReportLine, ReportQuery
from cognition.domain.pricing import Cost, Estimate, Terms
from cognition.domain.semantic import EmbedderIdentity, Label, Neighbour, Pair, Question, Vector, Vectors

Clock = Callable[[], datetime]
"""Returns the present time, with a time zone."""


# -- the layered cache ------------------------------------------------------------------------------------------------


class EntryStore(Protocol):
    """One exact layer of the cache."""

    @property
    def layer(self) -> Layer:
        """Which layer it is."""
        ...

    @property
    def name(self) -> str:
        """Name of the store in messages: `redis`, `postgres`, `memory`."""
        ...

    def get(self, address: Address) -> Found:
        """Return what is held under an address; unreadable and foreign values are removed and reported as corrupt."""
        ...

    def get_many(self, addresses: Sequence[Address]) -> list[Found]:
        """Return what is held under each address, in order, with one round trip for all."""
        ...

    def put(self, items: Sequence[tuple[Address, CacheEntry]]) -> int:
        """Keep entries, replacing older ones; return how many were kept.

        An entry whose generation is older than the namespace's is refused: it was invalidated on its way here.
        """
        ...

    def ping(self) -> None:
        """Return when the store answers."""
        ...


class FastStore(EntryStore, Protocol):
    """L1: may lose anything at any time."""

    def copy(self, items: Sequence[tuple[Address, CacheEntry]]) -> bool:
        """Keep copies of entries like `put`; return whether it knew how old they may be.

        It did not when a namespace's generation was unknown until the copies brought theirs.
        """
        ...

    def forget(self, tenant: str, generations: Mapping[str, int], addresses: Sequence[Address]) -> int:
        """Make entries of older generations unreachable and drop some addresses; return how many of those were held.

        Args:
            tenant: Whose namespaces.
            generations: The new generation of each namespace.
            addresses: Entries that are known to have been invalidated.
        """
        ...


@dataclass(frozen=True, slots=True)
class Dropped:
    """What an invalidation removed from L2.

    Attributes:
        addresses: The entries removed from L2.
        semantic: How many entries were removed from L3.
        generations: The new generation of each namespace concerned.
    """

    addresses: Sequence[Address] = ()
    semantic: int = 0
    generations: Mapping[str, int] = field(default_factory=dict[str, int])


class DurableStore(EntryStore, Protocol):
    """L2: the layer that decides what is valid; it keeps no copy for a similar question in a younger answer's place."""

    def invalidate(self, selection: Selection) -> Dropped:
        """Remove the selected entries from L2 and L3 and raise the generation of their namespaces, in one transaction.

        Copies that were made of a removed entry for similar questions go with it.
        """
        ...

    def purge(self, now: datetime, limit: int) -> int:
        """Delete up to `limit` expired entries; return how many."""
        ...


# -- the semantic layer -----------------------------------------------------------------------------------------------


class Embedder(Protocol):
    """Turns texts into vectors; blocking, safe to use from any thread but the owner loop's."""

    @property
    def identity(self) -> EmbedderIdentity:
        """What makes its vectors comparable."""
        ...

    @property
    def is_local(self) -> bool:
        """Whether it computes in this process: making one vector then takes little longer than asking a store."""
        ...

    def fits(self, text: str) -> bool:
        """Whether a text lies within the window; a longer one would be compared by its head alone, so it never is."""
        ...

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Return one vector a text, in order, each of unit length.

        Raises:
            CacheUnavailable: The embedder did not answer.
        """
        ...

    def close(self) -> None:
        """Let go of the model or the connections."""
        ...


class Verifier(Protocol):
    """Says how likely the answer to one question would do for another; blocking, safe to use from any thread."""

    @property
    def name(self) -> str:
        """Name and revision of its model, for messages and labels."""
        ...

    def verify(self, pairs: Sequence[tuple[str, str]]) -> Sequence[float]:
        """Return a probability from 0 to 1 for each pair of a cached and an asked question, in order.

        Raises:
            CacheUnavailable: The verifier did not answer.
        """
        ...

    def close(self) -> None:
        """Let go of the model."""
        ...


@dataclass(frozen=True, slots=True)
class Nearby:
    """What L3 holds near one question.

    Attributes:
        neighbours: Nearest first, all of the question's own scope, not expired, not blocked for this question.
        generation: The namespace's generation; neighbours carry it, so that faster layers accept copies of them.
    """

    neighbours: Sequence[Neighbour] = ()
    generation: int | None = None


class SemanticStore(Protocol):
    """L3: answers by the meaning of their questions, and the vectors of texts."""

    @property
    def name(self) -> str:
        """Name of the store in messages."""
        ...

    def nearest(self, fingerprint: str, questions: Sequence[Question], limit: int) -> list[Nearby]:
        """Return up to `limit` neighbours of each question, in order, with one round trip for all.

        Args:
            fingerprint: Of the embedder; rows of others are not looked at.
            questions: What to look up.
            limit: How many neighbours of each.
        """
        ...

    def put(self, fingerprint: str, items: Sequence[tuple[Question, CacheEntry]]) -> int:
        """Keep answers to questions, replacing older ones; return how many were kept.

        An entry whose generation is older than the namespace's is refused.
        """
        ...

    def vectors(self, tenant: str, fingerprint: str, texts: Sequence[bytes]) -> dict[bytes, Vector]:
        """Return the vectors that are known, by the hash of their text."""
        ...

    def keep_vectors(self, tenant: str, fingerprint: str, vectors: Mapping[bytes, Vector]) -> None:
        """Keep vectors by the hash of their text."""
        ...

    def ping(self) -> None:
        """Return when the store answers."""
        ...


class PairStore(Protocol):
    """What is known about similar questions: which pairs were met, which were judged, which may never meet again."""

    def note(self, pairs: Sequence[Pair]) -> None:
        """Remember pairs, so that they can be judged and reported later; a pair noted again changes nothing."""
        ...

    def find(self, tenant: str, request_id: str) -> Pair | None:
        """Return the pair of one call."""
        ...

    def find_served(self, tenant: str, asked_key: bytes) -> Pair | None:
        """Return the latest pair that was served under an exact key, for a call that got a copy of a semantic hit."""
        ...

    def judge(self, pair: Pair, label: Label) -> None:
        """Record a verdict on a pair, whether the pair was noted or not; a later verdict of one source replaces it."""
        ...

    def block(self, pair: Pair) -> None:
        """Never again let one of two texts be answered by the answer to the other, for this tenant."""
        ...

    def labels(self, tenant: str, namespace: str, fingerprint: str, limit: int) -> list[Label]:
        """Return the latest verdicts of a namespace, newest first."""
        ...


# -- single flight ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class LeaseView:
    """Who holds a lease and what its last holder left.

    Attributes:
        holder: Token of the present holder, or None.
        outcome_of: Token of the holder that left an outcome, or None.
        outcome: What it left.
    """

    holder: str | None = None
    outcome_of: str | None = None
    outcome: bytes | None = None


class LeaseStore(Protocol):
    """Lets one process at a time work on an address, and hands its result to those who wait."""

    @property
    def name(self) -> str:
        """Name of the store in messages."""
        ...

    def acquire(self, address: Address, token: str, seconds: float) -> str:
        """Take the lease if it is free; return the token of whoever holds it now."""
        ...

    def renew(self, address: Address, token: str, seconds: float) -> bool:
        """Prolong one's own lease; return whether it was still held."""
        ...

    def release(self, address: Address, token: str, outcome: bytes | None, seconds: float) -> None:
        """Give one's own lease back, leaving an outcome for those who wait, readable for some seconds."""
        ...

    def view(self, address: Address) -> LeaseView:
        """Return who holds the lease and what was left."""
        ...

    def ping(self) -> None:
        """Return when the store answers."""
        ...


# -- cost control -----------------------------------------------------------------------------------------------------


class Prices(Protocol):
    """Knows what tokens cost."""

    def cost_of(self, model: str, usage: RequestUsage, at: datetime, terms: Terms = ()) -> Cost | None:
        """Return what a call cost at a time, or None when the model's price is unknown.

        Args:
            model: `provider:model`.
            usage: Tokens of the call.
            at: When it was made; prices change.
            terms: What the price depends on besides.
        """
        ...

    def most_of(self, request: CompletionRequest, at: datetime) -> Estimate:
        """Return the most that one attempt at a request can cost, as far as anybody knows.

        Args:
            request: What is to be asked, and of which model.
            at: When.
        """
        ...


class Ledger(Protocol):
    """Keeps every attempt and every hit."""

    @property
    def name(self) -> str:
        """Name of the store in messages."""
        ...

    def record(self, batch: LedgerBatch) -> None:
        """Write a batch in one transaction; rows that already stand there are skipped.

        Raises:
            CacheUnavailable: The store did not answer; the same batch may be written again.
            LedgerConflict: A row with other contents already stands under the same call key and attempt.
        """
        ...

    def find(self, tenant: str, request_id: str) -> BookedCall | None:
        """Return where one call's answer lives in the cache, or None when it was never booked."""
        ...

    def report(self, query: ReportQuery) -> list[ReportLine]:
        """Return sums over the ledger, dearest group first."""
        ...

    def stats(self, tenant: str, window: timedelta, now: datetime) -> list[LayerStats]:
        """Return how each layer served during a window that ends now."""
        ...

    def ping(self) -> None:
        """Return when the store answers."""
        ...


# -- completion -------------------------------------------------------------------------------------------------------


class Provider(Protocol):
    """Asks a model; lives on the owner loop."""

    async def prepare(self, request: CompletionRequest) -> None:
        """Load and open what asking takes, once; its time is none that the provider needs.

        Raises:
            ConfigurationError: The model, key or address cannot be right.
        """
        ...

    async def ask(self, request: CompletionRequest) -> ModelResponse:
        """Return the model's answer.

        Raises:
            ProviderError: Whatever went wrong, translated; the model's own client makes no retries.
            ConfigurationError: The model, key or address cannot be right.
        """
        ...

    async def close(self) -> None:
        """Close connections and local models."""
        ...
