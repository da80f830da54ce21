"""The threshold that labels support, and how often it keeps its promise."""

from __future__ import annotations

import math
import random
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cognition.domain.error_bound import WINDOW, Bar, Limit, bar_of, error_bound
from cognition.domain.semantic import Label

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)
LIMIT = Limit(default=0.92, lowest=0.5, max_error=0.02, confidence=0.95)


def labels(right: int, wrong: int = 0, score: float = 0.95) -> list[Label]:
    """Return labels of one score."""
    return [Label(score, number >= wrong, "shadow", NOON) for number in range(right + wrong)]


@pytest.mark.parametrize(
    ("wrong", "total", "bound"),
    # Of the beta distribution: scipy.stats.beta.ppf(0.95, wrong + 1, total - wrong).
    [(0, 10, 0.25887), (1, 10, 0.39416), (5, 100, 0.10225), (0, 149, 0.01990), (3, 3, 1.0), (20, 1000, 0.02893)],
)
def test_the_bound_is_that_of_clopper_and_pearson(wrong: int, total: int, bound: float) -> None:
    """The one-sided bound agrees with the quantile of the beta distribution."""
    assert bound == pytest.approx(error_bound(wrong, total, 0.95), abs=1e-5)


def test_without_labels_the_default_holds() -> None:
    """Nothing is known, and the bar says so."""
    assert Bar(threshold=0.92, basis="default") == bar_of([], LIMIT)


def test_without_a_limit_the_default_is_trusted() -> None:
    """Whoever asks for no limit gets the default, whatever the labels say, and still sees what they say."""
    bar = bar_of(labels(0, wrong=40), Limit(default=0.92, lowest=0.5, max_error=None, confidence=0.95))
    assert (0.92, "trusted", 40, 40) == (bar.threshold, bar.basis, bar.labels, bar.wrong)


def test_a_clean_record_proves_the_limit_and_lowers_the_threshold() -> None:
    """Labels that reach further down than the default prove a lower threshold."""
    bar = bar_of(labels(149, score=0.85), LIMIT)
    assert (0.5, "proven") == (bar.threshold, bar.basis)
    assert bar.error_bound < 0.02


def test_one_label_less_proves_nothing() -> None:
    """The smallest clean record that proves 2 % with 95 % confidence has 149 labels."""
    assert "default" == bar_of(labels(148), LIMIT).basis


def test_the_lowest_threshold_stays_above_the_wrong_ones() -> None:
    """Wrong answers with low scores end the search above them."""
    bar = bar_of(labels(300, score=0.97) + labels(0, wrong=60, score=0.935), LIMIT)
    assert (0.94, "proven") == (bar.threshold, bar.basis)


def test_few_labels_that_contradict_raise_the_threshold() -> None:
    """Three wrong ones of twelve would be unlikely at 2 %."""
    bar = bar_of(labels(9, score=0.99) + labels(0, wrong=3, score=0.93), LIMIT)
    assert (0.94, "raised") == (bar.threshold, bar.basis)


def test_the_first_complaint_raises_nothing() -> None:
    """One report is no sample; its pair is blocked anyway."""
    assert "default" == bar_of(labels(0, wrong=1), LIMIT).basis


def test_nothing_may_answer_when_every_threshold_is_contradicted() -> None:
    """The highest score of all is wrong as well."""
    bar = bar_of(labels(0, wrong=30, score=1.0), LIMIT)
    assert (math.inf, "closed") == (bar.threshold, bar.basis)


def test_drift_tightens_what_was_proven() -> None:
    """A long good record does not cover the newest labels when those are bad."""
    good = labels(900, score=0.97)
    assert "proven" == bar_of(good, LIMIT).basis
    assert bar_of(labels(40, wrong=6, score=0.97) + good, LIMIT).threshold > 0.97


def test_old_labels_are_forgotten() -> None:
    """Only the newest ones count."""
    assert bar_of(labels(WINDOW), LIMIT) == bar_of(labels(WINDOW) + labels(0, wrong=500), LIMIT)


@given(
    scores=st.lists(st.tuples(st.floats(0.5, 1), st.booleans()), max_size=400),
    share=st.floats(0.005, 0.3),
)
def test_a_proven_threshold_has_its_bound(scores: list[tuple[float, bool]], share: float) -> None:
    """Whatever the labels are, `proven` means that the bound over those that reach it is below the limit."""
    limit = Limit(default=0.92, lowest=0.5, max_error=share, confidence=0.95)
    bar = bar_of([Label(score, right, "shadow", NOON) for score, right in scores], limit)
    if bar.basis == "proven":
        reaching = [right for score, right in scores if score >= bar.threshold]
        assert share >= error_bound(reaching.count(False), len(reaching), 0.95)


WORLDS: dict[str, Callable[[float], float]] = {
    "always a little too bad": lambda _: 0.021,
    "better when nearer": lambda score: min(1.0, 0.25 * (1 - score)),
    "good above a cliff": lambda score: 0.005 if score > 0.9 else 0.4,
    "good everywhere": lambda _: 0.004,
}


@pytest.mark.slow
@pytest.mark.parametrize("world", WORLDS.values(), ids=WORLDS.keys())
def test_of_a_thousand_namespaces_few_break_their_promise(world: Callable[[float], float]) -> None:
    """In at most 5 % of namespaces is a threshold called proven whose true share of wrong hits is above the limit."""
    draw = random.Random(20261125)  # noqa: S311  a simulation
    reference = [draw.betavariate(8, 1.5) for _ in range(20_000)]
    broken = proven = 0
    for _ in range(1000):
        scores = [draw.betavariate(8, 1.5) for _ in range(draw.choice((200, 400, 800)))]
        bar = bar_of([Label(score, draw.random() >= world(score), "shadow", NOON) for score in scores], LIMIT)
        if bar.basis == "proven":
            proven += 1
            broken += fmean(world(score) for score in reference if score >= bar.threshold) > 0.02
    sys.stdout.write(f"{proven} of 1000 proven, {broken} of them above the limit\n")
    assert broken <= 50
