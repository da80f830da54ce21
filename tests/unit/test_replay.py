"""A replay of logged calls and pairs: what is answered by what, at which threshold."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from hashlib import sha256

import numpy as np
import pytest

from cognition.domain.replay import SCORE, LoggedCall, LoggedPair, Method, Outcome, Report, wilson
from cognition.domain.semantic import EmbedderIdentity, Vectors
from cognition.domain.semantic_policy import SemanticPolicy
from cognition.domain.similarity import Candidate, Limits, decide
from cognition.ports import Embedder, Verifier
from cognition.services.replay import Plan, Replay
from cognition.services.replay_rules import Opinions, Rule
from cognition.testing import MemoryEmbedder, MemoryVerifier


class Angles:
    """An embedder of texts that begin with an angle in degrees; two are as similar as the cosine of the difference."""

    identity = EmbedderIdentity(name="test:angles", revision="1", dimensions=2)
    is_local = True

    def fits(self, text: str) -> bool:
        """Whether there is an angle."""
        return text[:1].isdigit()

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Return points on a circle."""
        angles = [math.radians(float(text.split()[0])) for text in texts]
        return np.array([(math.cos(angle), math.sin(angle)) for angle in angles], np.float32)

    def close(self) -> None:
        """Hold nothing."""


POLICY = SemanticPolicy()


def ignore(what: str, done: int, total: int) -> None:
    """Show no progress."""
    del what, done, total


def replay(
    calls: Sequence[LoggedCall], *thresholds: float, embedder: Embedder | None = None, verifier: Verifier | None = None
) -> Report:
    """Replay calls; by default texts are near when they share words."""
    plan = Plan(thresholds=thresholds or (0.9,), policy=POLICY, show=3)
    return Replay(embedder or MemoryEmbedder(), verifier, plan, ignore).of_calls(calls)


def outcomes(report: Report, method: Method) -> tuple[Outcome, ...]:
    """Return what one method did."""
    return next(curve.outcomes for curve in report.curves if curve.method == method)


def asked(*texts: str, truth: str | None = None, scope: str = "") -> list[LoggedCall]:
    """Return calls of one scope whose answers are the same."""
    return [LoggedCall(text=text, scope=(scope,), truth=("label", truth) if truth else None) for text in texts]


def test_a_question_that_is_answered_is_not_kept() -> None:
    """By fives to 20 degrees: the third is near the second alone, which was answered and so is not kept."""
    calls = asked("0", "5", "10", "15", "20")

    # cos 5° = 0.9962, cos 10° = 0.9848
    (outcome,) = outcomes(replay(calls, 0.99, embedder=Angles()), "cosine")
    assert 2 == outcome.hits
    assert 0.4 == outcome.hit_rate
    assert 0 == outcomes(replay(calls, 0.997, embedder=Angles()), "cosine")[0].hits


def test_a_higher_threshold_answers_less() -> None:
    """Every method, over a crowd of questions."""
    calls = [call for angle in range(0, 80, 3) for call in asked(f"{angle} degrees")]
    report = replay(calls, 0.85, 0.9, 0.95, 0.99, embedder=Angles())

    for curve in report.curves:
        hits = [outcome.hits for outcome in curve.outcomes]
        assert sorted(hits, reverse=True) == hits
    hits = [outcome.hits for outcome in outcomes(report, "cosine")]
    assert hits[0] > hits[-1] > 0


def test_scopes_never_answer_each_other() -> None:
    """The same words and near ones, in another scope, are neither repeats nor neighbours."""
    one, other = (
        asked("how do I cook rice", scope="a"),
        asked("how do I cook rice", "how do I cook rice now", scope="b"),
    )
    report = replay([*one, *other], 0.8)

    assert (2, 0) == (report.scopes, report.repeats)
    assert 1 == outcomes(report, "cosine")[0].hits
    assert 0 == outcomes(replay([*one, *other[1:]], 0.8), "cosine")[0].hits


def test_exact_repeats_are_counted_apart() -> None:
    """Three times the same question is one question and two repeats, with what those cost."""
    calls = [replace(call, cost_usd=Decimal("0.25")) for call in asked("why", "why", "why")]
    report = replay(calls)

    assert (3, 2, Decimal("0.50")) == (report.calls, report.repeats, report.repeats_saved_usd)
    assert [0, 0, 0] == [curve.outcomes[0].hits for curve in report.curves]


def test_labels_tell_right_hits_from_wrong_ones() -> None:
    """One right and one wrong hit; the wrong one is shown."""
    report = replay(
        [*asked("0", "1", truth="a"), *asked("90", truth="b"), *asked("91", truth="c")], 0.9, embedder=Angles()
    )

    (outcome,) = outcomes(report, "cosine")
    assert (1, 1, 0.5) == (outcome.right, outcome.wrong, outcome.precision)
    assert wilson(0.5, 2) == outcome.interval
    assert report.labelled


@pytest.mark.parametrize("truth", [None, ("answer", "a")])
def test_without_comparable_labels_nothing_is_right_or_wrong(truth: tuple[str, str] | None) -> None:
    """A missing label, and a mere answer beside a label, leave the precision unknown; hits are counted all the same."""
    report = replay([*asked("0", truth="a"), LoggedCall(text="1", scope=("",), truth=truth)], embedder=Angles())

    (outcome,) = outcomes(report, "cosine")
    assert (1, 0, 0, None, None) == (
        outcome.hits,
        outcome.right,
        outcome.wrong,
        outcome.precision,
        outcome.interval,
    )
    assert not report.labelled


def test_a_hit_saves_what_its_call_cost() -> None:
    """Only the costs of calls that were answered count, and unknown ones add nothing."""
    calls = [
        replace(call, cost_usd=cost)
        for call, cost in zip(asked("0", "1", "2"), [Decimal(1), Decimal("0.1"), None], strict=True)
    ]
    report = replay(calls, embedder=Angles())

    assert report.priced
    assert (2, Decimal("0.1")) == (outcomes(report, "cosine")[0].hits, outcomes(report, "cosine")[0].saved_usd)
    assert not replay(asked("0", "1"), embedder=Angles()).priced


def test_the_guard_refuses_and_says_why() -> None:
    """Another number is another question, however near; the refusal is counted by its rule, and shown."""
    report = replay(asked("convert 5 miles to kilometres please now", "convert 7 miles to kilometres please now"), 0.6)

    assert (1, 0, 0) == tuple(outcomes(report, method)[0].hits for method in ("cosine", "guarded", "shipped"))
    assert {"numbers": 1} == outcomes(report, "guarded")[0].refusals
    (shown,) = report.examples.refused
    assert "numbers" == shown.refusal
    assert "5" in shown.reason


def test_a_low_score_refuses_too() -> None:
    """What the guard lets pass may still be too unlikely."""
    texts = ("please tell me how rice is cooked well", "please tell me how fish is cooked well")
    (outcome,) = outcomes(replay(asked(*texts), 0.999), "shipped")

    assert (0, {SCORE: 1}) == (outcome.hits, outcome.refusals)


def test_the_shipped_method_is_what_the_layer_decides() -> None:
    """At every threshold it gives the neighbour that `decide` chooses, or none."""
    candidates = [
        Candidate("how do I boil an egg", 0.97),
        Candidate("how do I boil two eggs", 0.93),
        Candidate("how can I boil an egg", 0.91),
        Candidate("egg boiling", 0.7),
    ]
    opinions = Opinions(POLICY, None)
    for step in range(101):
        chosen = decide("how do I boil the egg", candidates, Limits(step / 100, POLICY.floor)).chosen
        choice = opinions.choose(Rule("shipped", step / 100), "how do I boil the egg", candidates)
        assert choice is not None
        assert (chosen.candidate if chosen else None) == (None if choice.refusal else choice.candidate)


class Untied(MemoryEmbedder):
    """Gives no two pairs of texts the same similarity, so that there is one order of neighbours."""

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Return the vector of the words, moved a little by the whole text."""
        plain = super().embed(texts)
        seeds = [int.from_bytes(sha256(text.encode()).digest()[:4]) for text in texts]
        draws = [random.Random(seed) for seed in seeds]  # noqa: S311  no secret
        noise = [[draw.gauss(0, 0.01) for _ in range(plain.shape[1])] for draw in draws]
        moved = plain + np.array(noise, np.float32)
        return (moved / np.linalg.norm(moved, axis=1, keepdims=True)).astype(np.float32)


def test_a_replay_is_what_a_cache_does() -> None:
    """Asked one by one, with every earlier question compared and `decide` deciding, the same questions are answered."""
    draw = random.Random(3)  # noqa: S311  a simulation
    words = ["rice", "fish", "soup", "bread", "oven", "pan", "quickly", "slowly", "today", "well"]
    texts = [f"how do I cook {' and '.join(draw.sample(words, draw.randint(3, 5)))}" for _ in range(150)]
    vectors = dict(zip(texts, Untied().embed(texts), strict=True))
    report = replay(asked(*texts), 0.3, 0.6, 0.9, embedder=Untied())

    for outcome in outcomes(report, "shipped"):
        kept, hits = list[str](), 0
        for text in dict.fromkeys(texts):
            near = sorted(kept, key=lambda other: -float(vectors[other] @ vectors[text]))[: POLICY.candidates]
            candidates = [Candidate(other, float(vectors[other] @ vectors[text])) for other in near]
            answered = decide(text, candidates, Limits(outcome.threshold, POLICY.floor)).chosen is not None
            hits += answered
            kept += [] if answered else [text]
        assert hits == outcome.hits
    assert outcomes(report, "shipped")[0].hits > outcomes(report, "shipped")[-1].hits


def test_a_verifier_decides_about_the_grey_band_alone() -> None:
    """It is asked once a pair, about scores a little below a threshold, and lets pass what it finds likely."""
    texts = ("how do I boil an egg", "how do I boil an egg today")
    candidates = [Candidate(texts[0], 0.95)]
    score = decide(texts[1], candidates, Limits(threshold=0.0)).verdicts[0].score
    verifier = MemoryVerifier()
    opinions = Opinions(POLICY, verifier)

    accepted = opinions.choose(Rule("verified", score), texts[1], candidates)
    assert accepted is not None
    assert (None, score, []) == (accepted.refusal, accepted.score, verifier.verified)
    for _ in range(2):
        opinions.choose(Rule("verified", score + 0.05), texts[1], candidates)
    assert [texts] == verifier.verified
    far = Opinions(replace(POLICY, grey_band=0.01), verifier).choose(
        Rule("verified", score + 0.05), texts[1], candidates
    )
    assert far is not None
    assert (SCORE, [texts]) == (far.refusal, verifier.verified)


def test_a_question_past_the_window_is_left_alone() -> None:
    """It is neither answered nor answers, and is counted."""
    report = replay([*asked("0", "no angle"), *asked("no angle at all", "1")], embedder=Angles())

    assert (2, 1) == (report.too_long, outcomes(report, "cosine")[0].hits)


def test_a_crowd_of_near_questions_is_compared_in_full() -> None:
    """More neighbours than are remembered: what is kept is found all the same."""
    calls = asked(*(f"{10 + number / 100}" for number in range(200)), "12.5")

    # The first answers all others; the last has 199 neighbours that are nearer, and none of them was kept.
    (outcome,) = outcomes(replay(calls, 0.99, embedder=Angles()), "cosine")
    assert 200 == outcome.hits


@pytest.mark.parametrize(("wrong", "basis"), [(0, "proven"), (60, "raised")])
def test_the_error_bound_reads_the_log_as_shadow_mode_would(wrong: int, basis: str) -> None:
    """Two hundred right neighbours prove a threshold; sixty wrong ones among them contradict it."""
    calls = [
        call
        for number in range(200)
        for call in (
            *asked("0", truth="a", scope=str(number)),
            *asked("5", truth="b" if number < wrong else "a", scope=str(number)),
        )
    ]
    bar = next(curve.bar for curve in replay(calls, embedder=Angles()).curves if curve.method == "cosine")

    assert bar is not None
    assert (basis, wrong) == (bar.basis, wrong and bar.wrong)


def test_pairs_are_weighted() -> None:
    """Rates are shares of the stream that the pairs stand for; precision is a share of weights."""
    pairs = [
        LoggedPair(cached="0", asked="1", right=True, weight=6.0),
        LoggedPair(cached="0", asked="2", right=False, weight=2.0),
        LoggedPair(cached="0", asked="3", right=None, weight=1.0),
        LoggedPair(cached="0", asked="80", right=True, weight=1.0),
        LoggedPair(cached="0", asked="no angle", right=True, weight=5.0),
    ]
    work = Replay(Angles(), None, Plan(thresholds=(0.9,), policy=POLICY), ignore)
    report = work.of_pairs(pairs, stream_size=100)

    (outcome,) = outcomes(report, "cosine")
    assert (9, 0.09, 0.75, 1) == (outcome.hits, outcome.hit_rate, outcome.precision, report.too_long)
    assert wilson(0.75, 64 / 40) == outcome.interval
    assert [None, None, None] == [curve.bar for curve in report.curves]
    assert 0.6 == work.of_pairs(pairs).curves[0].outcomes[0].hit_rate


def test_the_progress_of_each_step_ends() -> None:
    """Whoever shows a bar sees it start and fill up."""
    told: list[tuple[str, int, int]] = []

    def tell(what: str, done: int, total: int) -> None:
        told.append((what, done, total))

    plan = Plan(thresholds=(0.8, 0.9), policy=POLICY)
    Replay(Angles(), None, plan, tell).of_calls(asked("0", "1"))

    steps = dict.fromkeys(what for what, _, _ in told)
    assert ["Embedding", "Finding neighbours", "Trying thresholds"] == list(steps)
    assert ("Trying thresholds", 6, 6) == told[-1]


@pytest.mark.parametrize(
    ("share", "size", "interval"),
    # Of statsmodels: proportion_confint(8, 10, method="wilson") and so on.
    [(0.8, 10, (0.49016, 0.94331)), (1.0, 20, (0.83887, 1.0)), (0.0, 5, (0.0, 0.43449))],
)
def test_the_interval_is_wilsons(share: float, size: float, interval: tuple[float, float]) -> None:
    """It agrees with published values, also at the ends, where others have no width."""
    assert interval == pytest.approx(wilson(share, size), abs=1e-4)
