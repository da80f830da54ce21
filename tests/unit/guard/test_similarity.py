"""Which of several similar questions may answer."""

from __future__ import annotations

from cognition.domain.similarity import Candidate, Limits, decide


def test_no_candidate_no_answer() -> None:
    """An empty scope answers nothing."""
    assert decide("How do I reset my password?", (), Limits()).chosen is None


def test_a_paraphrase_answers() -> None:
    """The same question in other words is answered."""
    candidate = Candidate("How can I reset my password?", 0.97)
    decision = decide("How do I reset my password?", [candidate], Limits())
    assert decision.chosen is not None
    assert candidate == decision.chosen.candidate


def test_a_difference_refuses_and_says_why() -> None:
    """A guard rule refuses however near the candidate is."""
    decision = decide("Who won the cup in 2019?", [Candidate("Who won the cup in 2020?", 0.99)], Limits())
    assert decision.chosen is None
    assert ["numbers differ: 2020 / 2019"] == [verdict.refusal for verdict in decision.verdicts]


def test_below_the_floor_nothing_is_compared() -> None:
    """A candidate below the lowest cosine says just that."""
    decision = decide("How do I reset my password?", [Candidate("Who won?", 0.2)], Limits())
    assert ["similarity 0.200 is below 0.8"] == [verdict.refusal for verdict in decision.verdicts]
