"""How the semantic layer learns its own error: off every caller's path, and at nobody's cost but one call's."""

from __future__ import annotations

import logging
import threading
from dataclasses import replace
from typing import Any, Literal

import pytest

from cognition import Attribution, Credentials
from cognition.adapters.memory import ScriptedProvider
from cognition.domain.completion import CompletionRequest
from cognition.domain.semantic import Label
from cognition.errors import ProviderUnavailable
from cognition.events import CheckDue, PairJudged, PairMet
from cognition.services.second_opinion import CHECK_TAG, same_value
from tests.unit.memory_engine import MODEL, GatedProvider, Rig, eventually
from tests.unit.near import (
    ASKED,
    ASKED_TOO,
    CACHED,
    CHECKED,
    FAR,
    LENIENT,
    NEGATED,
    SHADOW,
    MakeNear,
    asked_of_provider,
)

JUDGE = "anthropic:claude-haiku-4-5"
JUDGED = replace(CHECKED, judge=JUDGE)
PROSE = "Open the settings and choose to reset it."


def _labels(rig: Rig, count: int = 1) -> list[Label]:
    """Wait for so many verdicts and return them."""
    eventually(lambda: len(rig.seen(PairJudged)) >= count)
    return [event.label for event in rig.seen(PairJudged)]


def _scripted(make_near: MakeNear, *answers: Any) -> Rig:
    return make_near(provider=ScriptedProvider(*answers))


SAME: dict[str, tuple[Any, Any, bool | None]] = {
    "equal-words": ("Yes", "yes", True),
    "spaces": ("in  the\nbox ", "in the box", True),
    "other-word": ("yes", "no", False),
    "word-and-prose": ("yes", "yes, it is", False),
    "prose": ("It is so.", "That is true.", None),
    "number": (3, 3, True),
    "other-number": (3, 4, False),
    "whole-and-float": (3, 3.0, True),
    "nothing": (None, None, True),
    "nothing-and-something": (None, "", False),
    "list": (["a", 1], ["A", 1], True),
    "order": (["a", "b"], ["b", "a"], False),
    "longer-list": (["a"], ["a", "b"], False),
    "empty": ([], [], True),
    "prose-in-a-list": (["It is so."], ["That is true."], None),
    "prose-and-another-fact": (["It is so.", 1], ["That is true.", 2], False),
    "object": ({"label": "bug", "urgent": True}, {"urgent": True, "label": "Bug"}, True),
    "other-value": ({"label": "bug"}, {"label": "question"}, False),
    "other-name": ({"label": "bug"}, {"kind": "bug"}, False),
    "prose-inside": ({"label": "bug", "why": "It is so."}, {"label": "bug", "why": "That is true."}, None),
    "kinds": ({"a": 1}, ["a", 1], False),
    "text-and-number": ("1", 1, False),
}


@pytest.mark.parametrize(("one", "other", "same"), SAME.values(), ids=SAME)
def test_values_are_compared_and_prose_is_not(one: Any, other: Any, same: Any) -> None:
    """Facts decide by themselves, in both directions; only a reader can compare sentences."""
    assert same == same_value(one, other)
    assert same == same_value(other, one)


def test_a_drawn_hit_asks_the_provider_once_in_the_background(near: Rig) -> None:
    """The caller has the neighbour's answer; the provider's own is compared with it and booked with a tag."""
    near.engine.complete(CACHED, semantic=CHECKED)
    assert "l3" == near.layer(ASKED, semantic=CHECKED, attribution=Attribution(user="alice", tags=("red",)))
    _labels(near)
    assert [CACHED, ASKED] == asked_of_provider(near)
    (check,) = [row for row in near.rows if CHECK_TAG in row.attribution.tags]
    assert ("alice", ("red", CHECK_TAG), "ok") == (check.attribution.user, check.attribution.tags, check.status)


def test_the_caller_of_a_drawn_hit_waits_for_nobody(make_near: MakeNear) -> None:
    """While the provider hangs, the hit is there."""
    provider = GatedProvider()
    rig = make_near(provider=provider)
    provider.gate.set()
    rig.engine.complete(CACHED)
    provider.gate.clear()
    assert "l3" == rig.layer(ASKED, semantic=CHECKED)
    eventually(lambda: len(provider.requests) == 2)
    assert [] == rig.seen(PairJudged)
    provider.gate.set()
    _labels(rig)


def test_what_a_check_brings_is_not_kept(near: Rig) -> None:
    """It is asked past the cache: the neighbour's answer stays what others get."""
    near.engine.complete(CACHED)
    near.engine.complete(ASKED, semantic=CHECKED)
    _labels(near)
    assert f"Answer to {CACHED}" == near.engine.complete(ASKED).output
    assert 1 == len(near.semantic)


def test_equal_answers_are_right_and_other_values_wrong(make_near: MakeNear) -> None:
    """Structured answers need no judge."""
    rig = _scripted(make_near, '{"response": "bug"}', '{"response": "bug"}', '{"response": "question"}')
    output: Any = Literal["bug", "question"]
    rig.engine.complete(CACHED, output=output)
    for count, prompt in enumerate((ASKED, ASKED_TOO), start=1):
        rig.engine.complete(prompt, output=output, semantic=CHECKED)
        _labels(rig, count)
    assert [(True, "shadow"), (False, "shadow")] == [(label.right, label.source) for label in _labels(rig)]


ALIKE: dict[str, tuple[str, list[bool]]] = {
    "same-words": ("open the settings, and choose to reset it", [True]),
    "nothing-in-common": ("Ask your administrator for another one.", [False]),
    "in-between": ("Open the menu and choose to change it.", []),
    "negated": ("Open the settings and choose not to reset it.", []),
}


@pytest.mark.parametrize(("answer", "verdicts"), ALIKE.values(), ids=ALIKE)
def test_without_a_judge_vectors_compare_prose(make_near: MakeNear, answer: str, verdicts: list[bool]) -> None:
    """Answers that are alike are right, those that have little in common wrong, and the rest tells nothing."""
    rig = _scripted(make_near, PROSE, answer)
    rig.engine.complete(CACHED)
    rig.engine.complete(ASKED, semantic=CHECKED)
    # The embedder is asked for both answers when they are compared, and nothing can be waited for but that.
    eventually(lambda: rig.embedder is not None and answer in rig.embedder.embedded)
    rig.settle()
    assert verdicts == [event.label.right for event in rig.seen(PairJudged)]


@pytest.mark.parametrize(("says", "right"), [("yes", True), ("no", False)])
def test_a_judge_compares_prose(make_near: MakeNear, says: str, right: bool) -> None:  # noqa: FBT001
    """It sees both questions and the answer in question, and its call is booked with the tag."""
    rig = _scripted(make_near, PROSE, "Something else entirely.", f'{{"response": "{says}"}}')
    key = Credentials(api_key="of-the-caller")
    rig.engine.complete(CACHED, credentials=key)
    rig.engine.complete(ASKED, semantic=JUDGED, credentials=key)
    (label,) = _labels(rig)
    assert (right, "judge") == (label.right, label.source)
    judging: CompletionRequest = rig.script.requests[-1]
    assert JUDGE == judging.model
    assert f"First question:\n{CACHED}\n\nIts answer:\n{PROSE}\n\nSecond question:\n{ASKED}" == judging.prompt
    assert "correct and complete answer to the second question" in (judging.instructions or "")
    assert 1000 >= (judging.settings or {})["max_tokens"], "a budget sets aside what the longest verdict costs"
    assert judging.credentials.api_key is None, "the caller's key is for its own provider alone"
    assert [MODEL, JUDGE] == [row.model for row in rig.rows if CHECK_TAG in row.attribution.tags]


def test_a_judge_of_the_same_provider_gets_the_callers_key(make_near: MakeNear) -> None:
    """And its address."""
    rig = _scripted(make_near, PROSE, "Something else entirely.", '{"response": "no"}')
    key = Credentials(api_key="of-the-caller")
    rig.engine.complete(CACHED, credentials=key)
    rig.engine.complete(ASKED, semantic=replace(JUDGED, judge="openai-chat:gpt-5"), credentials=key)
    _labels(rig)
    assert key == rig.script.requests[-1].credentials


def test_a_judge_is_not_asked_about_what_is_plain(make_near: MakeNear) -> None:
    """Equal answers need nobody's opinion."""
    rig = _scripted(make_near, PROSE, PROSE)
    rig.engine.complete(CACHED)
    rig.engine.complete(ASKED, semantic=JUDGED)
    (label,) = _labels(rig)
    assert (True, "shadow", 2) == (label.right, label.source, rig.script.calls)


def test_shadow_mode_compares_for_free(make_near: MakeNear) -> None:
    """The provider was asked anyway: no further call is made."""
    rig = _scripted(make_near, "One.", "Two.")
    rig.engine.complete(CACHED, semantic=SHADOW)
    rig.engine.complete(ASKED, semantic=SHADOW)
    (label,) = _labels(rig)
    assert (False, 2) == (label.right, rig.script.calls)


def test_near_misses_are_compared_for_free(make_near: MakeNear) -> None:
    """A neighbour just below the threshold has not answered, and the provider's answer tells whether it could have."""
    policy = replace(CHECKED, threshold=1.0, grey_band=1.0)
    rig = _scripted(make_near, "Yes.", "yes.")
    rig.engine.complete(CACHED, semantic=policy)
    assert "provider" == rig.layer(ASKED_TOO, semantic=policy)
    (label,) = _labels(rig)
    assert (True, 2) == (label.right, rig.script.calls)
    assert [False] == [event.pair.served for event in rig.seen(PairMet)]


@pytest.mark.parametrize("prompt", [NEGATED, FAR], ids=["refused", "far"])
def test_what_the_guard_refuses_is_no_sample(near: Rig, prompt: str) -> None:
    """No threshold lets it pass, so no verdict on it could move one."""
    near.engine.complete(CACHED, semantic=CHECKED)
    near.engine.complete(prompt, semantic=CHECKED)
    assert [] == near.seen(CheckDue)


def test_nothing_is_drawn_at_a_share_of_zero(near: Rig) -> None:
    """Hits cost nothing then."""
    near.engine.complete(CACHED)
    near.engine.complete(ASKED, semantic=LENIENT)
    assert [] == near.seen(CheckDue)
    assert [CACHED] == asked_of_provider(near)


def test_copies_are_not_drawn_again(near: Rig) -> None:
    """One check for a pair, however often its copy answers."""
    near.engine.complete(CACHED, semantic=CHECKED)
    for _ in range(3):
        near.engine.complete(ASKED, semantic=CHECKED)
    _labels(near)
    assert 1 == len(near.seen(CheckDue))


def test_an_error_in_the_background_is_logged_once(make_near: MakeNear, caplog: pytest.LogCaptureFixture) -> None:
    """The caller has its answer; nothing is judged, and the failed attempt is booked as a check."""
    error = ProviderUnavailable("It is overloaded; try later.", provider="openai-chat", model=MODEL, status=503)
    rig = _scripted(make_near, PROSE, error)
    rig.engine.complete(CACHED)
    with caplog.at_level(logging.WARNING, logger="cognition"):
        assert "l3" == rig.layer(ASKED, semantic=CHECKED)
        eventually(lambda: bool(caplog.records))
        rig.settle()
    assert ["Work in the background failed: It is overloaded; try later."] == caplog.messages
    assert [] == rig.seen(PairJudged)
    (check,) = [row for row in rig.rows if CHECK_TAG in row.attribution.tags]
    assert "failed_free" == check.status


def test_a_judge_that_fails_says_nothing(make_near: MakeNear) -> None:
    """No verdict is better than a guess."""
    error = ProviderUnavailable("It is overloaded; try later.", provider="anthropic", model=JUDGE, status=503)
    rig = _scripted(make_near, PROSE, "Something else entirely.", error)
    rig.engine.complete(CACHED)
    rig.engine.complete(ASKED, semantic=JUDGED)
    eventually(lambda: rig.script.calls == 3)
    rig.settle()
    assert [] == rig.seen(PairJudged)


def test_closing_does_not_wait_for_checks(make_near: MakeNear) -> None:
    """A check that hangs is cancelled, and booked as such."""
    provider = GatedProvider()
    rig = make_near(provider=provider)
    provider.gate.set()
    rig.engine.complete(CACHED)
    provider.gate.clear()
    rig.engine.complete(ASKED, semantic=CHECKED)
    eventually(lambda: len(provider.requests) == 2)
    closing = threading.Thread(target=rig.engine.close)
    closing.start()
    closing.join(10)
    assert not closing.is_alive()
    assert 1 == provider.cancelled
    assert ["cancelled"] == [row.status for row in rig.ledger.rows if CHECK_TAG in row.attribution.tags]
