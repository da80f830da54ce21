"""What people do to the cache besides asking it: invalidate, count, purge."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Protocol

from cognition.domain.completion import Completion, CompletionRequest, Prompt
from cognition.domain.entry import Address, Layer, Selection
from cognition.domain.fingerprint import address_of
from cognition.domain.ledger import LayerStats
from cognition.errors import ConfigurationError
from cognition.ports import Clock, DurableStore, Ledger
from cognition.services.layered_cache import LayeredCache
from cognition.services.ledger_buffer import LedgerBuffer


class AskMany(Protocol):
    """Answers prompts; `Cognition.complete_many`."""

    def __call__(self, prompts: Sequence[Prompt], /, **options: Any) -> list[Completion[Any]]:
        """Return the answers in the order of the prompts."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheParts:
    """What `CacheControl` works with.

    Attributes:
        layers: The layers.
        durable: L2, for purging.
        ledger: Keeps the look-up counts.
        buffer: Holds counts that are not written yet.
        clock: Returns the present time.
    """

    layers: LayeredCache
    durable: DurableStore
    ledger: Ledger
    buffer: LedgerBuffer
    clock: Clock


class CacheControl:
    """The cache of one tenant."""

    def __init__(self, parts: CacheParts, tenant: str, ask_many: AskMany) -> None:
        """Work on the cache of a tenant.

        Args:
            parts: What it works with.
            tenant: Whose cache.
            ask_many: Answers prompts, as `Cognition.complete_many` does.
        """
        self._parts = parts
        self._tenant = tenant
        self._clock = parts.clock
        self._ask_many = ask_many

    def invalidate(
        self,
        *,
        namespace: str | None = None,
        model: str | None = None,
        tag: str | None = None,
        request: CompletionRequest | None = None,
        older_than: timedelta | None = None,
    ) -> dict[Layer, int]:
        """Declare answers wrong, in every layer and for every process; conditions that are given must all hold.

        Args:
            namespace: All answers of a namespace.
            model: All answers that a model gave, as `provider:model`.
            tag: All answers that carry a tag, such as `team:support`.
            request: The answer to one request, as `Cognition.request` builds it.
            older_than: All answers older than this.

        Returns:
            How many entries each layer dropped; copies in L1 that L2 no longer knows are made unreachable uncounted.

        Raises:
            ConfigurationError: No condition is given.
            CacheUnavailable: A store does not answer; invalidate again when it does.
        """
        if all(condition is None for condition in (namespace, model, tag, request, older_than)):
            message = "Say what to invalidate: a namespace, model, tag, request or older_than."
            raise ConfigurationError(message)
        selection = Selection(
            tenant=self._tenant,
            namespace=request.namespace if request else namespace,
            model=model,
            tag=tag,
            key=address_of(request).key if request else None,
            created_before=self._clock() - older_than if older_than is not None else None,
        )
        return self._parts.layers.invalidate(selection)

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
        return sum(done.layer is Layer.PROVIDER for done in self._ask_many(prompts, **options))

    def purge(self, limit: int = 10_000) -> int:
        """Delete expired entries of L2; return how many.

        Args:
            limit: Delete at most so many, so that no lock is held long.
        """
        return self._parts.durable.purge(self._clock(), limit)
