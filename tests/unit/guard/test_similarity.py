"""Which of several similar questions may answer."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cognition.domain.guard import analyse, compare, score_of
from cognition.domain.similarity import DEFAULT_FLOOR, DEFAULT_THRESHOLD, Candidate, Limits, decide

ASKED = "How do I reset my password?"
SAME = Candidate("How can I reset my password?", 0.97)
NEAR = Candidate("How do I reset my password on the old phone?", 0.90)
OTHER_YEAR = Candidate("Who won the cup in 2020?", 0.99)


def refusals(asked: str, *candidates: Candidate, limits: Limits | None = None) -> list[str | None]:
    """Return why each candidate may not answer."""
    return [verdict.refusal for verdict in decide(asked, candidates, limits or Limits()).verdicts]


def test_no_candidate_no_answer() -> None:
    """An empty scope answers nothing."""
    assert decide(ASKED, (), Limits()).chosen is None


def test_a_paraphrase_answers() -> None:
    """The same question in other words is answered, with its score."""
    chosen = decide(ASKED, [SAME], Limits()).chosen
    assert chosen is not None
    assert (SAME, None, ()) == (chosen.candidate, chosen.refusal, chosen.differences)
    assert DEFAULT_THRESHOLD <= chosen.score <= 1


def test_a_difference_refuses_however_near_it_is() -> None:
    """The reason is the rule's, and the score is none."""
    verdict = decide("Who won the cup in 2019?", [OTHER_YEAR], Limits()).verdicts[0]
    assert ("numbers differ: 2020 / 2019", 0.0) == (verdict.refusal, verdict.score)


def test_below_the_floor_nothing_is_compared() -> None:
    """A candidate below the lowest cosine says just that."""
    assert ["similarity 0.200 is below 0.8"] == refusals(ASKED, Candidate("Who won?", 0.2))


def test_below_the_threshold_the_score_is_told() -> None:
    """A lower threshold lets the same candidate answer."""
    (refusal,) = refusals(ASKED, NEAR)
    assert refusal is not None
    assert refusal.startswith("score 0.")
    assert [None] == refusals(ASKED, NEAR, limits=Limits(threshold=0.3))


def test_the_best_score_wins_and_not_the_nearest() -> None:
    """A near candidate that a rule refuses does not stand in the way of a farther one."""
    negated = Candidate("How do I not reset my password?", 0.99)
    decision = decide(ASKED, [negated, SAME, NEAR], Limits())
    assert decision.chosen is decision.verdicts[1]
    assert [negated, SAME, NEAR] == [verdict.candidate for verdict in decision.verdicts]


@pytest.mark.parametrize("asked", ["How do I become more patient?", "How do I become less impatient?"])
def test_the_same_words_answer_from_the_floor_on(asked: str) -> None:
    """Where only synonyms or turned opposites stand in for each other, the cosine has no say above the floor."""
    assert [None] == refusals(asked, Candidate("How can I become more patient?", DEFAULT_FLOOR))


@given(st.floats(0.5, 0.99), st.floats(0.001, 0.01))
def test_the_score_grows_with_the_similarity(similarity: float, more: float) -> None:
    """Of two candidates with the same words the nearer one has the higher score."""
    comparison = compare(analyse(NEAR.text), analyse(ASKED))
    assert score_of(similarity, comparison) < score_of(similarity + more, comparison)


def test_a_name_only_the_asked_question_has_costs_more_than_one_only_the_cached_has() -> None:
    """An answer may say more than was asked, but not less."""
    general, special = "Where can I buy garden tools?", "Where can I buy garden tools in Oslo?"
    added = score_of(0.93, compare(analyse(general), analyse(special)))
    left_out = score_of(0.93, compare(analyse(special), analyse(general)))
    assert added < left_out
