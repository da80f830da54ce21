"""What the fast layer must do besides."""

from __future__ import annotations

from cognition.domain.entry import Layer
from cognition.ports import FastStore
from cognition.testing.clock import FakeClock
from cognition.testing.contracts.entries import EntryStoreContract
from cognition.testing.contracts.samples import LIFE, an_address, an_entry


class FastStoreContract(EntryStoreContract):
    """Fixtures to give: those of `EntryStoreContract`."""

    def test_it_is_the_first_layer(self, store: FastStore) -> None:
        """It says which layer it is."""
        assert Layer.L1 is store.layer

    def test_a_generation_is_unknown_until_an_entry_brings_it(self, store: FastStore) -> None:
        """The fast layer invents no generations; it learns them."""
        address = an_address()
        assert None is store.get(address).generation
        store.put([(address, an_entry(address, generation=7))])
        assert 7 == store.get(address).generation

    def test_a_copy_says_whether_its_generation_was_known(self, store: FastStore) -> None:
        """Only where a generation is known can a copy be too old; either way it is kept like an entry."""
        address = an_address()
        entry = an_entry(address, generation=7)
        assert [False, True] == [store.copy([(address, entry)]) for _ in range(2)]
        assert entry == store.get(address).entry
        assert store.copy([(address, an_entry(address, "old", generation=6))])
        assert entry == store.get(address).entry

    def test_an_expired_entry_is_not_kept(self, store: FastStore, clock: FakeClock) -> None:
        """What is already past is refused and not counted."""
        address = an_address()
        clock.advance(LIFE)
        assert 0 == store.put([(address, an_entry(address))])

    def test_an_older_generation_is_refused(self, store: FastStore) -> None:
        """An entry of an older generation is not kept and does not replace what is there."""
        address, late = an_address(), an_address("late")
        present = an_entry(address, generation=2)
        store.put([(address, present)])
        assert 0 == store.put([(address, an_entry(address, "old")), (late, an_entry(late, "old"))])
        assert [present, None] == [found.entry for found in store.get_many([address, late])]

    def test_a_newer_generation_hides_older_entries(self, store: FastStore) -> None:
        """An entry of a newer generation proves that all older ones were invalidated."""
        old, new = an_address("old"), an_address("new")
        store.put([(old, an_entry(old, generation=1))])
        store.put([(new, an_entry(new, generation=2))])
        assert [None, True] == [found.entry and True for found in store.get_many([old, new])]

    def test_generations_in_one_batch_need_no_order(self, store: FastStore) -> None:
        """Of a batch with two generations only the newer one is found."""
        old, new = an_address("old"), an_address("new")
        store.put([(new, an_entry(new, generation=2)), (old, an_entry(old, generation=1))])
        assert [None, True] == [found.entry and True for found in store.get_many([old, new])]

    def test_forget_hides_the_namespace(self, store: FastStore) -> None:
        """A raised generation hides also those entries that nobody named."""
        address = an_address()
        store.put([(address, an_entry(address))])
        assert 0 == store.forget(address.tenant, {address.namespace: 2}, [])
        found = store.get(address)
        assert (None, 2) == (found.entry, found.generation)

    def test_forget_counts_what_it_held(self, store: FastStore) -> None:
        """Named entries are dropped; those that were not there are not counted."""
        held, unknown = an_address("held"), an_address("unknown")
        store.put([(held, an_entry(held))])
        assert 1 == store.forget(held.tenant, {held.namespace: 2}, [held, unknown])

    def test_forget_takes_thousands(self, store: FastStore) -> None:
        """More addresses than one command takes are all dropped and counted."""
        addresses = [an_address(f"question {number}") for number in range(2_500)]
        store.put([(address, an_entry(address)) for address in addresses])
        assert 2_500 == store.forget("acme", {"support": 2}, addresses)

    def test_forget_spares_others(self, store: FastStore) -> None:
        """Other namespaces, and the same namespace of another tenant, stay."""
        others = [an_address(namespace="billing"), an_address(tenant="umbrella")]
        store.put([(address, an_entry(address)) for address in others])
        store.forget("acme", {"support": 2}, [an_address()])
        assert all(found.entry for found in store.get_many(others))

    def test_forget_never_lowers(self, store: FastStore) -> None:
        """Of two invalidations that arrive in the wrong order the later one counts."""
        address = an_address()
        store.forget(address.tenant, {address.namespace: 3}, [])
        store.forget(address.tenant, {address.namespace: 2}, [])
        assert 3 == store.get(address).generation

    def test_a_forgotten_entry_never_returns(self, store: FastStore) -> None:
        """A copy on its way up while its original is invalidated is refused, also in an unused namespace."""
        address = an_address()
        store.forget(address.tenant, {address.namespace: 2}, [address])
        assert 0 == store.put([(address, an_entry(address, generation=1))])
        assert None is store.get(address).entry

    def test_a_forgotten_namespace_can_be_used_again(self, store: FastStore) -> None:
        """Entries of the new generation are kept."""
        address = an_address()
        store.put([(address, an_entry(address, generation=1))])
        store.forget(address.tenant, {address.namespace: 2}, [address])
        new = an_entry(address, generation=2)
        assert 1 == store.put([(address, new)])
        assert new == store.get(address).entry
