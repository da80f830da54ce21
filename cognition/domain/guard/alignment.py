# ruff: noqa
"""Which words of two texts say the same, and which are left over."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from cognition.domain.guard.features import Features, Term
from cognition.domain.guard.lexicon import lexicon
from cognition.domain.guard.stem import root_of

LONGEST_LEFTOVER = 16
"""Left-over words that are compared in pairs; texts with more of them differ anyway."""
_SHORTEST_TYPO = 5
Relation = Callable[[Term, Term], bool]
_PREFIXES = ("un", "in", "im", "ir", "il", "dis", "non", "anti", "mis", "de")


@dataclass(frozen=True, slots=True)
class Alignment:
    """The words of two texts side by side.

    Attributes:
        same: Pairs of terms with one stem.
        near: Pairs of one family, of synonyms, or that differ by a slip of the pen.
        opposite: Pairs that mean the opposite of each other.
        cached: Terms that only the cached text has.
        asked: Terms that only the asked text has.
    """

    same: tuple[tuple[Term, Term], ...]
    near: tuple[tuple[Term, Term], ...]
    opposite: tuple[tuple[Term, Term], ...]
    cached: tuple[Term, ...]
    asked: tuple[Term, ...]


def align(cached: Features, asked: Features) -> Alignment:
    """Put the terms of two texts side by side."""
    same, ours, theirs = _same(cached.terms, asked.terms)
    near: list[tuple[Term, Term]] = []
    opposite: list[tuple[Term, Term]] = []
    if ours and theirs and len(ours) <= LONGEST_LEFTOVER and len(theirs) <= LONGEST_LEFTOVER:
        opposite = _take(ours, theirs, are_opposite)
        near = _take(ours, theirs, are_near)
    ours = [term for term in ours if not _is_written_apart(term, asked)]
    theirs = [term for term in theirs if not _is_written_apart(term, cached)]
    return Alignment(tuple(same), tuple(near), tuple(opposite), tuple(ours), tuple(theirs))


def _same(cached: Sequence[Term], asked: Sequence[Term]) -> tuple[list[tuple[Term, Term]], list[Term], list[Term]]:
    waiting: dict[str, list[Term]] = {}
    for term in asked:
        waiting.setdefault(term.stem, []).append(term)
    known = {term.stem for term in cached}
    same: list[tuple[Term, Term]] = []
    left: list[Term] = []
    for term in cached:
        others = waiting.get(term.stem)
        if others is None:
            left.append(term)
        elif others:
            same.append((term, others.pop(0)))
    return same, left, [term for term in asked if term.stem not in known]


def _take(ours: list[Term], theirs: list[Term], related: Relation) -> list[tuple[Term, Term]]:
    """Move the related pairs out of two lists, the first relative first."""
    pairs: list[tuple[Term, Term]] = []
    for one in tuple(ours):
        for other in theirs:
            if related(one, other):
                pairs.append((one, other))
                ours.remove(one)
                theirs.remove(other)
                break
    return pairs


def are_opposite(one: Term, other: Term) -> bool:
    """Whether two words mean the opposite: by the list, by a prefix (`un-`), or by `-ful` and `-less`."""
    words = lexicon()
    if other.stem in words.opposites.get(one.stem, ()):
        return True
    short, long = sorted((one.word, other.word), key=len)
    if len(short) > 3 and any(long == prefix + short for prefix in _PREFIXES):
        return True
    if one.word.endswith("less") != other.word.endswith("less"):
        bare, full = (one.word[:-4], other.word) if one.word.endswith("less") else (other.word[:-4], one.word)
        return full in {bare, bare + "ful", bare + "y"}
    return False


def are_near(one: Term, other: Term) -> bool:
    """Whether two words mean nearly the same: synonyms, one family, or a slip of the pen."""
    words = lexicon()
    if other.stem in words.synonyms.get(one.stem, ()):
        return True
    if root_of(one.stem) == root_of(other.stem):
        return True
    return _is_slip(one.word, other.word, words.rank)


def _is_slip(one: str, other: str, rank: Mapping[str, int]) -> bool:
    """Whether two words differ by one letter more, less, other or swapped, and are not both common words."""
    if min(len(one), len(other)) < _SHORTEST_TYPO or abs(len(one) - len(other)) > 1 or one[0] != other[0]:
        return False
    if one in rank and other in rank:
        return False
    if any(not (word.isalpha()) for word in (one, other)):
        return False
    start = 0
    while start < min(len(one), len(other)) and one[start] == other[start]:
        start += 1
    rest, tail = one[start:], other[start:]
    if len(rest) == len(tail):
        return rest[1:] == tail[1:] or (rest[:2] == tail[1::-1] and rest[2:] == tail[2:])
    return rest[1:] == tail if len(rest) > len(tail) else tail[1:] == rest


def _is_written_apart(term: Term, text: Features) -> bool:
    """Whether the other text has this word as two (`smartphone`, `smart phone`)."""
    if len(term.word) < _SHORTEST_TYPO or not term.word[0].isalpha():
        return False
    return any(
        term.word.startswith(first) and term.word == first + second
        for first, second in zip(text.words, text.words[1:], strict=False)
        if first
    )
