"""The whole look-up: L1 and L2 for the same request, then L3 for a similar one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cognition.domain.completion import Call, Calls
from cognition.domain.entry import Address, CacheEntry, Hit, LookUp
from cognition.services.layered_cache import LayeredCache
from cognition.services.policies import Policies
from cognition.services.semantic_layer import SemanticLayer, Sighting


@dataclass(frozen=True, slots=True)
class Seen:
    """What the layers hold for some calls.

    Attributes:
        found: What was found for each call, in order.
        sightings: What L3 saw, by position, where it was asked.
    """

    found: Sequence[LookUp]
    sightings: Mapping[int, Sighting]


_UNASKED: Mapping[int, Sighting] = {}


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

    def look_up(self, calls: Calls, addresses: Sequence[Address], policies: Policies) -> Seen:
        """Return what is found for each call, asking each layer at most once for all that are left.

        Args:
            calls: What is asked.
            addresses: Where their exact answers live, in the same order.
            policies: Of the exact layers and of L3.
        """
        found = self.exact.look_up(addresses, calls.first.model, policies.cache)
        if self.semantic is None or policies.semantic.mode == "off" or not policies.cache.may_look_up:
            return Seen(found, _UNASKED)
        missed = [position for position, one in enumerate(found) if not isinstance(one, Hit)]
        if not missed:
            return Seen(found, _UNASKED)
        asked = [(calls[position], addresses[position]) for position in missed]
        sightings = dict(zip(missed, self.semantic.look_up(asked, policies.semantic), strict=True))
        hits = {position: sighting.hit for position, sighting in sightings.items() if sighting.hit}
        self.exact.copy([(addresses[position], hit.entry) for position, hit in hits.items()], policies.cache)
        return Seen([hits.get(position, one) for position, one in enumerate(found)], sightings)

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
