"""What `explain` says, and that nobody notices that it was asked."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from pydantic_ai.messages import ImageUrl, ModelRequest, UserPromptPart

from cognition import SemanticPolicy
from cognition.adapters.memory import MemoryEmbedder
from cognition.domain.entry import Layer
from cognition.domain.explanation import HeldIn
from cognition.domain.fingerprint import address_of
from cognition.domain.semantic_policy import SemanticMode
from cognition.errors import ConfigurationError
from cognition.events import PairMet
from tests.unit.memory_engine import MODEL, Rig
from tests.unit.near import ASKED, ASKED_LAST, ASKED_THEN, ASKED_TOO, CACHED, FAR, LENIENT, NEGATED, MakeNear


def test_explaining_changes_and_counts_nothing(near: Rig) -> None:
    """No event, no ledger row, no entry, no look-up in the statistics, and nobody is asked."""
    near.engine.complete(CACHED)
    rows, held = len(near.rows), (len(near.fast), len(near.durable), len(near.semantic))
    stats = near.engine.cache.stats()
    near.events.clear()
    for prompt in (CACHED, ASKED, NEGATED, FAR):
        near.engine.cache.explain(prompt, semantic=replace(LENIENT, check_share=1.0))
    assert [] == near.events
    assert (rows, held) == (len(near.rows), (len(near.fast), len(near.durable), len(near.semantic)))
    assert stats == near.engine.cache.stats()
    assert "l3" == near.layer(ASKED), "explaining made no copy of it"


def test_it_names_the_keys_and_the_model(near: Rig) -> None:
    """Two similar questions have one scope key and two exact ones."""
    one, other = (near.engine.cache.explain(prompt, namespace="help") for prompt in (CACHED, ASKED))
    address = address_of(near.engine.request(CACHED, namespace="help"))
    assert (address.key.hex(), address.scope_key.hex()) == (one.exact_key, one.scope_key)
    assert one.scope_key == other.scope_key
    assert one.exact_key != other.exact_key
    assert (MODEL, "default", "help") == (one.model, one.tenant, one.namespace)


def test_an_empty_cache_sends_everybody_to_the_provider(near: Rig) -> None:
    """And says that nothing is there to compare with."""
    explanation = near.engine.cache.explain(CACHED)
    assert Layer.PROVIDER == explanation.answered_by
    assert [HeldIn(layer=Layer.L1, held=False), HeldIn(layer=Layer.L2, held=False)] == explanation.layers
    assert "This scope holds no question; a score of 0.50 is needed, the default" in explanation.semantic
    assert "nothing was checked yet" in explanation.semantic


def test_it_tells_how_long_answers_live(near: Rig) -> None:
    """In each exact layer and of each neighbour."""
    near.engine.complete(CACHED)
    near.clock.advance(timedelta(minutes=1))
    explanation = near.engine.cache.explain(CACHED)
    assert [timedelta(minutes=4), timedelta(minutes=59)] == [layer.time_left for layer in explanation.layers]
    assert [timedelta(hours=23, minutes=59)] == [question.time_left for question in explanation.nearby]
    assert Layer.L1 == explanation.answered_by


def test_a_neighbour_that_would_answer_has_no_reasons(near: Rig) -> None:
    """Its text, similarity and score are told."""
    near.engine.complete(CACHED)
    explanation = near.engine.cache.explain(ASKED)
    (question,) = explanation.nearby
    assert (Layer.L3, CACHED, True, []) == (
        explanation.answered_by,
        question.text,
        question.answers,
        question.reasons,
    )
    assert question.similarity == pytest.approx(1.0)
    assert question.score >= LENIENT.threshold


def test_what_the_guard_refuses_is_said_in_its_words(near: Rig) -> None:
    """One reason for each difference, and no score."""
    near.engine.complete(CACHED)
    (question,) = near.engine.cache.explain(NEGATED).nearby
    assert (False, 0.0) == (question.answers, question.score)
    assert any("negation" in reason for reason in question.reasons)


def test_what_lacks_score_is_said_with_both_figures(near: Rig) -> None:
    """The score and the one that is needed."""
    near.engine.complete(CACHED)
    (question,) = near.engine.cache.explain(ASKED_TOO, semantic=replace(LENIENT, threshold=1.0)).nearby
    assert not question.answers
    assert [f"score {question.score:.3f} is below 1"] == question.reasons


def test_what_lies_below_the_floor_is_said(near: Rig) -> None:
    """With its similarity."""
    near.engine.complete(CACHED)
    (question,) = near.engine.cache.explain(FAR).nearby
    assert not question.answers
    assert "is below 0.5" in question.reasons[0]


def test_at_most_so_many_candidates_are_told_nearest_first(near: Rig) -> None:
    """As many as would be considered."""
    for prompt in (FAR, NEGATED, ASKED_TOO, CACHED):
        near.engine.complete(prompt, semantic=replace(LENIENT, mode="shadow"))
    similarities = [question.similarity for question in near.engine.cache.explain(ASKED).nearby]
    assert 3 == len(similarities)
    assert sorted(similarities, reverse=True) == similarities


def test_a_copy_is_told_from_an_answer(near: Rig) -> None:
    """With the key of the question that was answered."""
    near.engine.complete(CACHED)
    near.engine.complete(ASKED)
    origin = address_of(near.engine.request(CACHED)).key.hex()
    assert [origin, origin] == [layer.origin for layer in near.engine.cache.explain(ASKED).layers]
    assert [None, None] == [layer.origin for layer in near.engine.cache.explain(CACHED).layers]


@pytest.mark.parametrize("mode", ["off", "shadow"])
def test_who_wants_no_similar_answers_is_told_so(near: Rig, mode: SemanticMode) -> None:
    """Neither a neighbour nor its copy answers then."""
    near.engine.complete(CACHED)
    near.engine.complete(ASKED)
    explanation = near.engine.cache.explain(ASKED, semantic=mode)
    assert Layer.PROVIDER == explanation.answered_by
    expected = {"off": "The policy switches the semantic layer off.", "shadow": "shadow mode only compares."}
    assert explanation.semantic.endswith(expected[mode])


def test_the_very_question_answers_whatever_its_score(near: Rig) -> None:
    """It needs no threshold."""
    policy = replace(LENIENT, threshold=1.0)
    near.engine.complete(CACHED)
    near.clock.advance(timedelta(hours=2))
    explanation = near.engine.cache.explain(CACHED, semantic=policy)
    assert (Layer.L3, True, []) == (
        explanation.answered_by,
        explanation.nearby[0].answers,
        explanation.nearby[0].reasons,
    )


def test_without_an_embedder_it_says_which_variable_to_set(make_near: MakeNear) -> None:
    """Somebody may wonder why L3 never answers."""
    explanation = make_near(embedder=None).engine.cache.explain(CACHED)
    assert "no embedder is set; set COGNITION_EMBEDDER=local:all-minilm-l6-v2" in explanation.semantic
    assert [] == list(explanation.nearby)


def test_a_text_beyond_the_window_is_said(make_near: MakeNear) -> None:
    """It is never compared by its head."""
    explanation = make_near(embedder=MemoryEmbedder(window=3)).engine.cache.explain(CACHED)
    assert "longer than the embedder's window" in explanation.semantic


def test_a_message_without_text_is_said(near: Rig) -> None:
    """An image alone has no meaning that could be compared."""
    image = ModelRequest([UserPromptPart([ImageUrl("https://example.com/a.png")])])
    assert "The last message has no text" in near.engine.cache.explain([image]).semantic


BASES: dict[str, tuple[SemanticPolicy, list[bool], str]] = {
    "trusted": (replace(LENIENT, max_error=None), [], "a score of 0.50 is needed, as the policy says"),
    "default": (LENIENT, [True], "the default (0 of 1 checked answers were wrong)"),
    "proven": (replace(LENIENT, max_error=0.3), [True] * 12, "proven: less than"),
    "raised": (
        replace(LENIENT, max_error=0.3),
        [False] * 12,
        "raised, because checked answers speak against the default (12 of 12",
    ),
}


@pytest.mark.parametrize(("policy", "verdicts", "sentence"), BASES.values(), ids=BASES)
def test_it_tells_what_is_known_of_the_error(
    near: Rig, policy: SemanticPolicy, verdicts: list[bool], sentence: str
) -> None:
    """The score that is needed, and on what grounds."""
    near.engine.complete(CACHED)
    near.engine.complete(ASKED)
    pair = near.seen(PairMet)[0].pair
    for number, right in enumerate(verdicts):
        judged = replace(pair, request_id=str(number), score=0.7)
        near.machinery.cache.trust.judge(judged, "shadow", right=right)
    assert sentence in near.engine.cache.explain(ASKED_THEN, semantic=policy).semantic


def test_it_tells_that_nothing_may_answer(near: Rig) -> None:
    """When even the highest scores were wrong."""
    near.engine.complete(CACHED)
    near.engine.complete(ASKED)
    pair = near.seen(PairMet)[0].pair
    for number in range(12):
        judged = replace(pair, request_id=str(number), score=1.0)
        near.machinery.cache.trust.judge(judged, "shadow", right=False)
    explanation = near.engine.cache.explain(ASKED_LAST)
    assert "against every threshold, so none may answer (12 of 12 checked" in explanation.semantic
    assert Layer.PROVIDER == explanation.answered_by


def test_a_misspelt_option_is_refused(near: Rig) -> None:
    """As by the call itself."""
    with pytest.raises(ConfigurationError, match="no option prompts"):
        near.engine.cache.explain(CACHED, prompts=1)
