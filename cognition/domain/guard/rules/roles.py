"""Who does what to whom: the same words in other parts."""

from __future__ import annotations

from itertools import combinations

from cognition.domain.guard.features import Features, Term
from cognition.domain.guard.lexicon import lexicon
from cognition.domain.guard.pair import Pair

_MOST_TERMS = 24
"""Terms that are compared in pairs; in longer texts, the first ones."""
_GENDERS = {"he": "m", "him": "m", "his": "m", "she": "f", "her": "f", "hers": "f"}
_TARGETS = frozenset(["to", "on", "against", "at", "from"])
_BE = frozenset(["is", "are", "was", "were", "be", "been", "being", "get", "gets", "got"])
_REACH = 6
"""Words between `is` and `by` of a passive."""


def differs(pair: Pair) -> str | None:
    """Refuse when two words have swapped their parts; relations that read the same from both ends pass."""
    if reason := _pronouns(pair) or _passive_differs(pair):
        return reason
    if max(len(pair.alignment.cached), len(pair.alignment.asked)) > 1:
        return None  # other things differ as well: the order says nothing
    symmetric = lexicon().symmetric
    if not symmetric.isdisjoint(pair.cached.stems) and not symmetric.isdisjoint(pair.asked.stems):
        return None
    same = sorted(pair.alignment.same, key=lambda both: both[0].place)[:_MOST_TERMS]
    for (one, one_asked), (two, two_asked) in combinations(same, 2):
        if one.stem != two.stem and _swapped((one.marker, two.marker), (one_asked.marker, two_asked.marker)):
            return f"{one.word} and {two.word} have swapped their parts"
    return _swapped_around_a_verb(pair, same)


def _pronouns(pair: Pair) -> str | None:
    ours, theirs = _genders(pair.cached), _genders(pair.asked)
    if ours != theirs and sorted(ours) == sorted(theirs):
        return "he and she have swapped their parts"
    if bool(ours) != bool(theirs) and _repeats(pair.asked if ours else pair.cached, pair):
        return "a name stands in one text for he or she in the other"
    return None


def _genders(text: Features) -> list[str]:
    return [_GENDERS[word] for word in text.words if word in _GENDERS]


def _swapped(cached: tuple[str, str], asked: tuple[str, str]) -> bool:
    """Whether two words have swapped the prepositions before them, or which of them is the target (`A calls on B`)."""
    if cached[0] == cached[1]:
        return False
    if cached == asked[::-1]:
        return True
    return any(
        not ours[0] and ours[1] in _TARGETS and theirs[0] in _TARGETS and not theirs[1]
        for ours, theirs in ((cached, asked), (cached[::-1], asked[::-1]))
    )


def _swapped_around_a_verb(pair: Pair, same: list[tuple[Term, Term]]) -> str | None:
    """Look for a word that the words before and after it have changed sides of."""
    if _is_passive(pair.cached) != _is_passive(pair.asked):
        return None
    for pivot, pivot_asked in same:
        if pivot.marker != pivot_asked.marker:
            continue
        stay = [both for both in same if both[0].marker == both[1].marker]
        to_right = [one for one, other in stay if one.place < pivot.place and other.place > pivot_asked.place]
        to_left = [one for one, other in stay if one.place > pivot.place and other.place < pivot_asked.place]
        if to_right and to_left:
            return f"{to_right[0].word} and {to_left[0].word} have swapped their parts"
    return None


def _passive_differs(pair: Pair) -> str | None:
    """Refuse when one text is passive and yet names doer and thing done to in the order of the active one."""
    if _is_passive(pair.cached) == _is_passive(pair.asked):
        return None
    same = pair.alignment.same if _is_passive(pair.cached) else tuple((b, a) for a, b in pair.alignment.same)
    for agent, agent_active in same:
        if agent.marker == "by" and agent_active.marker != "by":
            done_to, done_to_active = min(same, key=lambda both: both[0].place)
            if done_to is not agent and done_to_active.place < agent_active.place:
                return f"{done_to.word} does it in one text and has it done in the other"
    return None


def _repeats(text: Features, pair: Pair) -> bool:
    """Whether a text says a word twice that the other says once."""
    left = pair.alignment.cached if text is pair.cached else pair.alignment.asked
    return any(term.stem == both[0].stem for term in left for both in pair.alignment.same)


def _is_passive(text: Features) -> bool:
    """Whether the text says `is done by`."""
    words = text.words
    places = [place for place, word in enumerate(words) if word == "by" and place > 1]
    return any(not _BE.isdisjoint(words[max(0, place - _REACH) : place]) for place in places)
