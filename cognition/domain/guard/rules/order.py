"""What comes first in time, and what causes what."""

from __future__ import annotations

from cognition.domain.guard.features import Features
from cognition.domain.guard.lexicon import lexicon
from cognition.domain.guard.pair import Pair
from cognition.domain.guard.questions import ASKING

_FORWARD = frozenset(["before", "until", "till"])
_BACKWARD = frozenset(["after", "since", "because", "due"])
_ONE_SIDED = frozenset(["before", "after", "until", "till", "during", "since", "while"])


def differs(pair: Pair) -> str | None:
    """Refuse when two texts put the same things in another order; `A before B` and `B after A` pass."""
    cached, asked = _sides(pair.cached), _sides(pair.asked)
    ours, theirs = (frozenset(text.words) & _ONE_SIDED for text in (pair.cached, pair.asked))
    if bool(ours) != bool(theirs):
        return f"time differs: {', '.join(sorted(ours)) or 'none'} / {', '.join(sorted(theirs)) or 'none'}"
    if cached is None or asked is None:
        return None
    straight = len(cached[0] & asked[0]) + len(cached[1] & asked[1])
    crossed = len(cached[0] & asked[1]) + len(cached[1] & asked[0])
    return "what comes first differs" if crossed > straight else None


def _sides(text: Features) -> tuple[frozenset[str], frozenset[str]] | None:
    """Split a text at its first word of order into what comes first and what comes after."""
    words, causes = text.words, lexicon().causes
    for place, (word, stem) in enumerate(zip(words, text.stems, strict=True)):
        backward = word in _BACKWARD or (stem in causes and words[place + 1 : place + 2] == ("by",))
        if not backward and word not in _FORWARD and stem not in causes:
            continue
        left, right = _meaning(text, 0, place), _meaning(text, place + 1, len(words))
        if place == 0:  # `After the update, how do I log in?`
            turn = next((at for at in range(1, len(words)) if words[at] in ASKING), len(words))
            left, right = _meaning(text, turn, len(words)), _meaning(text, 1, turn)
        return (right, left) if backward else (left, right)
    return None


def _meaning(text: Features, start: int, end: int) -> frozenset[str]:
    function = lexicon().function
    return frozenset(
        stem for word, stem in zip(text.words[start:end], text.stems[start:end], strict=True) if word not in function
    )
