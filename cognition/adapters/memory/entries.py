"""L1 in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cognition.adapters.codec import encode
from cognition.adapters.memory.shelf import Namespace, Shelf, namespace_of
from cognition.domain.entry import Address, CacheEntry, Layer
from cognition.ports import Clock


class MemoryEntries(Shelf):
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
        with self.lock:
            known = all(namespace_of(address) in self._generations for address, _ in items)
            self.put(items)
            return known

    def forget(self, tenant: str, generations: Mapping[str, int], addresses: Sequence[Address]) -> int:
        """Make entries of older generations unreachable and drop some addresses; return how many of those were held."""
        with self.lock:
            for namespace, generation in generations.items():
                self._raise((tenant, namespace), generation)
            return sum(self._values.pop(address, None) is not None for address in set(addresses))

    def clear(self) -> None:
        """Lose everything, generations included, as Redis does after a restart."""
        with self.lock:
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
        namespace = namespace_of(address)
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
