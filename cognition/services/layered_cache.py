"""The exact layers, fastest first: look up with backfill, store, invalidate."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import partial

from cognition.domain.cache_policy import CachePolicy, refusal_to_store
from cognition.domain.entry import Address, Bypass, CacheEntry, Found, Hit, Layer, LookUp, Miss, Selection
from cognition.events import Emit, Invalidated, LookedUp, NotStored, Stored
from cognition.ports import Clock, DurableStore, FastStore
from cognition.resilience.store_breaker import Guarded
from cognition.services.write_behind import Submit, WriteBehind, at_once

_BYPASS = Bypass()
_MISS = Miss()


class LayeredCache:
    """L1 in front of L2.

    L2 decides what is valid: an invalidation removes its rows and raises the generation of their namespaces in one
    transaction. Copies in L1 carry the generation they were made in, and L1 refuses and ignores older ones, so a copy
    on its way up while its original is invalidated never comes back to life.
    """

    def __init__(
        self,
        fast: Guarded[FastStore],
        durable: Guarded[DurableStore],
        clock: Clock,
        emit: Emit,
        submit: Submit = at_once,
    ) -> None:
        """Put the layers in order.

        Args:
            fast: L1.
            durable: L2.
            clock: Returns the present time.
            emit: Told about look-ups, stores and invalidations.
            submit: Runs what blocks and nobody waits for, in another thread.
        """
        self._behind = WriteBehind(submit)
        self._fast = fast
        self._durable = durable
        self._clock = clock
        self._emit = emit

    def look_up(self, addresses: Sequence[Address], model: str, policy: CachePolicy) -> Sequence[LookUp]:
        """Return what each layer may answer, asking each at most once for all addresses.

        Args:
            addresses: What to look up; all of one tenant and namespace.
            model: The model asked for, for the counts.
            policy: Whether looking is allowed, and how long copies in faster layers live.

        Returns:
            A `Hit`, `Miss` or `Bypass` for each address, in order.
        """
        if not policy.may_look_up:
            return [_BYPASS] * len(addresses)
        return self._look_up(addresses, model, policy)

    def peek(self, address: Address) -> Hit | Miss:
        """Look one address up again without counting it, for a caller that got the lease of another one.

        The fastest layer that answers is enough: who gave the lease back had stored in all of them.
        """
        answer: Hit | Miss = _MISS
        for guarded in (self._fast, self._durable):
            found = self._ask(guarded, [address])
            if found is not None:
                answer = _answer(guarded.store.layer, found[0], answer, self._clock())
            if isinstance(answer, Hit) or answer.generation is not None:
                break
        return answer

    def held(self, address: Address) -> dict[Layer, CacheEntry | None]:
        """Return what each layer may give for an address, counting and copying nothing, for explanations."""
        now = self._clock()
        entries: dict[Layer, CacheEntry | None] = {}
        for guarded in (self._fast, self._durable):
            found = self._ask(guarded, [address]) or [Found()]
            answer = _answer(guarded.store.layer, found[0], _MISS, now)
            entries[guarded.store.layer] = answer.entry if isinstance(answer, Hit) else None
        return entries

    def copy(self, items: Sequence[tuple[Address, CacheEntry]], policy: CachePolicy) -> None:
        """Copy semantic hits to the exact layers, under the questions that were asked; they live no longer there.

        L1 has them when this returns, L2 soon, and before anybody here asks it: writing there takes as long as all else
        that a hit needs besides embedding.
        """
        if items:
            self._copy_up(items, policy)
            self._behind.add(partial(self._copy_down, self._dated(Layer.L2, items, policy)))

    def store(self, address: Address, entry: CacheEntry, policy: CachePolicy) -> bool:
        """Keep a new answer in every layer, if it may be kept; return whether a layer kept it.

        Args:
            address: Where it belongs.
            entry: The answer; its `expires_at` is set here for each layer.
            policy: Whether storing is allowed, and for how long.
        """
        reason = refusal_to_store(entry.response, policy)
        if reason is not None:
            self._emit(NotStored(address, reason))
            return False
        kept_anywhere = False
        for guarded in (self._durable, self._fast):
            kept = self._put(guarded, (address, entry), policy)
            if kept:
                self._emit(Stored(address, entry.requested_model, guarded.store.layer))
                kept_anywhere = True
            elif kept == 0:
                # Invalidated while the provider was asked; what L2 refuses L1 must not keep either.
                self._emit(NotStored(address, "invalidated meanwhile"))
                # Unless L1 knows the new generation, the next answer would be refused as well.
                self._check_copies([(address, entry)])
                break
        return kept_anywhere

    def invalidate(self, selection: Selection) -> dict[Layer, int]:
        """Remove the selected entries from every layer; return how many each layer dropped.

        Raises:
            CacheUnavailable: L2 does not answer, so nothing was invalidated; or L1 does not answer, so copies there
                stay until they expire.
        """
        self.settle()
        dropped = self._durable.store.invalidate(selection)
        fast = self._fast.store.forget(selection.tenant, dropped.generations, dropped.addresses)
        counts = {Layer.L1: fast, Layer.L2: len(dropped.addresses), Layer.L3: dropped.semantic}
        self._emit(Invalidated(selection.tenant, selection.namespace, tuple(counts.items())))
        return counts

    def settle(self) -> None:
        """Return when L2 has all copies that were made before."""
        self._behind.settle()

    def forget(self) -> None:
        """Start anew after a fork."""
        self._behind.forget()

    def evict_from_l1(self, tenant: str, addresses: Sequence[Address]) -> int:
        """Drop copies in L1; return how many there were.

        Raises:
            CacheUnavailable: L1 does not answer.
        """
        return self._fast.store.forget(tenant, {}, addresses)

    def _look_up(self, addresses: Sequence[Address], model: str, policy: CachePolicy) -> Sequence[Hit | Miss]:
        now = self._clock()
        answers: list[Hit | Miss] = [_MISS] * len(addresses)
        left: Sequence[int] = range(len(addresses))
        for guarded in (self._fast, self._durable):
            layer = guarded.store.layer
            found = self._ask(guarded, [addresses[position] for position in left])
            if found is None:
                continue
            for position, one in zip(left, found, strict=True):
                answers[position] = _answer(layer, one, answers[position], now)
            missed = [position for position in left if not isinstance(answers[position], Hit)]
            corrupt = sum(1 for one in found if one.corrupt)
            first, hits = addresses[0], len(left) - len(missed)
            self._emit(LookedUp(first.tenant, first.namespace, model, layer, hits, len(missed), corrupt))
            left = missed
            if not left:
                break
        self._backfill(zip(addresses, answers, strict=True), policy)
        return answers

    def _ask(
        self, guarded: Guarded[FastStore] | Guarded[DurableStore], addresses: Sequence[Address]
    ) -> list[Found] | None:
        store = guarded.store
        if guarded is self._durable:
            self.settle()
        if len(addresses) == 1:
            found = guarded.breaker.call(partial(store.get, addresses[0]), None)
            return None if found is None else [found]
        return guarded.breaker.call(partial(store.get_many, addresses), None)

    def _backfill(self, answers: Iterable[tuple[Address, LookUp]], policy: CachePolicy) -> None:
        """Copy hits of L2 to L1; the copy ends no later than its original."""
        items = [
            (address, answer.entry)
            for address, answer in answers
            if isinstance(answer, Hit) and answer.layer is Layer.L2
        ]
        if items:
            self._copy_up(items, policy)

    def _copy_up(self, items: Sequence[tuple[Address, CacheEntry]], policy: CachePolicy) -> None:
        copy = partial(self._fast.store.copy, self._dated(Layer.L1, items, policy))
        known = self._fast.breaker.call(copy, default=True)
        if not known:
            self._check_copies(items)

    def _copy_down(self, items: Sequence[tuple[Address, CacheEntry]]) -> None:
        kept = self._durable.breaker.call(partial(self._durable.store.put, items), None)
        if kept is not None and kept < len(items):
            # What L2 refuses, because it was invalidated or answered anew meanwhile, L1 must not keep either.
            address = items[0][0]
            forget = partial(self._fast.store.forget, address.tenant, {}, [address for address, _ in items])
            self._fast.breaker.call(forget, 0)

    def _check_copies(self, items: Sequence[tuple[Address, CacheEntry]]) -> None:
        """Hide copies of entries that were invalidated after they were read, all of one namespace.

        L1 refuses those by itself unless it has lost the namespace's generation, for which L2 is asked here.
        """
        address = items[0][0]
        found = self._durable.breaker.call(partial(self._durable.store.get, address), None)
        if found is not None and (found.generation or 0) > max(entry.generation for _, entry in items):
            generations = {address.namespace: found.generation or 0}
            self._fast.breaker.call(partial(self._fast.store.forget, address.tenant, generations, ()), 0)

    def _put(
        self,
        guarded: Guarded[FastStore] | Guarded[DurableStore],
        item: tuple[Address, CacheEntry],
        policy: CachePolicy,
    ) -> int | None:
        """Return how many entries the store kept, or None when it is down."""
        (address, entry), end = item, self._end(guarded.store.layer, policy)
        return guarded.breaker.call(partial(guarded.store.put, [(address, entry.lasting_until(end))]), None)

    def _dated(
        self, layer: Layer, items: Sequence[tuple[Address, CacheEntry]], policy: CachePolicy
    ) -> list[tuple[Address, CacheEntry]]:
        """Return copies for a layer, each with an end of its own, no later than that of its original."""
        return [(address, entry.expiring_at(self._end(layer, policy))) for address, entry in items]

    def _end(self, layer: Layer, policy: CachePolicy) -> datetime:
        # Jitter needs no secrecy, only spread.
        return self._clock() + policy.life(layer, random.random())  # noqa: S311


def _answer(layer: Layer, found: Found, before: Hit | Miss, now: datetime) -> Hit | Miss:
    """Return what one layer's find means, after what faster layers said."""
    if found.entry is not None and found.entry.is_fresh(now):
        return Hit(layer, found.entry)
    known = before.generation if isinstance(before, Miss) else None
    if known is None or found.generation is None:
        return Miss(found.generation if known is None else known)
    # The highest, because L1 refuses entries below what it remembers, also of a database that was made anew.
    return Miss(max(known, found.generation))
