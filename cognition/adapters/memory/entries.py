"""L1 and L2 in memory.

Values are kept encoded, as in the real stores: nobody can change an entry that others still get.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from datetime import datetime

from cognition.adapters.codec import decode, encode
from cognition.domain.entry import FIRST_GENERATION, Address, CacheEntry, Found, Layer, Selection
from cognition.errors import EntryCorrupted
from cognition.ports import Clock, Dropped

Namespace = tuple[str, str]
"""Tenant and namespace."""


class _Shelf:
    """What both layers share: encoded values by address, and how they are read."""

    name = "memory"

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._values: dict[Address, bytes] = {}
        self._generations: dict[Namespace, int] = {}

    def get(self, address: Address) -> Found:
        """Return what is held under an address; unreadable and foreign values are removed and reported as corrupt."""
        with self._lock:
            generation = self._generation(_namespace(address))
            value = self._values.get(address)
            if value is None:
                return Found(None, generation)
            try:
                entry = decode(value, address.key.hex())
            except EntryCorrupted:
                del self._values[address]
                return Found(None, generation, corrupt=True)
            return Found(self._valid(address, entry, generation), generation)

    def get_many(self, addresses: Sequence[Address]) -> list[Found]:
        """Return what is held under each address, in order."""
        with self._lock:
            return [self.get(address) for address in addresses]

    def put(self, items: Sequence[tuple[Address, CacheEntry]]) -> int:
        """Keep entries, replacing older ones; return how many were kept, none that was invalidated on its way here."""
        with self._lock:
            return sum(self._keep(address, entry) for address, entry in items)

    def ping(self) -> None:
        """Return; memory always answers."""

    def plant(self, address: Address, value: bytes) -> None:
        """Replace what is held under an address by any bytes, as a fault or a foreign writer would."""
        with self._lock:
            self._values[address] = value

    def __len__(self) -> int:
        """Return how many values are held, valid or not."""
        return len(self._values)

    def _generation(self, namespace: Namespace) -> int | None:
        raise NotImplementedError

    def _valid(self, address: Address, entry: CacheEntry, generation: int | None) -> CacheEntry | None:
        raise NotImplementedError

    def _keep(self, address: Address, entry: CacheEntry) -> bool:
        raise NotImplementedError


class MemoryEntries(_Shelf):
    """L1 in memory: what Redis does, for one process."""

    layer = Layer.L1

    def __init__(self, clock: Clock, max_entries: int = 50_000) -> None:
        """Start empty.

        Args:
            clock: Decides what has expired.
            max_entries: When more are put, the oldest are evicted.
        """
        super().__init__()
        self._clock = clock
        self._max_entries = max_entries

    def copy(self, items: Sequence[tuple[Address, CacheEntry]]) -> bool:
        """Keep copies of entries like `put`; return whether the generations of their namespaces were known."""
        with self._lock:
            known = all(_namespace(address) in self._generations for address, _ in items)
            self.put(items)
            return known

    def forget(self, tenant: str, generations: Mapping[str, int], addresses: Sequence[Address]) -> int:
        """Make entries of older generations unreachable and drop some addresses; return how many of those were held."""
        with self._lock:
            for namespace, generation in generations.items():
                self._raise((tenant, namespace), generation)
            return sum(self._values.pop(address, None) is not None for address in set(addresses))

    def clear(self) -> None:
        """Lose everything, generations included, as Redis does after a restart."""
        with self._lock:
            self._values.clear()
            self._generations.clear()

    def _generation(self, namespace: Namespace) -> int | None:
        return self._generations.get(namespace)

    def _valid(self, address: Address, entry: CacheEntry, generation: int | None) -> CacheEntry | None:
        if not entry.is_fresh(self._clock()):
            del self._values[address]
            return None
        return entry if entry.generation == generation else None

    def _keep(self, address: Address, entry: CacheEntry) -> bool:
        namespace = _namespace(address)
        if entry.generation < self._generations.get(namespace, 0) or not entry.is_fresh(self._clock()):
            return False
        self._raise(namespace, entry.generation)
        self._values.pop(address, None)
        if len(self._values) >= self._max_entries:
            # A dictionary keeps the order of insertion: the first is the oldest.
            del self._values[next(iter(self._values))]
        self._values[address] = encode(entry)
        return True

    def _raise(self, namespace: Namespace, generation: int) -> None:
        self._generations[namespace] = max(generation, self._generations.get(namespace, 0))


class MemoryDurableEntries(_Shelf):
    """L2 in memory: what PostgreSQL does, for one process.

    An entry that survived an invalidation of others comes back with the present generation, so that faster layers
    accept copies of it.
    """

    layer = Layer.L2

    def invalidate(self, selection: Selection) -> Dropped:
        """Remove the selected entries and raise the generation of their namespaces.

        Without a namespace in the selection those are all of the tenant, because a faster layer may still hold copies
        of entries that are gone here.
        """
        with self._lock:
            concerned = {name for name in self._namespaces() if name[0] == selection.tenant}
            if selection.namespace is not None:
                concerned = {(selection.tenant, selection.namespace)}
            dropped = [address for address in self._values if self._selected(address, selection)]
            for address in dropped:
                del self._values[address]
            for namespace in concerned:
                self._generations[namespace] = self._generation(namespace) + 1
            return Dropped(
                dropped, {namespace: self._generations[tenant, namespace] for tenant, namespace in concerned}
            )

    def purge(self, now: datetime, limit: int) -> int:
        """Delete up to `limit` expired entries; return how many."""
        with self._lock:
            expired = [address for address in self._values if self._expired(address, now)][:limit]
            for address in expired:
                del self._values[address]
            return len(expired)

    def _generation(self, namespace: Namespace) -> int:
        return self._generations.get(namespace, FIRST_GENERATION)

    def _valid(self, address: Address, entry: CacheEntry, generation: int | None) -> CacheEntry | None:
        del address
        return entry.of_generation(generation or FIRST_GENERATION)

    def _keep(self, address: Address, entry: CacheEntry) -> bool:
        namespace = _namespace(address)
        if entry.generation < self._generation(namespace):
            return False
        # Remembered, so that a selection without a namespace finds it even after its last entry was purged.
        self._generations.setdefault(namespace, FIRST_GENERATION)
        self._values[address] = encode(entry)
        return True

    def _namespaces(self) -> set[Namespace]:
        return self._generations.keys() | {_namespace(address) for address in self._values}

    def _selected(self, address: Address, selection: Selection) -> bool:
        if address.tenant != selection.tenant or selection.namespace not in {None, address.namespace}:
            return False
        if selection.key not in {None, address.key}:
            return False
        entry = _readable(self._values[address], address)
        # An unreadable value is worth nothing to anybody.
        return entry is None or (
            selection.model in {None, entry.model}
            and (selection.tag is None or selection.tag in entry.tags)
            and (selection.created_before is None or entry.created_at < selection.created_before)
        )

    def _expired(self, address: Address, now: datetime) -> bool:
        entry = _readable(self._values[address], address)
        return entry is None or not entry.is_fresh(now)


def _namespace(address: Address) -> Namespace:
    return address.tenant, address.namespace


def _readable(value: bytes, address: Address) -> CacheEntry | None:
    try:
        return decode(value, address.key.hex())
    except EntryCorrupted:
        return None
