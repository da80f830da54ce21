"""L1: entries in Redis."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

import redis

from cognition.adapters.codec import decode, encode
from cognition.adapters.redis.connection import STORE, Server
from cognition.adapters.redis.keys import NamespaceKeys, namespace_keys
from cognition.domain.entry import Address, CacheEntry, Found, Layer
from cognition.errors import EntryCorrupted
from cognition.ports import Clock

T = TypeVar("T")

# A script blocks the server while it runs: parts of this size keep that below a few milliseconds.
_PART = 500

# How long a namespace's generation is remembered beyond its longest-lived entry, or after an invalidation. It must
# outlast every answer that was asked for before an invalidation and arrives after it: a provider takes minutes, a copy
# from L2 or L3 is at most as old as their longest default life, 24 hours; one hour is slack.
_GENERATION_MILLISECONDS = 25 * 3600 * 1000


class RedisEntries:
    """The fast layer, on one Redis or Valkey server or a cluster of them.

    An entry counts only while the namespace's generation is known and is its own; so one write makes all older entries
    of a namespace unreachable, and they run out by themselves.
    """

    layer = Layer.L1
    name = STORE

    def __init__(self, client: redis.Redis, clock: Clock) -> None:
        """Use a client.

        Args:
            client: From `connect`; it must return bytes.
            clock: Tells how much of an entry's life is left.
        """
        self._server = Server(client)
        self._clock = clock
        self._put = self._server.script("entries_put")
        self._forget = self._server.script("entries_forget")

    def get(self, address: Address) -> Found:
        """Return what is held under an address, in one round trip."""
        names = namespace_keys(address.tenant, address.namespace)
        key = address.key.hex()
        generation, value = self._server.call("MGET", names.generation, names.entry + key)
        return self._found(names, key, value, generation)

    def get_many(self, addresses: Sequence[Address]) -> list[Found]:
        """Return what is held under each address, in order, in one round trip."""
        keys = [address.key.hex() for address in addresses]
        groups: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
        for position, address in enumerate(addresses):
            groups[address.tenant, address.namespace].append(position)
        named = [(namespace_keys(*owner), positions) for owner, positions in groups.items()]
        # One MGET for each namespace, because a cluster may keep namespaces on different nodes.
        answers = self._server.call_many(
            ["MGET", names.generation, *(names.entry + keys[position] for position in positions)]
            for names, positions in named
        )
        found: dict[int, Found] = {}
        for (names, positions), (generation, *values) in zip(named, answers, strict=True):
            for position, value in zip(positions, values, strict=True):
                found[position] = self._found(names, keys[position], value, generation)
        return [found[position] for position in range(len(addresses))]

    def put(self, items: Sequence[tuple[Address, CacheEntry]]) -> int:
        """Keep entries for what is left of their lives; return how many were kept, none that is past or invalidated."""
        return self._keep(items)[0]

    def copy(self, items: Sequence[tuple[Address, CacheEntry]]) -> bool:
        """Keep copies of entries like `put`; return whether the generations of their namespaces were known."""
        return not self._keep(items)[1]

    def _keep(self, items: Sequence[tuple[Address, CacheEntry]]) -> tuple[int, int]:
        """Return how many entries were kept, and how many parts of them in a namespace of unknown generation."""
        now = self._clock()
        lives = ((item, int((item[1].expires_at - now).total_seconds() * 1000)) for item in items)
        alive = ((address, (entry, life)) for (address, entry), life in lives if life > 0)
        kept = unknown = 0
        for names, members in _by_namespace(alive).items():
            for part in _parts(members):
                keys = [names.generation, *(names.entry + address.key.hex() for address, _ in part)]
                values = (value for _, (entry, life) in part for value in (entry.generation, life, encode(entry)))
                part_kept, part_unknown = self._put(keys, [_GENERATION_MILLISECONDS, *values])
                kept, unknown = kept + part_kept, unknown + part_unknown
        return kept, unknown

    def forget(self, tenant: str, generations: Mapping[str, int], addresses: Sequence[Address]) -> int:
        """Make entries of older generations unreachable and drop some addresses; return how many of those were held."""
        raised = {namespace_keys(tenant, namespace): generation for namespace, generation in generations.items()}
        dropped = _by_namespace((address, address.key.hex()) for address in addresses)
        held = 0
        for names in dict.fromkeys((*raised, *dropped)):
            # A namespace without addresses still takes one call, with none.
            for part in _parts(dropped.get(names, ())) or [()]:
                keys = [names.generation, *(names.entry + key for _, key in part)]
                held += self._forget(keys, [raised.get(names, 0), _GENERATION_MILLISECONDS])
        return held

    def ping(self) -> None:
        """Return when the server answers."""
        self._server.call("PING")

    def _found(self, names: NamespaceKeys, key: str, value: bytes | None, generation: bytes | None) -> Found:
        try:
            current = None if generation is None else int(generation)
        except ValueError:
            self._server.call("UNLINK", names.generation)
            return Found(corrupt=True)
        if value is None:
            return Found(None, current)
        try:
            entry = decode(value, key)
        except EntryCorrupted:
            self._server.call("UNLINK", names.entry + key)
            return Found(None, current, corrupt=True)
        return Found(entry if entry.generation == current else None, current)


def _by_namespace(items: Iterable[tuple[Address, T]]) -> dict[NamespaceKeys, list[tuple[Address, T]]]:
    groups: defaultdict[NamespaceKeys, list[tuple[Address, T]]] = defaultdict(list)
    for item in items:
        groups[namespace_keys(item[0].tenant, item[0].namespace)].append(item)
    return groups


def _parts(items: Sequence[T]) -> list[Sequence[T]]:
    return [items[start : start + _PART] for start in range(0, len(items), _PART)]
