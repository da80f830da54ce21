"""What the durable layer must do besides."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from cognition.domain.entry import Layer, Selection
from cognition.ports import DurableStore
from cognition.testing.contracts.entries import EntryStoreContract
from cognition.testing.contracts.samples import LIFE, NOON, an_address, an_entry

_OLD = NOON - timedelta(days=2)

# What the test of selections puts, by name, and which of it each selection takes.
_ADDRESSES = {
    **{name: an_address(name) for name in ("plain", "old", "tagged", "model")},
    "billing": an_address("billing", namespace="billing"),
    "other tenant": an_address("tagged", tenant="umbrella"),
}
_SPECIAL: dict[str, dict[str, Any]] = {
    "old": {"created_at": _OLD},
    "tagged": {"tags": ("a", "b")},
    "model": {"model": "ollama:qwen3", "requested_model": "ollama:qwen3"},
    "billing": {"tags": ("b",)},
    "other tenant": {"tags": ("a", "b"), "created_at": _OLD},
}
_HELD = {name: (address, an_entry(address, **_SPECIAL.get(name, {}))) for name, address in _ADDRESSES.items()}
_SELECTIONS: dict[str, tuple[Selection, set[str]]] = {
    "a namespace": (Selection(tenant="acme", namespace="billing"), {"billing"}),
    "a model": (Selection(tenant="acme", model="ollama:qwen3"), {"model"}),
    "a tag": (Selection(tenant="acme", tag="b"), {"tagged", "billing"}),
    "a tag in a namespace": (Selection(tenant="acme", namespace="support", tag="b"), {"tagged"}),
    "a request": (Selection(tenant="acme", namespace="support", key=_ADDRESSES["plain"].key), {"plain"}),
    "another tenant's request": (Selection(tenant="acme", key=_ADDRESSES["other tenant"].key), set()),
    "an age": (Selection(tenant="acme", created_before=NOON - timedelta(days=1)), {"old"}),
    "all in a namespace": (Selection(tenant="acme", namespace="support"), {"plain", "old", "tagged", "model"}),
    "nothing": (Selection(tenant="acme", namespace="billing", tag="a"), set()),
}


class DurableStoreContract(EntryStoreContract):
    """Fixtures to give: those of `EntryStoreContract`."""

    def test_it_is_the_second_layer(self, store: DurableStore) -> None:
        """It says which layer it is."""
        assert Layer.L2 is store.layer

    def test_a_generation_is_always_known(self, store: DurableStore) -> None:
        """Also a namespace that was never used has a generation, and an answer asked for in it is kept."""
        address = an_address()
        generation = store.get(address).generation
        assert generation is not None
        assert 1 == store.put([(address, an_entry(address, generation=generation))])
        assert generation == store.get(address).generation

    @pytest.mark.parametrize(("selection", "names"), _SELECTIONS.values(), ids=_SELECTIONS.keys())
    def test_invalidate_removes_what_is_selected(
        self, store: DurableStore, selection: Selection, names: set[str]
    ) -> None:
        """Conditions that are set all hold; everything else, and every other tenant, stays."""
        store.put(list(_HELD.values()))
        dropped = store.invalidate(selection)
        assert {_ADDRESSES[name] for name in names} == set(dropped.addresses)
        assert len(names) == len(dropped.addresses)
        found = store.get_many(list(_ADDRESSES.values()))
        assert _ADDRESSES.keys() - names == {name for name, one in zip(_ADDRESSES, found, strict=True) if one.entry}

    def test_invalidate_raises_the_generation(self, store: DurableStore) -> None:
        """The new generation is told and found, and only in the namespace that was selected."""
        address, other = an_address(), an_address(namespace="billing")
        store.put([(address, an_entry(address)), (other, an_entry(other))])
        before = store.get(other).generation
        dropped = store.invalidate(Selection(tenant="acme", namespace="support"))
        assert {"support": store.get(address).generation} == dict(dropped.generations)
        assert dropped.generations["support"] > 1
        assert before == store.get(other).generation

    def test_an_answer_asked_for_before_an_invalidation_is_refused(self, store: DurableStore) -> None:
        """The answer arrives later, but its question was asked when other answers were valid."""
        address = an_address()
        asked = store.get(address).generation
        store.invalidate(Selection(tenant="acme", namespace="support"))
        assert 0 == store.put([(address, an_entry(address, generation=asked))])
        assert None is store.get(address).entry

    def test_a_refused_entry_replaces_nothing(self, store: DurableStore) -> None:
        """Of a batch only the entries of the present generation are kept and counted."""
        address, late = an_address(), an_address("late")
        dropped = store.invalidate(Selection(tenant="acme", namespace="support"))
        present = an_entry(address, generation=dropped.generations["support"])
        assert 1 == store.put([(address, present), (late, an_entry(late, generation=1))])
        assert 0 == store.put([(address, an_entry(address, "old", generation=1))])
        assert [present, None] == [found.entry for found in store.get_many([address, late])]

    def test_a_copy_takes_no_younger_answer_s_place(self, store: DurableStore) -> None:
        """It is written when its caller has gone on; the question may have been answered by itself meanwhile."""
        address, other = an_address(), an_address("other")
        younger = an_entry(address, "younger", created_at=NOON)
        store.put([(address, younger)])
        copies = [
            (at, an_entry(at, "copy", created_at=_OLD, origin=an_address("far").key.hex(), similarity=0.95))
            for at in (address, other)
        ]
        assert 1 == store.put(copies)
        assert [younger, copies[1][1]] == [found.entry for found in store.get_many([address, other])]
        older_answer = an_entry(address, "older", created_at=_OLD)
        assert 1 == store.put([(address, older_answer)]), "whoever asked the provider is not doubted"
        assert 1 == store.put([copies[0]])
        assert copies[0][1] == store.get(address).entry

    def test_survivors_come_back_with_the_present_generation(self, store: DurableStore) -> None:
        """Otherwise the fast layer, which knows the new generation, would refuse copies of them for ever."""
        survivor, dropped = an_address("survivor"), an_address("dropped")
        store.put([(survivor, an_entry(survivor)), (dropped, an_entry(dropped, tags=("wrong",)))])
        generation = store.invalidate(Selection(tenant="acme", tag="wrong")).generations["support"]
        found = store.get(survivor)
        assert found.entry is not None
        assert (generation, generation) == (found.generation, found.entry.generation)
        assert found.entry == store.get_many([survivor])[0].entry

    def test_an_unused_namespace_can_be_invalidated(self, store: DurableStore) -> None:
        """A selected namespace is raised also when nothing is held: answers may be on their way."""
        dropped = store.invalidate(Selection(tenant="acme", namespace="support"))
        assert [] == list(dropped.addresses)
        assert {"support": store.get(an_address()).generation} == dict(dropped.generations)

    def test_copies_of_purged_entries_are_reached(self, store: DurableStore) -> None:
        """Without a namespace all of the tenant's are raised: a faster layer may hold what is gone here."""
        address, foreign = an_address(), an_address(tenant="umbrella", namespace="elsewhere")
        store.put([(address, an_entry(address)), (foreign, an_entry(foreign))])
        store.purge(NOON + LIFE, limit=10)
        dropped = store.invalidate(Selection(tenant="acme", tag="team:support"))
        assert {"support"} == dropped.generations.keys()

    def test_purge_deletes_what_has_expired(self, store: DurableStore) -> None:
        """Entries whose end has come are deleted, the others stay."""
        past, fresh = an_address("past"), an_address("fresh")
        store.put([(past, an_entry(past)), (fresh, an_entry(fresh, expires_at=NOON + 2 * LIFE))])
        assert 0 == store.purge(NOON, limit=10)
        assert 1 == store.purge(NOON + LIFE, limit=10)
        assert [False, True] == [found.entry is not None for found in store.get_many([past, fresh])]

    def test_purge_has_a_limit(self, store: DurableStore) -> None:
        """It deletes at most so many, so that no lock is held long; the rest comes with the next calls."""
        addresses = [an_address(f"question {number}") for number in range(5)]
        store.put([(address, an_entry(address)) for address in addresses])
        assert [2, 2, 1, 0] == [store.purge(NOON + LIFE, limit=2) for _ in range(4)]

    def test_a_copy_keeps_its_dates(self, store: DurableStore) -> None:
        """Dates come back to the microsecond, with a time zone."""
        address = an_address()
        entry = an_entry(
            address, created_at=NOON.replace(microsecond=123456), expires_at=NOON.replace(microsecond=654321)
        )
        store.put([(address, entry)])
        assert entry == store.get(address).entry
