"""L2: entries in PostgreSQL, which decides what is valid."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa

from cognition.adapters.codec import decode
from cognition.adapters.postgres.batch import Row
from cognition.adapters.postgres.connection import STORE, connected, fetch, ping, transaction
from cognition.adapters.postgres.entry_statements import (
    GET,
    GET_MANY,
    PURGE,
    PURGE_SEMANTIC,
    PUT,
    removing,
)
from cognition.adapters.postgres.invalidation import deleting, raising
from cognition.adapters.postgres.purging import in_parts
from cognition.adapters.postgres.rows import row_of
from cognition.adapters.postgres.storing import store
from cognition.domain.entry import Address, CacheEntry, Found, Layer, Selection
from cognition.errors import EntryCorrupted
from cognition.ports import Clock, Dropped


class PostgresEntries:
    """The durable layer, on PostgreSQL."""

    layer = Layer.L2
    name = STORE

    def __init__(self, engine: sa.Engine, clock: Clock) -> None:
        """Use an engine.

        Args:
            engine: From `connect`.
            clock: Tells which entries are past when they arrive.
        """
        self._engine = engine
        self._clock = clock

    def get(self, address: Address) -> Found:
        """Return what is held under an address, in one round trip."""
        parameters = {"tenant": address.tenant, "key": address.key, "namespace": address.namespace}
        ((payload, generation),) = fetch(self._engine, GET, parameters)
        return self._found(address, payload, generation)

    def get_many(self, addresses: Sequence[Address]) -> list[Found]:
        """Return what is held under each address, in order, in one round trip."""
        if not addresses:
            return []
        asked = {
            "tenants": [address.tenant for address in addresses],
            "namespaces": [address.namespace for address in addresses],
            "keys": [address.key for address in addresses],
        }
        held = fetch(self._engine, GET_MANY, asked)
        return [self._found(address, *found) for address, found in zip(addresses, held, strict=True)]

    def put(self, items: Sequence[tuple[Address, CacheEntry]]) -> int:
        """Keep entries that are not past; return how many were kept, none that was invalidated on its way here.

        Nor is a copy for a similar question where a younger answer stands.
        """
        now = self._clock()
        # One statement cannot change a row twice: the last entry under an address counts.
        rows = {(address.tenant, address.key): _row(address, entry) for address, entry in items if entry.is_fresh(now)}
        return store(self._engine, PUT, list(rows.values()), now) if rows else 0

    def invalidate(self, selection: Selection) -> Dropped:
        """Remove the selected entries from L2 and L3 and raise the generation of their namespaces, in one transaction.

        Copies that were made of a removed entry for similar questions go with it. Without a namespace all of the
        tenant's are raised: L1 alone may hold an entry that matches, or it may be on its way.
        """
        with transaction(self._engine) as connection:
            # First, because it waits for writers that hold the namespace; then the deletion sees what they wrote.
            raised = connection.execute(raising(selection)).tuples().all()
            gone = connection.execute(deleting(selection)).tuples().all()
        ((semantic, *_), *_) = gone
        return Dropped(
            addresses=[Address(selection.tenant, *address) for _, *address in gone if address[0] is not None],
            semantic=semantic,
            generations=dict(raised),
        )

    def purge(self, now: datetime, limit: int) -> int:
        """Delete up to `limit` expired entries of L2 and L3, of all tenants; return how many."""
        purged = 0
        for statement in (PURGE, PURGE_SEMANTIC):
            purged += in_parts(self._engine, statement, {"now": now}, limit - purged)
        return purged

    def ping(self) -> None:
        """Return when the server answers."""
        ping(self._engine)

    def _found(self, address: Address, payload: memoryview | None, generation: int) -> Found:
        if payload is None:
            return Found(None, generation)
        value = bytes(payload)
        try:
            entry = decode(value, address.key.hex())
        except EntryCorrupted:
            self._remove(address, value)
            return Found(None, generation, corrupt=True)
        if entry.generation < generation:
            # It outlived an invalidation of others in its namespace; a copy must be accepted by L1 all the same.
            entry = entry.of_generation(generation)
        return Found(entry, generation)

    def _remove(self, address: Address, payload: bytes) -> None:
        """Delete a value, unless it was replaced meanwhile."""
        with connected(self._engine) as connection:
            connection.execute(removing(address, payload))


def _row(address: Address, entry: CacheEntry) -> Row:
    return {**row_of(address, entry), "origin_key": None if entry.origin is None else bytes.fromhex(entry.origin)}
