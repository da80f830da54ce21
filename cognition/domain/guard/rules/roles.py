# ruff: noqa
"""Who does what to whom: the same words in other parts."""

from __future__ import annotations

from itertools import combinations

from cognition.domain.guard.features import Features, Term
from cognition.domain.guard.lexicon import lexicon
from cognition.domain.guard.pair import Pair

_MOST_TERMS = 24
_GENDERS = {"he": "m", "him": "m", "his": "m", "she": "f", "her": "f", "hers": "f"}
_JOINTS = frozenset(["and", "or", "vs"])
_BE = frozenset(["is", "are", "was", "were", "be", "been", "being", "get", "gets", "got"])


def differs(pair: Pair) -> str | None:
    """Refuse when two words have swapped their parts; relations that read the same from both ends pass."""
    genders = tuple([_GENDERS[word] for word in text.words if word in _GENDERS] for text in (pair.cached, pair.asked))
    if genders[0] != genders[1] and sorted(genders[0]) == sorted(genders[1]):
        return "he and she have swapped their parts"
    same = sorted(pair.alignment.same)[:_MOST_TERMS]
    if {term.stem for term, _ in same} & lexicon().symmetric or _is_symmetric(pair):
        return None
    for (one, one_asked), (two, two_asked) in combinations(same, 2):
        if one.stem != two.stem and one.marker != two.marker:
            if one.marker == two_asked.marker and two.marker == one_asked.marker:
                return f"{one.word} and {two.word} have swapped their parts"
    return _swapped_around_a_verb(pair, same)


def _is_symmetric(pair: Pair) -> bool:
    symmetric = lexicon().symmetric
    return any(stem in symmetric for stem in pair.cached.stems) and any(stem in symmetric for stem in pair.asked.stems)


def _swapped_around_a_verb(pair: Pair, same: list[tuple[Term, Term]]) -> str | None:
    passive = _passive(pair.cached) != _passive(pair.asked)
    for pivot, pivot_asked in same:
        left = [(one, other) for one, other in same if one.place < pivot.place and _is_noun(one)]
        right = [(one, other) for one, other in same if one.place > pivot.place and _is_noun(one)]
        moved_right = [one for one, other in left if other.place > pivot_asked.place]
        moved_left = [one for one, other in right if other.place < pivot_asked.place]
        if moved_right and moved_left and not passive and pivot.marker == pivot_asked.marker:
            return f"{moved_right[0].word} and {moved_left[0].word} have swapped their parts"
        if passive and left and right and not moved_left and not moved_right and pivot.word.endswith(("ed", "en")):
            return f"{left[0][0].word} does it in one text and it is done to them in the other"
    return None


def _is_noun(term: Term) -> bool:
    return term.weight >= 0.3


def _passive(text: Features) -> bool:
    """Whether the text says `is done by`."""
    words = text.words
    return any(
        word == "by" and place > 1 and _BE & set(words[max(0, place - 6) : place]) for place, word in enumerate(words)
    )
