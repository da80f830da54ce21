"""The whole look-up: L1 and L2 for the same request, then L3 for a similar one."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from cognition.domain.completion import Call, Calls
from cognition.domain.entry import Address, CacheEntry, Hit, LookUp, Miss
from cognition.domain.semantic_policy import SemanticPolicy
from cognition.errors import CognitionError
from cognition.services.layered_cache import LayeredCache
from cognition.services.policies import Policies
from cognition.services.semantic_layer import SemanticLayer, Sighting

_log = logging.getLogger(__name__)

T = TypeVar("T", bound=LookUp)
R = TypeVar("R")


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
        if policies.semantic.mode != "on":
            found = [_without_copies(one) for one in found]
        if self.semantic is None or policies.semantic.mode == "off" or not policies.cache.may_look_up:
            return Seen(found, _UNASKED)
        missed = [position for position, one in enumerate(found) if not isinstance(one, Hit)]
        if not missed:
            return Seen(found, _UNASKED)
        asked = [(calls[position], addresses[position]) for position in missed]
        seen = _spared(partial(self.semantic.look_up, asked, policies.semantic))
        if seen is None:
            return Seen(found, _UNASKED)
        sightings = dict(zip(missed, seen, strict=True))
        hits = {position: sighting.hit for position, sighting in sightings.items() if sighting.hit}
        # Once each: of a prompt that stands there twice, a store keeps one copy and counts one.
        copies = {addresses[position]: hit.entry for position, hit in hits.items()}
        self.exact.copy(list(copies.items()), policies.cache)
        return Seen([hits.get(position, one) for position, one in enumerate(found)], sightings)

    def peek(self, address: Address, policy: SemanticPolicy) -> Hit | Miss:
        """Look one address up in the exact layers again, see `LayeredCache.peek`."""
        found = self.exact.peek(address)
        return found if policy.mode == "on" else _without_copies(found)

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
        semantic = self.semantic

        def keep() -> None:
            question = sighting.question if sighting else semantic.question_of(call, address)
            if question is not None:
                semantic.keep(question, entry, policies.cache)

        _spared(keep)


def _spared(use: Callable[[], R]) -> R | None:
    """Do something in L3 and return its result, or None after an error of a kind that nobody foresaw.

    A rule that trips over an odd text, or a model that returns nonsense, must not cost a caller the answer.
    """
    try:
        return use()
    except CognitionError:
        raise
    except Exception:  # noqa: BLE001
        _log.exception("The semantic layer failed; the call goes on without it.")
        return None


def _without_copies(found: T) -> T | Miss:
    """Return what was found, but for the copy of a similar question's answer: who switched L3 off wants none."""
    return Miss(found.entry.generation) if isinstance(found, Hit) and found.entry.origin is not None else found
