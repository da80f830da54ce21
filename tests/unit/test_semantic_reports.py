"""What a report of a wrong answer does, and how verdicts move the bar."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from cognition import Completion, SemanticPolicy
from cognition.domain.entry import Layer
from cognition.domain.semantic import LabelSource, Pair
from cognition.errors import ConfigurationError
from cognition.events import LookedUp, PairJudged, PairMet
from tests.unit.memory_engine import GatedProvider, Rig, eventually
from tests.unit.near import (
    ASKED,
    ASKED_LAST,
    ASKED_THEN,
    ASKED_TOO,
    CACHED,
    FAR,
    LENIENT,
    SHADOW,
    MakeNear,
    asked_of_provider,
)


def _bad(rig: Rig, done: Completion[str]) -> Pair | None:
    return rig.engine.cache.report_bad_hit(done.request_id).pair


def test_a_reported_hit_never_comes_back(near: Rig) -> None:
    """The same prompt goes to the provider; when its own answer is gone, the neighbour is still none."""
    near.engine.complete(CACHED)
    pair = _bad(near, near.engine.complete(ASKED))
    assert pair is not None
    assert (ASKED, CACHED, True) == (pair.asked_text, pair.cached_text, pair.served)
    assert "provider" == near.layer(ASKED)
    near.engine.cache.invalidate(request=near.engine.request(ASKED))
    assert "provider" == near.layer(ASKED)


def test_the_copies_of_a_reported_hit_are_dropped(near: Rig) -> None:
    """In both exact layers; the answer stays for its own question and for other ones."""
    near.engine.complete(CACHED)
    done = near.engine.cache.report_bad_hit(near.engine.complete(ASKED).request_id)
    assert {Layer.L1: 1, Layer.L2: 1, Layer.L3: 0} == done.dropped
    assert "provider" == near.layer(ASKED)
    assert ["l2", "l3"] == [near.layer(prompt) for prompt in (CACHED, ASKED_TOO)]


def test_a_reported_pair_is_blocked_in_the_other_direction(near: Rig) -> None:
    """The reported answer's question is not answered by what was asked either."""
    near.engine.complete(CACHED)
    _bad(near, near.engine.complete(ASKED))
    near.engine.complete(ASKED)
    near.engine.cache.invalidate(request=near.engine.request(CACHED))
    assert "provider" == near.layer(CACHED)


def test_a_copy_is_reported_like_the_hit_it_was_made_of(near: Rig) -> None:
    """The call that got it from L1 leads to the same pair."""
    near.engine.complete(CACHED)
    near.engine.complete(ASKED)
    copy = near.engine.complete(ASKED)
    assert "l1" == copy.layer
    pair = _bad(near, copy)
    assert pair is not None
    assert CACHED == pair.cached_text
    assert "provider" == near.layer(ASKED)


def test_a_report_is_a_label(near: Rig) -> None:
    """A negative one with the pair's score, from feedback."""
    near.engine.complete(CACHED)
    pair = _bad(near, near.engine.complete(ASKED))
    (judged,) = near.seen(PairJudged)
    assert (pair, False, "feedback") == (judged.pair, judged.label.right, judged.label.source)
    assert judged.label.score == judged.pair.score


def test_an_exact_hit_is_dropped_with_its_copies(near: Rig) -> None:
    """The answer itself was wrong: similar questions lose it too, and no pair is blamed."""
    near.engine.complete(CACHED)
    near.engine.complete(ASKED)
    done = near.engine.cache.report_bad_hit(near.engine.complete(CACHED).request_id)
    assert ({Layer.L1: 2, Layer.L2: 2, Layer.L3: 1}, None) == (done.dropped, done.pair)
    assert ["provider", "l3"] == [near.layer(prompt) for prompt in (ASKED, CACHED)]


def test_a_providers_answer_may_be_reported_at_once(near: Rig) -> None:
    """It is dropped in every layer."""
    done = near.engine.cache.report_bad_hit(near.engine.complete(CACHED).request_id)
    assert ({Layer.L1: 1, Layer.L2: 1, Layer.L3: 1}, None) == (done.dropped, done.pair)
    assert "provider" == near.layer(CACHED)


def test_a_shadowed_answer_of_the_provider_blames_no_pair(near: Rig) -> None:
    """A neighbour that was only compared has answered nobody."""
    near.engine.complete(CACHED, semantic=SHADOW)
    shadowed = near.engine.complete(ASKED, semantic=SHADOW)
    assert "provider" == shadowed.layer
    assert _bad(near, shadowed) is None


async def test_who_waited_for_anothers_answer_blames_no_pair(make_near: MakeNear) -> None:
    """It is booked as a hit of L1, but it is the provider's own answer."""
    provider = GatedProvider()
    rig = make_near(provider=provider)
    provider.gate.set()
    await rig.engine.acomplete(CACHED)
    provider.gate.clear()
    policy = replace(SHADOW, check_share=1.0)
    first, second = (asyncio.create_task(rig.engine.acomplete(ASKED, semantic=policy)) for _ in range(2))
    # Three layers for each of three calls.
    await asyncio.to_thread(eventually, lambda: len(rig.seen(LookedUp)) == 9)
    provider.gate.set()
    done = [await first, await second]
    assert {"provider", "l1"} == {one.layer for one in done}
    assert [None, None] == [_bad(rig, one) for one in done]


def test_the_very_question_in_l3_is_reported_as_an_exact_hit(near: Rig) -> None:
    """A question is never blocked from being answered by its own later answers."""
    near.engine.complete(CACHED)
    near.clock.advance(timedelta(hours=2))
    done = near.engine.complete(CACHED)
    assert "l3" == done.layer
    assert _bad(near, done) is None
    assert "provider" == near.layer(CACHED)
    near.clock.advance(timedelta(hours=2))
    assert "l3" == near.layer(CACHED)


def test_a_hit_may_be_reported_where_no_embedder_is_set(make_near: MakeNear, near: Rig) -> None:
    """By another process on the same stores, such as the command line."""
    near.engine.complete(CACHED)
    hit = near.engine.complete(ASKED)
    assert near.engine.ledger.flush()
    other = make_near(embedder=None, beside=near)
    assert _bad(other, hit) is not None
    assert "provider" == near.layer(ASKED)


@pytest.mark.parametrize("request_id", ["0" * 32, "", "no id", "\0", "\ud800", "x" * 10_000])
def test_an_unknown_call_is_one_sentence(near: Rig, request_id: str) -> None:
    """Nothing is dropped for it."""
    near.engine.complete(CACHED)
    with pytest.raises(ConfigurationError, match="stands in the ledger"):
        near.engine.cache.report_bad_hit(request_id)
    assert "l1" == near.layer(CACHED)


def test_another_tenants_call_is_unknown(make_near: MakeNear, near: Rig) -> None:
    """Nobody reports what is not theirs."""
    near.engine.complete(CACHED)
    hit = near.engine.complete(ASKED)
    near.engine.ledger.flush()
    settings = near.settings.model_copy(update={"tenant": "umbrella"})
    other = make_near(settings=settings, beside=near)
    with pytest.raises(ConfigurationError):
        _bad(other, hit)


# -- the bar ----------------------------------------------------------------------------------------------------------

STRICT = replace(LENIENT, threshold=1.0, grey_band=1.0, max_error=0.3)


def _label(rig: Rig, source: LabelSource, *, right: bool, count: int = 12) -> None:
    """Judge pairs like the one of `ASKED` and `CACHED`, which stands in the events."""
    pair = rig.seen(PairMet)[-1].pair
    for number in range(count):
        judged = replace(pair, request_id=f"{source}-{number}")
        rig.machinery.cache.trust.judge(judged, source, right=right)


@pytest.mark.parametrize("source", ["feedback", "shadow", "judge"])
def test_wrong_answers_raise_the_bar_at_once(near: Rig, source: LabelSource) -> None:
    """After enough of them nothing of that score answers any more in this namespace, elsewhere it does."""
    policy = replace(LENIENT, max_error=0.02)
    for namespace in ("default", "other"):
        near.engine.complete(CACHED, namespace=namespace, semantic=policy)
    assert "l3" == near.layer(ASKED, semantic=policy)
    _label(near, source, right=False)
    assert "provider" == near.layer(ASKED_THEN, semantic=policy)
    assert "l3" == near.layer(ASKED_THEN, semantic=policy, namespace="other")


@pytest.mark.parametrize("source", ["shadow", "judge"])
def test_right_answers_lower_the_bar_at_once(near: Rig, source: LabelSource) -> None:
    """A clean record proves a threshold that lets the pair answer."""
    near.engine.complete(CACHED, semantic=STRICT)
    assert "provider" == near.layer(ASKED_TOO, semantic=replace(STRICT, mode="shadow"))
    _label(near, source, right=True)
    assert "l3" == near.layer(ASKED_LAST, semantic=STRICT)


def test_who_asks_for_no_limit_is_not_bound_by_labels(near: Rig) -> None:
    """`max_error=None` trusts the threshold."""
    policy: SemanticPolicy = replace(LENIENT, max_error=None)
    near.engine.complete(CACHED)
    near.engine.complete(ASKED)
    _label(near, "shadow", right=False, count=50)
    assert "provider" == near.layer(ASKED_THEN)
    assert "l3" == near.layer(ASKED_LAST, semantic=policy)


def test_a_raised_bar_still_answers_the_very_question(near: Rig) -> None:
    """However much is known against neighbours, the same request is no neighbour."""
    near.engine.complete(CACHED)
    near.engine.complete(ASKED)
    _label(near, "shadow", right=False, count=50)
    near.clock.advance(timedelta(hours=2))
    assert ["provider", "l3"] == [near.layer(prompt) for prompt in (ASKED_THEN, CACHED)]


def test_far_questions_move_nothing(near: Rig) -> None:
    """No pair is met, so there is nothing to judge."""
    near.engine.complete(CACHED)
    near.engine.complete(FAR)
    assert [] == near.seen(PairMet)
    assert [CACHED, FAR] == asked_of_provider(near)
