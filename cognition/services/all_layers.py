"""The whole look-up: L1 and L2 for the same request, then L3 for a similar one."""

from __future__ import annotations

from collections.abc import Sequence

from cognition.domain.completion import Call
from cognition.domain.entry import Address, CacheEntry, Hit, LookUp
from cognition.services.layered_cache import LayeredCache
from cognition.services.policies import Policies
from cognition.services.semantic_layer import SemanticLayer, Sighting

Seen = tuple[LookUp, Sighting | None]
"""What was found for one call, and what L3 saw where it was asked."""


class AllLayers:
    """Looks up and stores in every layer; texts are embedded only after the exact layers missed."""

    def __init__(self, exact: LayeredCache, semantic: SemanticLayer | None) -> None:
        """Put the layers in order.

        Args:
            exact: L1 and L2.
            semantic: L3, or None when no embedder is set.
        """
        self.exact = exact
        self.semantic = semantic

    def look_up(self, calls: Sequence[Call], addresses: Sequence[Address], policies: Policies) -> list[Seen]:
        """Return what is found for each call, asking each layer at most once for all that are left.

        Args:
            calls: All of one tenant, namespace and model.
            addresses: Where their exact answers live, in the same order.
            policies: Of the exact layers and of L3.
        """
        policy = policies.cache
        seen: list[Seen] = [(found, None) for found in self.exact.look_up(addresses, calls[0].model, policy)]
        if self.semantic is None or policies.semantic.mode == "off" or not policy.may_look_up:
            return seen
        missed = [position for position, (found, _) in enumerate(seen) if not isinstance(found, Hit)]
        if not missed:
            return seen
        asked = [(calls[position], addresses[position]) for position in missed]
        for position, sighting in zip(missed, self.semantic.look_up(asked, policies.semantic), strict=True):
            seen[position] = (sighting.hit or seen[position][0], sighting)
        copies = [
            (addresses[position], sighting.hit.entry)
            for position, (_, sighting) in enumerate(seen)
            if sighting and sighting.hit
        ]
        self.exact.copy(copies, policy)
        return seen

    def store(
        self, call: Call, address: Address, entry: CacheEntry, sighting: Sighting | None, policies: Policies
    ) -> None:
        """Keep a new answer in every layer that may keep it.

        Args:
            call: What was asked.
            address: Where the exact answer lives.
            entry: The answer.
            sighting: What L3 saw before, None when it was not asked.
            policies: Of the exact layers and of L3.
        """
        kept = self.exact.store(address, entry, policies.cache)
        if not kept or self.semantic is None or policies.semantic.mode == "off":
            return
        question = sighting.question if sighting else self.semantic.question_of(call, address)
        if question is not None:
            self.semantic.keep(question, entry, policies.cache)
