"""What every exact layer of the cache must do."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from unicodedata import normalize
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from cognition.adapters.codec import encode
from cognition.domain.entry import Address
from cognition.ports import EntryStore
from cognition.testing.clock import FakeClock
from cognition.testing.contracts.samples import LIFE, a_rich_answer, an_address, an_entry

Plant = Callable[[Address, bytes], None]

# Requests take printable names in NFC only.
_NAMES = (
    st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=40)
    .map(partial(normalize, "NFC"))
    .filter(str.isprintable)
)
_OWNERS = st.tuples(_NAMES, _NAMES)

# The store stays the same from example to example: each asks a question of its own.
_ON_ONE_STORE = settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.differing_executors],
)

_DAMAGED: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "cut": lambda value: value[:-1],
    "longer": lambda value: value + b"\0",
    "one bit": lambda value: value[:20] + bytes([value[20] ^ 1]) + value[21:],
    "unknown version": lambda value: b"\xff" + value[1:],
    "plain JSON": lambda _: b'{"text": "hello"}',
    "pickle": lambda _: b"\x80\x05K\x01.",
}


class EntryStoreContract:
    """Fixtures to give.

    `store` is an empty store. `clock` is a new `FakeClock`, and the store's own if it uses one. `plant` is a function
    that replaces what the store holds under an address, where an entry was put before, by any bytes.
    """

    def test_what_is_put_comes_back(self, store: EntryStore) -> None:
        """An entry comes back equal, whatever parts its answer has."""
        address = an_address()
        entry = an_entry(address, response=a_rich_answer(), cost_usd=None, tags=("team:support", "größe:xl"))
        assert 1 == store.put([(address, entry)])
        assert entry == store.get(address).entry

    def test_nothing_is_found_where_nothing_was_put(self, store: EntryStore) -> None:
        """An unknown address is an ordinary miss."""
        found = store.get(an_address())
        assert (None, False) == (found.entry, found.corrupt)

    def test_put_replaces(self, store: EntryStore) -> None:
        """The last entry put under an address counts."""
        address = an_address()
        store.put([(address, an_entry(address, "old"))])
        new = an_entry(address, "new")
        store.put([(address, new)])
        assert new == store.get(address).entry

    def test_get_many_keeps_order_and_duplicates(self, store: EntryStore) -> None:
        """Each address gets its own answer, also when it is asked for twice, is unknown, or of another namespace."""
        first, second = an_address("first"), an_address("second", namespace="billing")
        entries = {address: an_entry(address) for address in (first, second)}
        store.put(list(entries.items()))
        asked = [second, an_address("unknown"), first, second]
        assert [entries.get(address) for address in asked] == [found.entry for found in store.get_many(asked)]

    def test_get_many_agrees_with_get(self, store: EntryStore) -> None:
        """A batch finds what single look-ups find, generations included."""
        address, unknown = an_address(), an_address(namespace="never used")
        store.put([(address, an_entry(address))])
        assert [store.get(address), store.get(unknown)] == store.get_many([address, unknown])

    def test_nothing_asked_is_nothing_done(self, store: EntryStore) -> None:
        """Empty batches are fine."""
        assert ([], 0) == (store.get_many([]), store.put([]))

    @pytest.mark.parametrize("damage", _DAMAGED.values(), ids=_DAMAGED.keys())
    def test_a_damaged_value_is_removed(
        self, store: EntryStore, plant: Plant, damage: Callable[[bytes], bytes]
    ) -> None:
        """A value that is not an entry is reported once, then gone, and its place can be used again."""
        address = an_address()
        entry = an_entry(address)
        store.put([(address, entry)])
        plant(address, damage(encode(entry)))
        found = store.get(address)
        assert (None, True) == (found.entry, found.corrupt)
        assert not store.get(address).corrupt
        store.put([(address, entry)])
        assert entry == store.get(address).entry

    def test_a_foreign_value_is_removed(self, store: EntryStore, plant: Plant) -> None:
        """A sound entry of another key is as bad as a damaged one."""
        address, other = an_address(), an_address("another question")
        store.put([(address, an_entry(address))])
        plant(address, encode(an_entry(other)))
        assert [True, False] == [store.get(address).corrupt, store.get(address).corrupt]

    def test_a_damaged_value_does_not_harm_its_neighbours(self, store: EntryStore, plant: Plant) -> None:
        """In a batch only the damaged value is missing."""
        addresses = [an_address(f"question {number}") for number in range(3)]
        store.put([(address, an_entry(address)) for address in addresses])
        plant(addresses[1], b"damaged")
        found = store.get_many(addresses)
        assert [False, True, False] == [one.corrupt for one in found]
        assert [True, False, True] == [one.entry is not None for one in found]

    def test_an_expired_entry_never_looks_fresh(self, store: EntryStore, clock: FakeClock) -> None:
        """After its end an entry is gone, or says itself that it is past."""
        address = an_address()
        store.put([(address, an_entry(address))])
        clock.advance(LIFE)
        held = store.get(address).entry
        assert held is None or not held.is_fresh(clock())

    @pytest.mark.parametrize("text", ["很长的回答 " * 5, "תשובה בעברית", "🏳️‍🌈 e\u0301 \u202e", "\x00\x1f\x7f", " "])
    def test_any_text_comes_back(self, store: EntryStore, text: str) -> None:
        """Text of any language and its control characters come back unchanged."""
        address = an_address()
        store.put([(address, an_entry(address, text))])
        assert [text] == [found.entry.response.text for found in store.get_many([address]) if found.entry]

    def test_half_a_surrogate_pair_is_replaced(self, store: EntryStore) -> None:
        """What is not Unicode is kept as near as possible: halves that belong together are joined, others replaced."""
        address = an_address()
        store.put([(address, an_entry(address, "joined \ud83d\ude00, alone \ud83d."))])
        entry = store.get(address).entry
        assert entry is not None
        assert "joined 😀, alone \ufffd." == entry.response.text

    def test_a_huge_answer_comes_back(self, store: EntryStore) -> None:
        """Eight megabytes that do not compress come back whole."""
        address = an_address()
        text = "".join(uuid4().hex for _ in range(250_000))
        store.put([(address, an_entry(address, text))])
        entry = store.get(address).entry
        assert entry is not None
        assert text == entry.response.text

    def test_ten_thousand_entries_at_once(self, store: EntryStore) -> None:
        """A large batch is kept whole and found whole."""
        addresses = [an_address(f"question {number}") for number in range(10_000)]
        assert 10_000 == store.put(
            [(address, an_entry(address, str(number))) for number, address in enumerate(addresses)]
        )
        found = store.get_many(addresses)
        assert [str(n) for n in range(10_000)] == [one.entry.response.text for one in found if one.entry]

    @given(owners=st.tuples(_OWNERS, _OWNERS))
    @_ON_ONE_STORE
    def test_tenants_and_namespaces_are_apart(
        self, store: EntryStore, owners: tuple[tuple[str, str], tuple[str, str]]
    ) -> None:
        """The same question of two tenants or namespaces has two answers."""
        assume(owners[0] != owners[1])
        question = uuid4().hex
        one, other = (an_address(question, tenant, namespace) for tenant, namespace in owners)
        entry = an_entry(one, "not for others")
        store.put([(one, entry)])
        assert [entry, None] == [found.entry for found in store.get_many([one, other])]
        assert None is store.get(other).entry

    @given(tenant=_NAMES)
    @_ON_ONE_STORE
    def test_a_key_does_not_open_another_tenants_entry(self, store: EntryStore, tenant: str) -> None:
        """Who learns another tenant's exact key still finds nothing."""
        mine = an_address(uuid4().hex)
        assume(tenant != mine.tenant)
        store.put([(mine, an_entry(mine))])
        assert None is store.get(replace(mine, tenant=tenant)).entry

    def test_threads_share_the_store(self, store: EntryStore) -> None:
        """Writers and readers at once: every reader gets a whole entry of some writer."""
        address = an_address()
        entries = [an_entry(address, text * 2000) for text in "abcdefgh"]
        store.put([(address, entries[0])])

        def write_and_read(number: int) -> bool:
            store.put([(address, entries[number % len(entries)])])
            return store.get(address).entry in entries

        with ThreadPoolExecutor(max_workers=8) as threads:
            assert all(threads.map(write_and_read, range(80)))

    def test_it_answers(self, store: EntryStore) -> None:
        """A store that works returns from ping and has a name for messages."""
        store.ping()
        assert store.name
