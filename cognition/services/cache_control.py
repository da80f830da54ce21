"""What people do to the cache besides asking it: explain, report, invalidate, count, purge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Protocol, TypedDict, Unpack

from cognition.domain.attribution import Attribution
from cognition.domain.completion import Call, Completion, CompletionRequest, Prompt
from cognition.domain.entry import Address, Layer, Near, Selection
from cognition.domain.explanation import Explanation
from cognition.domain.fingerprint import address_of
from cognition.domain.ledger import BookedCall, LayerStats
from cognition.domain.semantic import Pair, asked_text
from cognition.domain.semantic_policy import SemanticPolicy, semantic_policy_of
from cognition.domain.upkeep import VectorIndex
from cognition.errors import ConfigurationError
from cognition.events import BadHitReported, Emit
from cognition.ports import Clock, DurableStore, Ledger
from cognition.services.embeddings import Embeddings
from cognition.services.explaining import OFF, Explaining
from cognition.services.layered_cache import LayeredCache
from cognition.services.ledger_buffer import LedgerBuffer
from cognition.services.semantic_trust import SemanticTrust
from cognition.services.semantic_upkeep import ReEmbedded, SemanticUpkeep


class Conditions(TypedDict, total=False):
    """Which answers are declared wrong.

    Attributes:
        namespace: All answers of a namespace.
        model: All answers that a model gave, as `provider:model`.
        tag: All answers that carry a tag, such as `team:support`.
        request: The answer to one request, as `Cognition.request` builds it.
        older_than: All answers older than this.
        similar_to: All answers to questions like this one, whatever their model and instructions; of a request its last
            user message counts.
        above: The lowest cosine similarity that counts as like it, 0.92 unless it is given.
    """

    namespace: str | None
    model: str | None
    tag: str | None
    request: CompletionRequest | None
    older_than: timedelta | None
    similar_to: str | CompletionRequest | None
    above: float


_ABOVE = 0.92


class Doors(Protocol):
    """What the cache needs of the engine that it belongs to."""

    def complete_many(self, prompts: Sequence[Prompt], **options: Any) -> list[Completion[Any]]:
        """Return the answers in the order of the prompts."""
        ...

    def request(self, prompt: Prompt, **options: Any) -> CompletionRequest:
        """Return the request that `complete` would make."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class BadHit:
    """What was done about a wrong answer.

    Attributes:
        dropped: How many entries each layer dropped.
        pair: For an answer to a similar question: the two questions, which never meet again.
    """

    dropped: Mapping[Layer, int]
    pair: Pair | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheParts:
    """What `CacheControl` works with.

    Attributes:
        layers: The exact layers.
        explaining: Explains look-ups.
        embeddings: Vectors for `invalidate(similar_to=...)`; None when no embedder is set.
        trust: Verdicts on semantic hits, which may be reported where no embedder is set.
        semantic: The engine's own policy for L3.
        upkeep: Moves L3 to another embedder; None when no embedder is set.
        durable: L2, for purging.
        ledger: Keeps the look-up counts.
        buffer: Holds counts that are not written yet.
        clock: Returns the present time.
        emit: Told of answers that were declared wrong.
    """

    layers: LayeredCache
    explaining: Explaining
    embeddings: Embeddings | None
    trust: SemanticTrust
    semantic: SemanticPolicy
    upkeep: SemanticUpkeep | None
    durable: DurableStore
    ledger: Ledger
    buffer: LedgerBuffer
    clock: Clock
    emit: Emit


class CacheControl:
    """The cache of one tenant."""

    def __init__(self, parts: CacheParts, tenant: str, doors: Doors) -> None:
        """Work on the cache of a tenant.

        Args:
            parts: What it works with.
            tenant: Whose cache.
            doors: The engine.
        """
        self._parts = parts
        self._tenant = tenant
        self._clock = parts.clock
        self._doors = doors

    def explain(self, prompt: Prompt, **options: Any) -> Explanation:
        """Say what would happen to a prompt now, and why; nothing is asked, counted or changed.

        Args:
            prompt: As for `Cognition.complete`.
            **options: As for `Cognition.complete`.
        """
        policy = semantic_policy_of(options.get("semantic", self._parts.semantic), self._parts.semantic)
        call = Call(request=self._doors.request(prompt, **options), attribution=Attribution(), request_id="")
        return self._parts.explaining.explain(call, policy)

    def report_bad_hit(self, request_id: str) -> BadHit:
        """Declare the answer of one call wrong.

        An answer that was given to a similar question is dropped for the question that was asked, the two never meet
        again, and the report counts against the namespace's error; the answer stays for its own question. An answer to
        the very question is dropped in every layer, with the copies that similar questions got.

        Args:
            request_id: `Completion.request_id`.

        Raises:
            ConfigurationError: No such call was booked.
            CacheUnavailable: A store does not answer; report again when it does.
        """
        self._parts.buffer.flush()
        booked = self._parts.ledger.find(self._tenant, request_id)
        if booked is None:
            raise ConfigurationError(f"No call {request_id!r} stands in the ledger; pass a Completion's request_id.")
        pair = self._pair_of(request_id, booked)
        if pair is not None:
            self._parts.trust.block(pair)
            self._parts.trust.judge(pair, "feedback", right=False)
        selection = Selection(tenant=self._tenant, namespace=booked.namespace, key=booked.request_key)
        dropped = self._drop(selection)
        self._parts.emit(
            BadHitReported(
                tenant=self._tenant,
                namespace=booked.namespace,
                request_id=request_id,
                layer=booked.layer,
                similar=pair is not None,
                dropped=tuple(dropped.items()),
            )
        )
        return BadHit(dropped=dropped, pair=pair)

    def _drop(self, selection: Selection) -> dict[Layer, int]:
        """Return what each layer dropped; L3 is told only where it is used."""
        dropped = self._parts.layers.invalidate(selection)
        if self._parts.embeddings is None and not dropped[Layer.L3]:
            del dropped[Layer.L3]
        return dropped

    def _pair_of(self, request_id: str, booked: BookedCall) -> Pair | None:
        """Return the pair behind a semantic hit, also when the call got a copy of it from a faster layer."""
        if booked.layer is Layer.PROVIDER:
            return None
        met = self._parts.trust.find(self._tenant, request_id)
        if met is not None:
            # Not served: the call waited for another caller's answer of the provider.
            return met if met.served else None
        return self._parts.trust.find_served(self._tenant, booked.request_key)

    def invalidate(self, **conditions: Unpack[Conditions]) -> dict[Layer, int]:
        """Declare answers wrong, in every layer and for every process; conditions that are given must all hold.

        Args:
            **conditions: See `Conditions`; those that are None do not count.

        Returns:
            How many entries each layer dropped; copies in L1 that L2 no longer knows are made unreachable uncounted.

        Raises:
            ConfigurationError: No condition is given, or nothing can say what is similar.
            CacheUnavailable: A store does not answer; invalidate again when it does.
        """
        above = conditions.pop("above", _ABOVE)
        _check(conditions)
        request, older_than = conditions.get("request"), conditions.get("older_than")
        similar_to = conditions.get("similar_to")
        selection = Selection(
            tenant=self._tenant,
            namespace=request.namespace if request else conditions.get("namespace"),
            model=conditions.get("model"),
            tag=conditions.get("tag"),
            key=address_of(request).key if request else None,
            created_before=self._clock() - older_than if older_than is not None else None,
            similar=self._near(similar_to, above) if similar_to is not None else None,
        )
        return self._drop(selection)

    def _near(self, similar_to: str | CompletionRequest, above: float) -> Near:
        if self._parts.embeddings is None:
            raise ConfigurationError(OFF)
        if not 0 < above <= 1:
            raise ConfigurationError(f"The similarity above={above} must be above 0 and at most 1.")
        text = similar_to if isinstance(similar_to, str) else asked_text(similar_to)
        vectors = self._parts.embeddings.of(self._tenant, [text] if text else [])
        if not text or text not in vectors:
            raise ConfigurationError("The text of similar_to is empty or too long for the embedder, or that is down.")
        return Near(self._parts.embeddings.fingerprint, vectors[text].tolist(), above)

    def evict_from_l1(self, addresses: Sequence[Address]) -> int:
        """Drop answers from L1 only, as Redis does when it needs space; return how many it held.

        Args:
            addresses: Where they live, as `Answered` events tell.
        """
        return self._parts.layers.evict_from_l1(self._tenant, addresses)

    def stats(self, window: timedelta = timedelta(hours=24)) -> list[LayerStats]:
        """Return how each layer served during the last hours.

        Args:
            window: How far back to count; counts are kept by the hour, so the oldest hour is counted whole.
        """
        self._parts.buffer.flush()
        return self._parts.ledger.stats(self._tenant, window, self._clock())

    def warm(self, prompts: Sequence[Prompt], **options: Any) -> int:
        """Ask for the answers that are not cached yet; return how many those were.

        Args:
            prompts: What will be asked.
            **options: As for `Cognition.complete_many`.
        """
        return sum(done.layer is Layer.PROVIDER for done in self._doors.complete_many(prompts, **options))

    def purge(self, limit: int = 10_000) -> int:
        """Delete expired entries of L2; return how many.

        Args:
            limit: Delete at most so many, so that no lock is held long.
        """
        return self._parts.durable.purge(self._clock(), limit)

    def reembed(self, limit: int = 10_000) -> ReEmbedded:
        """Let the present embedder find what was kept with another one; for all tenants, and safe to run at any time.

        Args:
            limit: Look at most at so many answers; run it again until it says that it is done.

        Raises:
            ConfigurationError: No embedder is set.
            CacheUnavailable: The embedder or PostgreSQL did not answer; what was moved before stays moved.
        """
        return self._upkeep().reembed(limit)

    def vector_index(self) -> VectorIndex:
        """Return how the vectors of L3 are searched, and whether an IVFFlat index is due; counts them all.

        Raises:
            ConfigurationError: No embedder is set.
            CacheUnavailable: PostgreSQL did not answer.
        """
        return self._upkeep().vector_index()

    def build_vector_index(self, lists: int | None = None) -> str:
        """Build an IVFFlat index after a bulk load of L3; return its name. See `SemanticUpkeep.build_index`.

        Raises:
            ConfigurationError: No embedder is set, there are fewer than 100,000 vectors, or too little memory.
            CacheUnavailable: PostgreSQL did not answer.
        """
        return self._upkeep().build_index(lists)

    def _upkeep(self) -> SemanticUpkeep:
        if self._parts.upkeep is None:
            raise ConfigurationError(OFF)
        return self._parts.upkeep


def _check(conditions: Conditions) -> None:
    known = Conditions.__optional_keys__ - {"above"}
    if unknown := conditions.keys() - known:
        raise ConfigurationError(f"There is no condition {', '.join(sorted(unknown))}; use {', '.join(sorted(known))}.")
    if all(condition is None for condition in conditions.values()):
        raise ConfigurationError("Say what to invalidate: a namespace, model, tag, request, older_than or similar_to.")
