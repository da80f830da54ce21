"""Which words of two texts say the same, and which are left over."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from cognition.domain.guard.features import Features, Term
from cognition.domain.guard.lexicon import lexicon
from cognition.domain.guard.stem import root_of

_LONGEST = 16
"""Left-over words that are compared in pairs; texts with more of them differ anyway."""
_SHORTEST = 5
"""Shorter words are neither slips of the pen nor compounds of each other."""
_PREFIXES = ("un", "in", "im", "ir", "il", "dis", "non", "anti", "mis", "de")

_Pairs = list[tuple[Term, Term]]


@dataclass(frozen=True, slots=True)
class Alignment:
    """The terms of two texts side by side.

    Attributes:
        same: Pairs with one stem.
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
    near: _Pairs = []
    opposite: _Pairs = []
    if max(len(ours), len(theirs)) <= _LONGEST:
        opposite = _take(ours, theirs, are_opposite)
        near = _take(ours, theirs, are_near)
        ours = [term for term in ours if not _is_written_apart(term, asked)]
        theirs = [term for term in theirs if not _is_written_apart(term, cached)]
    return Alignment(tuple(same), tuple(near), tuple(opposite), tuple(ours), tuple(theirs))


def _same(cached: Sequence[Term], asked: Sequence[Term]) -> tuple[_Pairs, list[Term], list[Term]]:
    waiting: dict[str, list[Term]] = {}
    for term in reversed(asked):
        waiting.setdefault(term.stem, []).append(term)
    same: _Pairs = []
    ours: list[Term] = []
    for term in cached:
        others = waiting.get(term.stem)
        if others:
            same.append((term, others.pop()))
        else:
            ours.append(term if others is None else term.repeated())
    known = {term.stem for term in cached}
    left = sorted((term for terms in waiting.values() for term in terms), key=lambda term: term.place)
    return same, ours, [term.repeated() if term.stem in known else term for term in left]


def _take(ours: list[Term], theirs: list[Term], related: Callable[[Term, Term], bool]) -> _Pairs:
    """Move the related pairs out of two lists, the first relative first."""
    pairs: _Pairs = []
    for one in tuple(ours):
        other = next((other for other in theirs if related(one, other)), None)
        if other is not None:
            pairs.append((one, other))
            ours.remove(one)
            theirs.remove(other)
    return pairs


def are_opposite(one: Term, other: Term) -> bool:
    """Whether two words mean the opposite: by the list, by a prefix (`un-`), or by `-ful` and `-less`."""
    if other.stem in lexicon().opposites.get(one.stem, ()):
        return True
    short, long = sorted((one.word, other.word), key=len)
    if len(long) < _SHORTEST:
        return False
    if long.endswith(short) and long[: -len(short)] in _PREFIXES and len(short) >= _SHORTEST - 1:
        return True
    bare, full = (one.word, other.word) if one.word.endswith("less") else (other.word, one.word)
    bare = bare.removesuffix("less")
    return len(bare) < max(len(one.word), len(other.word)) and full in {bare, bare + "ful", bare + "y"} and bare != full


def are_near(one: Term, other: Term) -> bool:
    """Whether two words mean nearly the same: synonyms, one family, or a slip of the pen."""
    words = lexicon()
    return (
        other.stem in words.synonyms.get(one.stem, ())
        or root_of(one.stem) == root_of(other.stem)
        or _is_slip(one.word, other.word, words.rank)
        or _is_slip(one.stem, other.stem, words.rank)
    )


def _is_slip(one: str, other: str, rank: Mapping[str, int]) -> bool:
    """Whether two words differ by one letter more, less, other or swapped, and are not both common words."""
    short, long = sorted((one, other), key=len)
    if len(short) < _SHORTEST or len(long) > len(short) + 1 or short[0] != long[0]:
        return False
    if (one in rank and other in rank) or not (one.isalpha() and other.isalpha()):
        return False
    start = next((place for place, (a, b) in enumerate(zip(short, long, strict=False)) if a != b), len(short))
    rest, tail = short[start:], long[start:]
    if len(short) < len(long):
        return rest == tail[1:]
    return rest[1:] == tail[1:] or (rest[:2] == tail[1::-1] and rest[2:] == tail[2:])


def _is_written_apart(term: Term, text: Features) -> bool:
    """Whether the other text has this word as two (`smartphone`, `smart phone`)."""
    word = term.word
    if len(word) < _SHORTEST or not word.isalpha():
        return False
    return any(word == first + second for first, second in zip(text.words, text.words[1:], strict=False))
