"""Which similar questions are answered from L3, at what cost, and how often anybody is asked."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from pydantic import BaseModel, model_validator

from cognition.adapters.memory import MemoryEmbedder, ScriptedProvider
from cognition.domain.entry import Layer
from cognition.domain.fingerprint import address_of
from cognition.domain.semantic import hash_of
from cognition.errors import OnlyCachedMiss
from cognition.events import LookedUp, PairMet, Stored
from tests.unit.memory_engine import MODEL, Rig
from tests.unit.near import (
    ASKED,
    ASKED_TOO,
    CACHED,
    COST,
    FAR,
    LENIENT,
    NEGATED,
    SETTINGS,
    SHADOW,
    MakeNear,
    asked_of_provider,
    embedded,
)


def test_a_paraphrase_is_answered_from_l3(near: Rig) -> None:
    """It costs nothing, saves the price of a call, and says how similar the answered question was."""
    near.engine.complete(CACHED)
    near.clock.advance(timedelta(seconds=7))
    done = near.engine.complete(ASKED)
    assert (Layer.L3, f"Answer to {CACHED}", 0, False) == (done.layer, done.output, done.attempts, done.stale)
    assert (Decimal(0), COST, timedelta(seconds=7)) == (done.cost_usd, done.saved_usd, done.age)
    assert done.similarity == pytest.approx(1.0)
    assert [CACHED] == asked_of_provider(near)


def test_the_similarity_is_that_of_the_two_questions(near: Rig) -> None:
    """Not the score, and not 1 for another text."""
    near.engine.complete(CACHED)
    one, other = MemoryEmbedder().embed([CACHED, ASKED_TOO])
    assert near.engine.complete(ASKED_TOO).similarity == pytest.approx(float(one @ other), abs=1e-5)


def test_the_next_time_it_is_answered_by_the_exact_layers(near: Rig) -> None:
    """The copy stands under the asked question's key in L1 and L2, and still says how similar it was."""
    near.engine.complete(CACHED)
    similarity = near.engine.complete(ASKED).similarity
    again = near.engine.complete(ASKED)
    near.fast.clear()
    from_l2 = near.engine.complete(ASKED)
    assert ("l1", "l2") == (again.layer, from_l2.layer)
    assert (similarity, similarity) == (again.similarity, from_l2.similarity)
    assert COST == again.saved_usd


def test_a_copy_names_the_question_that_was_answered(near: Rig) -> None:
    """Its origin is the exact key of the neighbour, its key that of the asked question."""
    near.engine.complete(CACHED)
    near.engine.complete(ASKED)
    near.settle()
    original, copy = (address_of(near.engine.request(prompt)) for prompt in (CACHED, ASKED))
    entry = near.durable.get(copy).entry
    assert entry is not None
    assert (copy.key.hex(), original.key.hex()) == (entry.key, entry.origin)


def test_a_copy_of_a_copy_is_never_made(near: Rig) -> None:
    """Only what the provider answered is compared, so errors do not add up over many steps."""
    near.engine.complete(CACHED)
    near.engine.complete(ASKED)
    assert 1 == len(near.semantic)


def test_hits_are_booked_with_their_layer(near: Rig) -> None:
    """Who was answered from L3 stands in the ledger as a hit that saved the price."""
    for prompt in (CACHED, ASKED, ASKED):
        near.engine.complete(prompt)
    booked = [(row.layer, row.status, row.saved_usd) for row in near.rows]
    assert [("l1", "cache_hit", COST), ("l3", "cache_hit", COST), ("provider", "ok", Decimal(0))] == sorted(booked)


def test_look_ups_stores_and_refusals_are_counted(near: Rig) -> None:
    """A refusal is a miss of L3 where something was near; what is far is only a miss."""
    for prompt in (CACHED, ASKED, NEGATED, FAR):
        near.engine.complete(prompt)
    (l3,) = [stats for stats in near.engine.cache.stats() if stats.layer is Layer.L3]
    assert (1, 3, 1, 3) == (l3.hits, l3.misses, l3.refusals, l3.stores)
    assert COST == l3.saved_usd


@pytest.mark.parametrize("prompt", [NEGATED, FAR], ids=["refused", "far"])
def test_what_may_not_be_answered_goes_to_the_provider(near: Rig, prompt: str) -> None:
    """And is kept in every layer, for others."""
    near.engine.complete(CACHED)
    assert ["provider", "l1"] == [near.layer(prompt) for _ in range(2)]
    assert [CACHED, prompt] == asked_of_provider(near)
    assert [Layer.L2, Layer.L1, Layer.L3] == [event.layer for event in near.seen(Stored)[3:]]


def test_nothing_is_embedded_while_the_exact_layers_answer(near: Rig) -> None:
    """A text is embedded once, after L1 and L2 missed."""
    near.engine.complete(CACHED)
    assert [CACHED] == embedded(near)
    near.engine.complete(CACHED)
    near.fast.clear()
    near.engine.complete(CACHED)
    assert ([CACHED], [1]) == (embedded(near), near.semantic.asked)


def test_vectors_are_kept_for_other_processes(make_near: MakeNear, near: Rig) -> None:
    """What the store knows is not embedded again."""
    near.engine.complete(CACHED)
    fingerprint, texts = MemoryEmbedder().identity.fingerprint, [hash_of(CACHED)]
    other = make_near()
    other.semantic.keep_vectors("default", fingerprint, near.semantic.vectors("default", fingerprint, texts))
    other.engine.complete(CACHED)
    assert ([], 1) == (embedded(other), len(other.semantic))


def test_a_local_model_asks_the_store_for_many_vectors_only(make_near: MakeNear, near: Rig) -> None:
    """It makes one vector faster than it would be found in most cases."""
    near.engine.complete_many([CACHED, FAR])
    fingerprint, texts = MemoryEmbedder().identity.fingerprint, [hash_of(CACHED), hash_of(FAR)]
    known = near.semantic.vectors("default", fingerprint, texts)
    alone, together = make_near(), make_near()
    for rig in (alone, together):
        assert rig.embedder is not None
        rig.embedder.is_local = True
        rig.semantic.keep_vectors("default", fingerprint, known)
    for prompt in (CACHED, FAR):
        alone.engine.complete(prompt)
    together.engine.complete_many([CACHED, FAR])
    assert ([CACHED, FAR], []) == (embedded(alone), embedded(together))


def test_a_batch_is_embedded_and_searched_at_once(near: Rig) -> None:
    """One embedding batch and one look-up for all that the exact layers do not know."""
    near.engine.complete_many([CACHED, FAR])
    near.semantic.asked.clear()
    embedded(near).clear()
    done = near.engine.complete_many([CACHED, ASKED, NEGATED, ASKED_TOO])
    assert ["l1", "l3", "provider", "l3"] == [one.layer for one in done]
    assert [3] == near.semantic.asked
    assert [ASKED, NEGATED, ASKED_TOO] == embedded(near)
    assert [CACHED, FAR, NEGATED] == asked_of_provider(near)


def test_duplicates_in_a_batch_are_embedded_once(near: Rig) -> None:
    """Each is answered, and each stands in the ledger; the copy reaches L1 all the same."""
    near.engine.complete(CACHED)
    done = near.engine.complete_many([ASKED, ASKED, ASKED])
    assert ["l3"] * 3 == [one.layer for one in done]
    assert [CACHED, ASKED] == embedded(near)
    assert 3 == sum(row.layer is Layer.L3 for row in near.rows)
    assert "l1" == near.layer(ASKED)


def test_counts_of_a_batch_are_one_event(near: Rig) -> None:
    """With hits, misses and refusals."""
    near.engine.complete(CACHED)
    near.events.clear()
    near.engine.complete_many([ASKED, NEGATED, FAR])
    (l3,) = [event for event in near.seen(LookedUp) if event.layer is Layer.L3]
    assert (1, 2, 1) == (l3.hits, l3.misses, l3.refusals)


def test_off_neither_looks_nor_stores(near: Rig) -> None:
    """Nothing is embedded and L3 stays as it was."""
    near.engine.complete(CACHED)
    embedded(near).clear()
    assert "provider" == near.layer(ASKED, semantic="off")
    assert ([], 1) == (embedded(near), len(near.semantic))


def test_off_is_given_no_copy_of_a_similar_answer(near: Rig) -> None:
    """Who switched L3 off gets the provider's own answer, although L1 holds a copy for others."""
    near.engine.complete(CACHED)
    near.engine.complete(ASKED)
    done = near.engine.complete(ASKED, semantic="off")
    assert ("provider", f"Answer to {ASKED}") == (done.layer, done.output)
    assert "l1" == near.layer(ASKED, semantic="off")


def test_shadow_asks_the_provider_and_keeps_both(near: Rig) -> None:
    """The caller gets the provider's answer; what would have been answered is remembered."""
    near.engine.complete(CACHED, semantic=SHADOW)
    done = near.engine.complete(ASKED, semantic=SHADOW)
    assert ("provider", f"Answer to {ASKED}") == (done.layer, done.output)
    (met,) = near.seen(PairMet)
    assert (ASKED, CACHED, False) == (met.pair.asked_text, met.pair.cached_text, met.pair.served)
    assert 2 == len(near.semantic)


def test_a_mode_alone_keeps_the_rest_of_the_policy(near: Rig) -> None:
    """`semantic="on"` after a shadow default answers by the default's thresholds."""
    near.engine.complete(CACHED)
    assert "l3" == near.layer(ASKED_TOO, semantic="on")


def test_the_threshold_decides(near: Rig) -> None:
    """A score below it does not answer, whatever the guard says."""
    near.engine.complete(CACHED)
    strict = replace(LENIENT, threshold=1.0)
    assert "provider" == near.layer(ASKED_TOO, semantic=strict)


def test_a_namespace_may_have_its_own_threshold(near: Rig) -> None:
    """Of two namespaces with the same questions only the lenient one answers."""
    policy = replace(LENIENT, thresholds={"law": 1.0})
    for namespace in ("law", "fun"):
        near.engine.complete(CACHED, namespace=namespace)
    layers = [near.layer(ASKED_TOO, namespace=namespace, semantic=policy) for namespace in ("law", "fun")]
    assert ["provider", "l3"] == layers


def test_what_is_below_the_floor_is_not_compared(near: Rig) -> None:
    """Neither a hit nor a refusal."""
    near.engine.complete(CACHED)
    assert "provider" == near.layer(NEGATED, semantic=replace(LENIENT, floor=1.0))
    assert [0, 0] == [event.refusals for event in near.seen(LookedUp) if event.layer is Layer.L3]


def test_refresh_asks_and_replaces(near: Rig) -> None:
    """L3 is not looked at, and answers with the new answer from then on."""
    near.engine.complete(CACHED)
    near.semantic.asked.clear()
    assert "provider" == near.layer(CACHED, cache="refresh")
    assert ([], 1) == (near.semantic.asked, len(near.semantic))


def test_a_refreshed_answer_serves_similar_questions(make_near: MakeNear) -> None:
    """The old one is gone."""
    rig = make_near(provider=ScriptedProvider("Old.", "New."))
    rig.engine.complete(CACHED)
    rig.engine.complete(CACHED, cache="refresh")
    assert "New." == rig.engine.complete(ASKED).output


def test_bypass_neither_looks_nor_stores(near: Rig) -> None:
    """Nothing is embedded either."""
    assert "provider" == near.layer(CACHED, cache="bypass")
    assert ([], [], 0) == (embedded(near), near.semantic.asked, len(near.semantic))


def test_only_answers_from_l3_or_not_at_all(near: Rig) -> None:
    """A similar question's answer is cached; a refusal is an error that asks nobody."""
    near.engine.complete(CACHED)
    assert "l3" == near.layer(ASKED, cache="only")
    with pytest.raises(OnlyCachedMiss):
        near.engine.complete(NEGATED, cache="only")
    assert [CACHED] == asked_of_provider(near)


def test_what_lies_beyond_the_window_has_no_l3(make_near: MakeNear) -> None:
    """It is never looked up nor kept by its head; the exact layers answer it as ever."""
    rig = make_near(embedder=MemoryEmbedder(window=8))
    rig.engine.complete(CACHED)
    longer = f"{ASKED} and what comes after the window"
    assert ["provider", "l1"] == [rig.layer(longer) for _ in range(2)]
    assert ([1], 1, [CACHED]) == (rig.semantic.asked, len(rig.semantic), embedded(rig))


def test_an_answer_that_no_longer_fits_its_type_is_a_miss(make_near: MakeNear) -> None:
    """The provider is asked, and its answer takes the place of the copy."""
    least = 0

    class Age(BaseModel):
        years: int

        @model_validator(mode="after")
        def check(self) -> Age:
            """Refuse what has become too young."""
            if self.years < least:
                raise ValueError("too young")
            return self

    rig = make_near(provider=ScriptedProvider('{"years": 3}', '{"years": 30}'))
    rig.engine.complete(CACHED, output=Age)
    least = 18
    done = rig.engine.complete(ASKED, output=Age)
    assert ("provider", 30) == (done.layer, done.output.years)
    again = rig.engine.complete(ASKED, output=Age)
    assert ("l1", 30, None) == (again.layer, again.output.years, again.similarity)


def test_the_very_question_is_no_neighbour_of_itself(make_near: MakeNear) -> None:
    """After L2 forgot it, L3 answers it whatever the threshold is; there is nothing to compare or to learn."""
    rig = make_near(settings=SETTINGS.model_copy(update={"semantic": replace(LENIENT, threshold=1.0)}))
    rig.engine.complete(CACHED)
    rig.clock.advance(timedelta(hours=2))
    done = rig.engine.complete(CACHED)
    assert ("l3", None) == (done.layer, done.similarity)
    assert [] == rig.seen(PairMet)


def test_without_an_embedder_similar_questions_are_strangers(make_near: MakeNear) -> None:
    """Two calls of the provider, and no figures of L3."""
    rig = make_near(embedder=None)
    assert ["provider", "provider"] == [rig.layer(prompt) for prompt in (CACHED, ASKED)]
    assert {Layer.L1, Layer.L2} == {stats.layer for stats in rig.engine.cache.stats()}


async def test_async_callers_get_the_same(near: Rig) -> None:
    """Through the other door, alone and in batches."""
    await near.engine.acomplete(CACHED)
    assert "l3" == (await near.engine.acomplete(ASKED)).layer
    done = await near.engine.acomplete_many([ASKED_TOO, NEGATED])
    assert ["l3", "provider"] == [one.layer for one in done]


def test_every_model_answers_for_itself(near: Rig) -> None:
    """The same two questions to two models are asked twice."""
    layers = [near.layer(prompt, model=model) for model in (MODEL, "openai-chat:gpt-5") for prompt in (CACHED, ASKED)]
    assert ["provider", "l3", "provider", "l3"] == layers
