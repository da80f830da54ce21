"""Who is asked about, and whose things: `Do you ...?` is not `Does everyone ...?`."""

from __future__ import annotations

from itertools import pairwise

from cognition.domain.guard.features import Features
from cognition.domain.guard.lexicon import lexicon
from cognition.domain.guard.pair import Pair

_YOU = frozenset(["you", "u"])
_OTHERS = frozenset(
    ["everyone", "everybody", "anyone", "anybody", "people", "they", "he", "she", "someone", "somebody", "nobody"]
)
_LEADS = frozenset(["do", "does", "did", "are", "is", "have", "has", "can", "would"])
_THESE = frozenset(["this", "these"])
_WHOSE = frozenset(["my", "your", "his", "her", "our", "their"])
_FOR = frozenset(["for", "to", "with", "of", "about"])
_AUDIENCE = frozenset(["for", "as", "to", "in"])
_FIRST = 4
"""A subject stands among the first words."""


def differs(pair: Pair) -> str | None:
    """Refuse when two texts ask about other people, or mean their answer for other people."""
    ours, theirs = _subject(pair.cached), _subject(pair.asked)
    if ours and theirs and ours != theirs:
        return f"one asks about {ours}, the other about {theirs}"
    for one, other in ((pair.cached, pair.asked), (pair.asked, pair.cached)):
        if _lacks(one, other, _WHOSE) and _lacks(other, one, _THESE):
            return "one asks about this, the other about what someone has"
    if _is_for_you(pair.cached) != _is_for_you(pair.asked) and _both(pair, _YOU):
        return "something is done for you in one text and by you in the other"
    people = lexicon().people
    meant = [
        term.word
        for term in (*pair.alignment.cached, *pair.alignment.asked)
        if term.word in people and term.marker in _AUDIENCE
    ]
    return f"only one is about {meant[0]}" if meant else None


def _subject(text: Features) -> str:
    if "manner" in text.question.kinds:
        return ""
    words = text.words[:_FIRST]
    for word, following in pairwise(words):
        if word in _LEADS:
            return "you" if following in _YOU else "others" if following in _OTHERS else ""
    return ""


def _lacks(text: Features, other: Features, words: frozenset[str]) -> bool:
    return words.isdisjoint(text.words) and not words.isdisjoint(other.words)


def _both(pair: Pair, words: frozenset[str]) -> bool:
    return not words.isdisjoint(pair.cached.words) and not words.isdisjoint(pair.asked.words)


def _is_for_you(text: Features) -> bool:
    before = ("", "", *text.words)
    return any(
        word in _YOU and before[place + 1] in _FOR and before[place] != "according"
        for place, word in enumerate(text.words)
    )
