"""What comes first in time, and what causes what."""

from __future__ import annotations

from cognition.domain.guard.features import Features
from cognition.domain.guard.lexicon import lexicon
from cognition.domain.guard.pair import Pair
from cognition.domain.guard.questions import ASKING

_FORWARD = frozenset(["before", "until", "till"])
_BACKWARD = frozenset(["after", "since", "because", "due"])
_TIMES = frozenset(["before", "after", "until", "till"])


def differs(pair: Pair) -> str | None:
    """Refuse when two texts put the same things in another order; `A before B` and `B after A` pass."""
    ours, theirs = (sorted(_TIMES.intersection(text.words)) for text in (pair.cached, pair.asked))
    if bool(ours) != bool(theirs):
        return f"time differs: {', '.join(ours) or 'none'} / {', '.join(theirs) or 'none'}"
    cached, asked = _sides(pair.cached), _sides(pair.asked)
    if cached is None or asked is None:
        return None
    straight = len(cached[0] & asked[0]) + len(cached[1] & asked[1])
    crossed = len(cached[0] & asked[1]) + len(cached[1] & asked[0])
    return "what comes first differs" if crossed > straight else None


def _sides(text: Features) -> tuple[frozenset[str], frozenset[str]] | None:
    """Split a text at its first word of order into what comes first and what comes after."""
    words, causes = (*text.words, ""), lexicon().causes
    for place, stem in enumerate(text.stems):
        word, following = words[place], words[place + 1]
        is_verb = stem in causes and following != "of"  # `the effect of` is no verb
        if not is_verb and word not in _FORWARD and word not in _BACKWARD:
            continue
        left, right = _meaning(text, 0, place), _meaning(text, place + 1, len(text.words))
        if place == 0:  # `After the update, how do I log in?`
            turn = next((at for at, each in enumerate(words) if each in ASKING), len(text.words))
            left, right = _meaning(text, turn, len(text.words)), _meaning(text, 1, turn)
        return (right, left) if word in _BACKWARD or (is_verb and following == "by") else (left, right)
    return None


def _meaning(text: Features, start: int, end: int) -> frozenset[str]:
    function = lexicon().function
    return frozenset(
        stem for stem, word in zip(text.stems[start:end], text.words[start:end], strict=True) if word not in function
    )
