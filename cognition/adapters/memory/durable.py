"""L2 in memory."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import Protocol

from cognition.adapters.codec import encode
from cognition.adapters.memory.shelf import Namespace, Shelf, is_selected, namespace_of, readable
from cognition.domain.entry import FIRST_GENERATION, Address, CacheEntry, Layer, Selection
from cognition.ports import Clock, Dropped


class _SemanticEntries(Protocol):
    """L3, as far as L2 decides about it."""

    def drop(self, selection: Selection) -> list[bytes]:
        """Remove the selected entries and return their keys."""
        ...

    def purge(self, now: datetime, limit: int) -> int:
        """Delete up to `limit` expired entries; return how many."""
        ...


class MemoryDurableEntries(Shelf):
    """L2 in memory: what PostgreSQL does, for one process.

    An entry that survived an invalidation of others comes back with the present generation, so that faster layers
    accept copies of it.
    """

    layer = Layer.L2

    def __init__(self, clock: Clock | None = None) -> None:
        """Start empty, without a semantic layer.

        Args:
            clock: Tells which answers are past; by default the system's.
        """
        super().__init__()
        self._clock = clock or partial(datetime.now, UTC)
        self._semantic: _SemanticEntries | None = None

    def attach(self, semantic: _SemanticEntries) -> None:
        """Decide about a semantic layer as well, as if both were tables of one database."""
        self._semantic = semantic

    def invalidate(self, selection: Selection) -> Dropped:
        """Remove the selected entries from L2 and L3 and raise the generation of their namespaces.

        Without a namespace in the selection those are all of the tenant, because a faster layer may still hold copies
        of entries that are gone here. Copies that were made of a removed entry for similar questions go with it.
        """
        with self.lock:
            concerned = {name for name in self._namespaces() if name[0] == selection.tenant}
            if selection.namespace is not None:
                concerned = {(selection.tenant, selection.namespace)}
            near = self._semantic.drop(selection) if self._semantic else []
            dropped = self._selected(selection, set(near))
            for address in dropped:
                del self._values[address]
            for namespace in concerned:
                self._generations[namespace] = self.generation_of(namespace) + 1
            generations = {namespace: self._generations[tenant, namespace] for tenant, namespace in concerned}
            return Dropped(dropped, semantic=len(near), generations=generations)

    def purge(self, now: datetime, limit: int) -> int:
        """Delete up to `limit` expired entries of L2 and L3; return how many."""
        with self.lock:
            expired = [address for address in self._values if self._expired(address, now)][:limit]
            for address in expired:
                del self._values[address]
            of_l3 = self._semantic.purge(now, limit - len(expired)) if self._semantic else 0
            return len(expired) + of_l3

    def admits(self, namespace: Namespace, generation: int) -> bool:
        """Whether an entry of a generation may be kept in either layer; remembers the namespace of one that may."""
        if generation < self.generation_of(namespace):
            return False
        # Remembered, so that a selection without a namespace finds it even after its last entry was purged.
        self._generations.setdefault(namespace, FIRST_GENERATION)
        return True

    def generation_of(self, namespace: Namespace) -> int:
        """Return the present generation of a namespace."""
        return self._generations.get(namespace, FIRST_GENERATION)

    def _generation(self, namespace: Namespace) -> int:
        return self.generation_of(namespace)

    def _valid(self, address: Address, entry: CacheEntry, generation: int | None) -> CacheEntry | None:
        del address
        return entry.of_generation(generation or FIRST_GENERATION)

    def _keep(self, address: Address, entry: CacheEntry) -> bool:
        if not self.admits(namespace_of(address), entry.generation) or self._holds_younger(address, entry):
            return False
        self._values[address] = encode(entry)
        return True

    def _holds_younger(self, address: Address, copy: CacheEntry) -> bool:
        """Whether a younger answer stands where a copy for a similar question would go."""
        held = readable(self._values[address], address) if copy.origin and address in self._values else None
        return held is not None and held.is_fresh(self._clock()) and held.created_at > copy.created_at

    def _namespaces(self) -> set[Namespace]:
        return self._generations.keys() | {namespace_of(address) for address in self._values}

    def _selected(self, selection: Selection, near: set[bytes]) -> list[Address]:
        """Return what a selection takes: what meets its conditions, and the copies of that and of what L3 lost."""
        exact = [
            address
            for address, value in self._values.items()
            if is_selected(address, value, selection) and (selection.similar is None or address.key in near)
        ]
        removed = near | {address.key for address in exact}
        copies = [
            address
            for address, value in self._values.items()
            if address.tenant == selection.tenant and _origin(value, address) in removed
        ]
        return list(dict.fromkeys(exact + copies))

    def _expired(self, address: Address, now: datetime) -> bool:
        entry = readable(self._values[address], address)
        return entry is None or not entry.is_fresh(now)


def _origin(value: bytes, address: Address) -> bytes | None:
    """Return the exact key of the question whose answer a copy is."""
    entry = readable(value, address)
    return bytes.fromhex(entry.origin) if entry and entry.origin else None
