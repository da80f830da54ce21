"""What invalidating and purging must do to the semantic layer and to the copies made of its answers."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from cognition.domain.entry import Near, Selection
from cognition.domain.semantic import Question
from cognition.ports import DurableStore, SemanticStore
from cognition.testing.contracts.questions import EMBEDDER, a_question, a_vector, an_answer_to, near
from cognition.testing.contracts.samples import LIFE, NOON, an_entry

_VECTOR = a_vector()
_NEAR = Near(EMBEDDER, [float(x) for x in _VECTOR], above=0.9)

# What the test of selections puts, by name: where, how near, and with what in its entry.
_QUESTIONS = {
    "same": a_question("same", _VECTOR),
    "near": a_question("near", near(_VECTOR, 0.95, 2)),
    "far": a_question("far", near(_VECTOR, 0.8, 3)),
    "brief": a_question("same", _VECTOR, system="Be brief."),
    "billing": a_question("same", _VECTOR, namespace="billing"),
    "other tenant": a_question("same", _VECTOR, tenant="umbrella"),
}
_SPECIAL: dict[str, dict[str, Any]] = {
    "near": {"tags": ("a", "b")},
    "far": {"tags": ("b",), "created_at": NOON - timedelta(days=2)},
    "brief": {"model": "ollama:qwen3"},
}
_OWN = {"same", "near", "far", "brief", "billing"}
_SELECTIONS: dict[str, tuple[Selection, set[str]]] = {
    "a namespace": (Selection(tenant="acme", namespace="billing"), {"billing"}),
    "a model": (Selection(tenant="acme", model="ollama:qwen3"), {"brief"}),
    "a tag": (Selection(tenant="acme", tag="b"), {"near", "far"}),
    "a request": (Selection(tenant="acme", key=_QUESTIONS["far"].address.key), {"far"}),
    "an age": (Selection(tenant="acme", created_before=NOON - timedelta(days=1)), {"far"}),
    "what is near": (Selection(tenant="acme", similar=_NEAR), {"same", "near", "brief", "billing"}),
    "what is near in a namespace": (
        Selection(tenant="acme", namespace="support", similar=_NEAR),
        {"same", "near", "brief"},
    ),
    "what is near and has a tag": (Selection(tenant="acme", tag="b", similar=_NEAR), {"near"}),
    "what is a little near": (Selection(tenant="acme", similar=replace(_NEAR, above=0.7)), _OWN),
    "what is the same": (Selection(tenant="acme", similar=replace(_NEAR, above=1.0)), {"same", "brief", "billing"}),
    "what another embedder finds near": (Selection(tenant="acme", similar=replace(_NEAR, fingerprint="other")), set()),
}


class SemanticInvalidationContract:
    """Fixtures to give: `store` and `durable` as for `SemanticStoreContract`."""

    @pytest.mark.parametrize(("selection", "names"), _SELECTIONS.values(), ids=_SELECTIONS.keys())
    def test_invalidate_reaches_both_layers(
        self, store: SemanticStore, durable: DurableStore, selection: Selection, names: set[str]
    ) -> None:
        """What is selected is gone from L3 and L2, and counted; all else, and every other tenant's, stays."""
        _put(store, durable)
        dropped = durable.invalidate(selection)
        assert {_QUESTIONS[name].address for name in names} == set(dropped.addresses)
        assert (len(names), len(names)) == (dropped.semantic, len(dropped.addresses))
        assert _QUESTIONS.keys() - names == _held_by_l3(store)
        found = durable.get_many([question.address for question in _QUESTIONS.values()])
        assert _QUESTIONS.keys() - names == {name for name, one in zip(_QUESTIONS, found, strict=True) if one.entry}

    def test_similarity_reaches_every_row_that_has_it(self, store: SemanticStore, durable: DurableStore) -> None:
        """The very similarity that a look-up told selects the row it was told of."""
        asked = a_question("asked", _VECTOR)
        cached = a_question("cached", near(_VECTOR, 0.87, 4))
        store.put(EMBEDDER, [an_answer_to(cached)])
        told = store.nearest(EMBEDDER, [asked], 1)[0].neighbours[0].similarity
        assert 1 == durable.invalidate(Selection(tenant="acme", similar=replace(_NEAR, above=told))).semantic

    @pytest.mark.parametrize("by_similarity", [True, False])
    def test_copies_of_a_removed_answer_go_with_it(
        self, store: SemanticStore, durable: DurableStore, *, by_similarity: bool
    ) -> None:
        """Whether L2 or only L3 still held the original; copies of other answers stay."""
        original, other = _QUESTIONS["same"], _QUESTIONS["far"]
        copy, second, third = (a_question(f"copy {number}").address for number in range(3))
        store.put(EMBEDDER, [an_answer_to(original), an_answer_to(other)])
        origins = ((copy, original), (second, original), (third, other))
        copies = [(at, an_entry(at, origin=of.address.key.hex(), similarity=0.95)) for at, of in origins]
        durable.put(copies if by_similarity else [*copies, _exact(original)])
        near_or_key: dict[str, Any] = {"similar": _NEAR} if by_similarity else {"key": original.address.key}
        dropped = durable.invalidate(Selection(tenant="acme", **near_or_key))
        removed = {copy, second} if by_similarity else {copy, second, original.address}
        assert (removed, len(removed), 1) == (set(dropped.addresses), len(dropped.addresses), dropped.semantic)
        assert [None, None, copies[2][1].origin] == [
            found.entry and found.entry.origin for found in durable.get_many([copy, second, third])
        ]

    def test_a_copy_that_is_selected_itself_is_counted_once(self, store: SemanticStore, durable: DurableStore) -> None:
        """It is one entry, however it was reached."""
        original, copy = _QUESTIONS["same"], a_question("copy").address
        store.put(EMBEDDER, [an_answer_to(original)])
        durable.put([_exact(original), (copy, an_entry(copy, origin=original.address.key.hex()))])
        dropped = durable.invalidate(Selection(tenant="acme", namespace="support"))
        assert sorted([original.address.key, copy.key]) == sorted(address.key for address in dropped.addresses)

    def test_another_tenants_copies_stay(self, store: SemanticStore, durable: DurableStore) -> None:
        """Also when they name the key of an answer that was removed."""
        original, copy = _QUESTIONS["same"], a_question("copy", tenant="umbrella").address
        store.put(EMBEDDER, [an_answer_to(original)])
        durable.put([(copy, an_entry(copy, origin=original.address.key.hex()))])
        durable.invalidate(Selection(tenant="acme", key=original.address.key))
        assert None is not durable.get(copy).entry

    def test_purge_reaches_both_layers(self, store: SemanticStore, durable: DurableStore) -> None:
        """Expired entries of L3 count towards the limit, too."""
        _put(store, durable)
        fresh = a_question("fresh", _VECTOR)
        store.put(EMBEDDER, [an_answer_to(fresh, expires_at=NOON + 2 * LIFE)])
        assert 0 == durable.purge(NOON, limit=100)
        both = 2 * len(_QUESTIONS)
        assert [both - 3, 3, 0] == [durable.purge(NOON + LIFE, limit=both - 3) for _ in range(3)]
        assert ["fresh"] == [one.text for one in store.nearest(EMBEDDER, [fresh], 9)[0].neighbours]


def _exact(question: Question) -> tuple[Any, Any]:
    """Return an entry for a question, as the durable layer takes it."""
    return question.address, an_entry(question.address)


def _put(store: SemanticStore, durable: DurableStore) -> None:
    answers = [an_answer_to(question, **_SPECIAL.get(name, {})) for name, question in _QUESTIONS.items()]
    store.put(EMBEDDER, answers)
    durable.put([(question.address, entry) for question, entry in answers])


def _held_by_l3(store: SemanticStore) -> set[str]:
    """Return the names of the questions whose own answer is found."""
    found = store.nearest(EMBEDDER, list(_QUESTIONS.values()), 9)
    return {
        name
        for (name, question), nearby in zip(_QUESTIONS.items(), found, strict=True)
        if question.address.key.hex() in {one.entry.key for one in nearby.neighbours}
    }
