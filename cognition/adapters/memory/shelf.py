"""What the layers in memory share.

Values are kept encoded, as in the real stores: nobody can change an entry that others still get.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence

from cognition.adapters.codec import decode
from cognition.domain.entry import Address, CacheEntry, Found, Selection
from cognition.errors import EntryCorrupted

Namespace = tuple[str, str]
"""Tenant and namespace."""


class Shelf:
    """What the exact layers share: encoded values by address, and how they are read."""

    name = "memory"

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self._values: dict[Address, bytes] = {}
        self._generations: dict[Namespace, int] = {}

    def get(self, address: Address) -> Found:
        """Return what is held under an address; unreadable and foreign values are removed and reported as corrupt."""
        with self.lock:
            generation = self._generation(namespace_of(address))
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
        with self.lock:
            return [self.get(address) for address in addresses]

    def put(self, items: Sequence[tuple[Address, CacheEntry]]) -> int:
        """Keep entries, replacing older ones; return how many were kept, none that was invalidated on its way here."""
        with self.lock:
            return sum(self._keep(address, entry) for address, entry in items)

    def ping(self) -> None:
        """Return; memory always answers."""

    def plant(self, address: Address, value: bytes) -> None:
        """Replace what is held under an address by any bytes, as a fault or a foreign writer would."""
        with self.lock:
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


def namespace_of(address: Address) -> Namespace:
    """Return the namespace of an address, with its tenant."""
    return address.tenant, address.namespace


def readable(value: bytes, address: Address) -> CacheEntry | None:
    """Return the entry of a value, or None when it is damaged or foreign."""
    try:
        return decode(value, address.key.hex())
    except EntryCorrupted:
        return None


def is_selected(address: Address, value: bytes, selection: Selection) -> bool:
    """Whether a value meets every condition but similarity; one that cannot be read is worth nothing to anybody."""
    if address.tenant != selection.tenant or selection.namespace not in {None, address.namespace}:
        return False
    if selection.key not in {None, address.key}:
        return False
    entry = readable(value, address)
    return entry is None or (
        selection.model in {None, entry.model}
        and (selection.tag is None or selection.tag in entry.tags)
        and (selection.created_before is None or entry.created_at < selection.created_before)
    )
