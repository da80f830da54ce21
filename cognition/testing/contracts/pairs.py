"""What a store of pairs must do."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from cognition.domain.semantic import Label, LabelSource
from cognition.ports import PairStore
from cognition.testing.contracts.questions import EMBEDDER, a_pair, a_question
from cognition.testing.contracts.samples import NOON

_ASKED, _CACHED, _OTHER = (a_question(text) for text in ("asked", "cached", "other"))
_MINUTE = timedelta(minutes=1)


def _label(minutes: int = 0, source: LabelSource = "judge", *, right: bool = True, score: float = 0.9) -> Label:
    return Label(score=score, right=right, source=source, at=NOON + minutes * _MINUTE)


class PairStoreContract:
    """Fixtures to give: `pairs` is a store without pairs. What a block does is part of `SemanticStoreContract`."""

    def test_a_noted_pair_is_found_by_its_call(self, pairs: PairStore) -> None:
        """It comes back equal, for its own tenant only."""
        pair = a_pair(_ASKED, _CACHED)
        pairs.note([pair])
        assert pair == pairs.find("acme", "call-1")
        assert [None, None] == [pairs.find("umbrella", "call-1"), pairs.find("acme", "no such call \0 \ud83d")]

    def test_nothing_noted_is_nothing_done(self, pairs: PairStore) -> None:
        """An empty batch is fine."""
        pairs.note([])
        assert None is pairs.find("acme", "call-1")

    def test_a_pair_noted_again_changes_nothing(self, pairs: PairStore) -> None:
        """Also within one batch."""
        pair = a_pair(_ASKED, _CACHED)
        pairs.note([pair, a_pair(_ASKED, _CACHED, score=0.1)])
        pairs.note([a_pair(_ASKED, _CACHED, served=False)])
        assert pair == pairs.find("acme", "call-1")

    def test_the_served_pair_of_a_call_comes_first(self, pairs: PairStore) -> None:
        """Of several neighbours of one call the one that answered, or else the one with the highest score."""
        refused = a_pair(_ASKED, _OTHER, served=False, score=0.99)
        served = a_pair(_ASKED, _CACHED, score=0.93)
        pairs.note([refused, served])
        assert served == pairs.find("acme", "call-1")
        missed = [a_pair(_ASKED, one, served=False, score=score, request_id="call-2") for one, score in _SCORED]
        pairs.note(missed)
        assert missed[1] == pairs.find("acme", "call-2")

    @pytest.mark.parametrize("text", ["很长 " * 2000, "תשובה", "🏳️‍🌈 e\u0301 \u202e", "\x00\x1f", " ", "half \ud83d"])
    def test_any_text_comes_back(self, pairs: PairStore, text: str) -> None:
        """A person who reads the pair later sees what was asked."""
        pair = a_pair(_ASKED, _CACHED, asked_text=text, cached_text=text[::-1])
        pairs.note([pair])
        assert pair == pairs.find("acme", "call-1")

    def test_the_latest_served_pair_of_two_keys_is_found(self, pairs: PairStore) -> None:
        """For a call that got a copy: it knows the two questions, not the call that made the copy."""
        first, last = (a_pair(_ASKED, _CACHED, NOON + n * _MINUTE, request_id=f"call {n}") for n in (0, 1))
        refused = a_pair(_ASKED, _CACHED, NOON + 2 * _MINUTE, request_id="call 2", served=False)
        foreign = a_pair(_ASKED, _CACHED, NOON + 3 * _MINUTE, tenant="umbrella")
        pairs.note([last, first, refused, foreign])
        asked, cached = _ASKED.address.key, _CACHED.address.key
        assert last == pairs.find_served("acme", asked)
        assert None is pairs.find_served("acme", cached)

    def test_verdicts_come_newest_first(self, pairs: PairStore) -> None:
        """As many as were asked for."""
        given = [_label(minutes, right=minutes % 2 == 0, score=minutes / 10) for minutes in (3, 1, 4, 2)]
        for number, label in enumerate(given):
            pairs.judge(a_pair(_ASKED, _CACHED, request_id=f"call {number}"), label)
        expected = sorted(given, key=lambda label: label.at, reverse=True)
        assert expected == pairs.labels("acme", "support", EMBEDDER, 10)
        assert expected[:2] == pairs.labels("acme", "support", EMBEDDER, 2)

    def test_a_later_verdict_of_one_source_replaces_the_earlier(self, pairs: PairStore) -> None:
        """Other sources and other pairs keep theirs."""
        pair = a_pair(_ASKED, _CACHED)
        kept = [_label(1, "shadow"), _label(2, "feedback", right=False)]
        for label in (*kept, _label(0, "judge"), _label(3, "judge", right=False, score=0.8)):
            pairs.judge(pair, label)
        pairs.judge(a_pair(_ASKED, _OTHER), _label(4))
        expected = [_label(4), _label(3, "judge", right=False, score=0.8), *reversed(kept)]
        assert expected == pairs.labels("acme", "support", EMBEDDER, 10)

    def test_verdicts_of_others_are_not_counted(self, pairs: PairStore) -> None:
        """Each tenant, namespace and embedder errs in its own way."""
        for field in ("tenant", "namespace", "fingerprint"):
            pairs.judge(replace(a_pair(_ASKED, _CACHED), **{field: "another"}), _label())
        assert [] == pairs.labels("acme", "support", EMBEDDER, 10)

    def test_a_pair_may_be_blocked_twice(self, pairs: PairStore) -> None:
        """In either order, also when both texts are the same."""
        for one, other in ((_ASKED, _CACHED), (_CACHED, _ASKED), (_ASKED, _ASKED)):
            pairs.block(a_pair(one, other))
            pairs.block(a_pair(one, other))


_SCORED = ((_CACHED, 0.7), (_OTHER, 0.8))
