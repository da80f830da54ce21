"""What the semantic layer must do, together with the durable layer that decides what is valid."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any
from uuid import uuid4

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from cognition.adapters.codec import encode
from cognition.domain.entry import Selection
from cognition.domain.semantic import Question, hash_of
from cognition.ports import DurableStore, PairStore, SemanticStore
from cognition.testing.clock import FakeClock
from cognition.testing.contracts.questions import (
    EMBEDDER,
    a_pair,
    a_question,
    a_vector,
    an_answer_to,
    near,
)
from cognition.testing.contracts.samples import LIFE, a_rich_answer, an_entry

Plant = Callable[[str, Question, bytes], None]

_TOLERANCE = 1e-3  # of a similarity: vectors may be kept in half precision

_ON_ONE_STORE = settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.differing_executors],
)

# All that must be the same before the meaning of a question is looked at.
_PLACES = st.fixed_dictionaries(
    {
        "tenant": st.sampled_from(["acme", "umbrella"]),
        "namespace": st.sampled_from(["support", "billing"]),
        "model": st.sampled_from(["openai-chat:gpt-5-mini", "ollama:qwen3"]),
        "settings": st.sampled_from([None, {"temperature": 0.5}]),
        "system": st.sampled_from([None, "Be brief.", "Be brief!"]),
        "earlier": st.sampled_from([None, "Hello?", "Hello!"]),
        "image": st.sampled_from([None, b"one image", b"another image"]),
        "fingerprint": st.sampled_from([EMBEDDER, "local:test@2/384/unit"]),
    }
)


class SemanticStoreContract:
    """Fixtures to give.

    `store` is an empty store. `durable` is the durable layer of the same database, `pairs` its pairs. `clock` is a new
    `FakeClock`, and the stores' own. `plant` is a function that replaces what the store holds under a fingerprint for a
    question that was put before, by any bytes.
    """

    def test_what_is_put_comes_back(self, store: SemanticStore) -> None:
        """The question itself is its own nearest neighbour, with its text and its whole answer."""
        question = a_question()
        entry = an_entry(question.address, response=a_rich_answer(), cost_usd=None, tags=("größe:xl",))
        assert 1 == store.put(EMBEDDER, [(question, entry)])
        (nearby,) = store.nearest(EMBEDDER, [question], 3)
        (neighbour,) = nearby.neighbours
        assert (question.text, entry, 1) == (neighbour.text, neighbour.entry, nearby.generation)
        assert 1 == pytest.approx(neighbour.similarity, abs=_TOLERANCE)

    def test_nothing_is_found_where_nothing_was_put(self, store: SemanticStore) -> None:
        """No neighbours, but a generation in which an answer may be stored."""
        (nearby,) = store.nearest(EMBEDDER, [a_question()], 3)
        assert (0, 1) == (len(nearby.neighbours), nearby.generation)

    def test_nothing_asked_is_nothing_done(self, store: SemanticStore) -> None:
        """Empty batches are fine."""
        assert ([], 0) == (store.nearest(EMBEDDER, [], 3), store.put(EMBEDDER, []))

    def test_the_nearest_come_first(self, store: SemanticStore) -> None:
        """As many as were asked for, in the order of their similarity, which is told."""
        asked = a_question("asked")
        at = {f"at {percent}": percent / 100 for percent in (40, 95, 70, 99, -20, 85)}
        held = [a_question(text, near(asked.vector, at[text], seed)) for seed, text in enumerate(at, 1)]
        store.put(EMBEDDER, [an_answer_to(question) for question in held])
        (nearby,) = store.nearest(EMBEDDER, [asked], 4)
        assert ["at 99", "at 95", "at 85", "at 70"] == [one.text for one in nearby.neighbours]
        assert [0.99, 0.95, 0.85, 0.7] == pytest.approx([one.similarity for one in nearby.neighbours], abs=_TOLERANCE)

    @given(similarity=st.floats(-1, 1), seed=st.integers(2, 1000))
    @_ON_ONE_STORE
    def test_similarity_is_exact_to_a_thousandth(self, store: SemanticStore, similarity: float, seed: int) -> None:
        """Whatever form the store keeps vectors in: a threshold means what it says."""
        cached = a_question(uuid4().hex, a_vector(seed), namespace=uuid4().hex)
        store.put(EMBEDDER, [an_answer_to(cached)])
        asked = replace(cached, vector=near(cached.vector, similarity, seed + 1))
        (nearby,) = store.nearest(EMBEDDER, [asked], 1)
        assert similarity == pytest.approx(nearby.neighbours[0].similarity, abs=_TOLERANCE)

    def test_put_replaces(self, store: SemanticStore) -> None:
        """The last answer to a question counts, also within one batch."""
        question = a_question()
        store.put(EMBEDDER, [an_answer_to(question, "old")])
        store.put(EMBEDDER, [an_answer_to(question, "older"), an_answer_to(question, "new")])
        (nearby,) = store.nearest(EMBEDDER, [question], 3)
        assert ["new"] == [one.entry.response.text for one in nearby.neighbours]

    @given(place=_PLACES, other=_PLACES)
    @_ON_ONE_STORE
    def test_scopes_are_apart(self, store: SemanticStore, place: dict[str, Any], other: dict[str, Any]) -> None:
        """The same words never match under another tenant, namespace, model, instruction, history, image, embedder."""
        assume(place != other)
        text = uuid4().hex
        where, elsewhere = {**place}, {**other}
        embedder, another = where.pop("fingerprint"), elsewhere.pop("fingerprint")
        one, two = a_question(text, **where), a_question(text, **elsewhere)
        store.put(embedder, [an_answer_to(one, text)])
        answers = [
            [near.entry.response.text for near in store.nearest(fingerprint, [question], 20)[0].neighbours]
            for fingerprint, question in ((embedder, one), (another, two))
        ]
        assert [True, False] == [text in found for found in answers]

    def test_a_batch_finds_what_single_look_ups_find(self, store: SemanticStore) -> None:
        """In order, with duplicates, unknown places and several scopes."""
        held = [a_question(f"{number}", a_vector(number), system="Be brief." * (number % 2)) for number in range(8)]
        store.put(EMBEDDER, [an_answer_to(question) for question in held])
        asked = [replace(one, vector=near(one.vector, 0.9, 99)) for one in [*held, held[0]]]
        asked.append(a_question(namespace="never used"))
        singles = [store.nearest(EMBEDDER, [question], 2)[0] for question in asked]
        batch = store.nearest(EMBEDDER, asked, 2)
        assert singles == batch
        assert [*"012345670"] == [one.neighbours[0].text for one in batch[:-1]]

    def test_an_expired_entry_is_not_found(self, store: SemanticStore, clock: FakeClock) -> None:
        """A neighbour answers until its end, not a moment longer, and is not put after it."""
        question = a_question()
        store.put(EMBEDDER, [an_answer_to(question)])
        clock.advance(LIFE)
        assert not store.nearest(EMBEDDER, [question], 3)[0].neighbours
        assert 0 == store.put(EMBEDDER, [an_answer_to(question)])

    def test_blocked_texts_never_meet(self, store: SemanticStore, pairs: PairStore) -> None:
        """In neither direction, whatever the case; their other neighbours and other tenants are not concerned."""
        vector = a_vector()
        one, other, third = (a_question(text, vector) for text in ("one", "other", "third"))
        foreign = [a_question(text, vector, tenant="umbrella") for text in ("one", "other", "third")]
        questions = [one, other, third, *foreign]
        store.put(EMBEDDER, [an_answer_to(question) for question in questions])
        pairs.block(a_pair(other, one))
        found = [{near.text for near in nearby.neighbours} for nearby in store.nearest(EMBEDDER, questions, 3)]
        everyone = {"one", "other", "third"}
        assert [everyone - {"other"}, everyone - {"one"}, *[everyone] * 4] == found

    def test_a_blocked_neighbour_takes_nobodys_place(self, store: SemanticStore, pairs: PairStore) -> None:
        """As many neighbours as were asked for are found behind it."""
        asked = a_question("asked")
        held = [a_question(f"{number}", near(asked.vector, 0.9 - number / 100, number + 2)) for number in range(4)]
        store.put(EMBEDDER, [an_answer_to(question) for question in held])
        pairs.block(a_pair(asked, held[0]))
        (nearby,) = store.nearest(EMBEDDER, [asked], 2)
        assert ["1", "2"] == [one.text for one in nearby.neighbours]

    def test_an_answer_asked_for_before_an_invalidation_is_refused(
        self, store: SemanticStore, durable: DurableStore
    ) -> None:
        """As in the exact layers; and of a batch only the entries of the present generation are kept."""
        question, late = a_question(), a_question("late", a_vector(2))
        generation = _raised(durable, question)
        assert 1 == store.put(
            EMBEDDER, [an_answer_to(question, generation=generation), an_answer_to(late, generation=1)]
        )
        assert [1, 0] == [
            sum(near.text == asked.text for near in store.nearest(EMBEDDER, [asked], 3)[0].neighbours)
            for asked in (question, late)
        ]

    def test_survivors_come_back_with_the_present_generation(self, store: SemanticStore, durable: DurableStore) -> None:
        """Otherwise faster layers, which know the new generation, would refuse copies of them for ever."""
        question = a_question()
        store.put(EMBEDDER, [an_answer_to(question)])
        generation = _raised(durable, question)
        (nearby,) = store.nearest(EMBEDDER, [question], 3)
        assert (generation, [generation]) == (nearby.generation, [one.entry.generation for one in nearby.neighbours])

    @pytest.mark.parametrize("text", ["很长 " * 2000, "תשובה", "🏳️‍🌈 e\u0301 \u202e", "\x00\x1f", "half \ud83d"])
    def test_any_text_comes_back(self, store: SemanticStore, text: str) -> None:
        """The guard compares words, so no letter may change."""
        question = a_question(text)
        store.put(EMBEDDER, [an_answer_to(question)])
        assert [text] == [one.text for one in store.nearest(EMBEDDER, [question], 3)[0].neighbours]

    def test_an_unreadable_answer_is_removed(self, store: SemanticStore, plant: Plant) -> None:
        """Damaged and foreign values are left out and gone; their neighbours stay."""
        vector = a_vector()
        held = [a_question(f"{number}", vector) for number in range(3)]
        store.put(EMBEDDER, [an_answer_to(question) for question in held])
        plant(EMBEDDER, held[0], b"damaged")
        plant(EMBEDDER, held[1], encode(an_entry(held[2].address)))
        for _ in range(2):
            assert ["2"] == [one.text for one in store.nearest(EMBEDDER, [held[0]], 3)[0].neighbours]
        assert ["2"] == [one.text for one in store.nearest(EMBEDDER, [held[0]], 1)[0].neighbours]

    def test_vectors_come_back(self, store: SemanticStore) -> None:
        """By the hash of their text and of unit length; unknown texts are left out."""
        texts = {hash_of(f"text {number}"): a_vector(number) for number in range(3)}
        store.keep_vectors("acme", EMBEDDER, texts)
        found = store.vectors("acme", EMBEDDER, [*texts, hash_of("unknown")])
        assert texts.keys() == found.keys()
        assert [1.0] * 3 == pytest.approx([found[text] @ texts[text] for text in texts], abs=_TOLERANCE)
        assert [1.0] * 3 == pytest.approx([float(np.linalg.norm(one)) for one in found.values()], abs=1e-6)

    def test_vectors_of_others_are_not_found(self, store: SemanticStore) -> None:
        """Another tenant's text stays its own, and another embedder's vector is no use."""
        text = hash_of("text")
        store.keep_vectors("acme", EMBEDDER, {text: a_vector()})
        assert [{}, {}] == [store.vectors("umbrella", EMBEDDER, [text]), store.vectors("acme", "other", [text])]

    def test_no_vectors_are_no_work(self, store: SemanticStore) -> None:
        """Empty batches are fine, and keeping a vector twice changes nothing."""
        store.keep_vectors("acme", EMBEDDER, {})
        for _ in range(2):
            store.keep_vectors("acme", EMBEDDER, {hash_of("text"): a_vector()})
        assert {} == store.vectors("acme", EMBEDDER, [])
        assert 1 == len(store.vectors("acme", EMBEDDER, [hash_of("text")] * 2))

    def test_it_answers(self, store: SemanticStore) -> None:
        """A store that works returns from ping and has a name for messages."""
        store.ping()
        assert store.name


def _raised(durable: DurableStore, question: Question) -> int:
    """Invalidate something else in a question's namespace; return the new generation."""
    selection = Selection(tenant=question.address.tenant, namespace=question.address.namespace, tag="another")
    return durable.invalidate(selection).generations[question.address.namespace]
