"""What the guard knows of one text: worked out once, compared many times."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from cognition.domain.guard.lexicon import Lexicon, lexicon
from cognition.domain.guard.quantities import Amount, amounts_of
from cognition.domain.guard.questions import Question, question_of
from cognition.domain.guard.text import Kind, Token, tokens_of

GENERIC = 0.15
"""Weight of a word that says hardly anything."""
_LEAST, _NAMED = 0.3, 0.8
"""The least weight of any other word, and of a name."""
_KEEPS_MARKER = frozenset(
    ["the", "a", "an", "and", "or", "my", "your", "his", "her", "their", "our", "its", "this", "that"]
)
_JOINS = frozenset(",/&-'\"")
_SIGNS = frozenset("=+*^<>\\{}[]|~@_-/()")
_CALCULATES = frozenset("=^\\*+<>")
_TITLE = 0.7
"""Where more of the words have capitals, capitals say nothing."""
_FEW = 4
_FOREIGN = frozenset(
    [
        "in",
        "was",
        "am",
        "an",
        "me",
        "no",
        "do",
        "so",
        "die",
        "war",
        "hat",
        "also",
        "on",
        "a",
        "as",
        "he",
        "i",
        "la",
        "de",
        "el",
        "le",
        "of",
        "den",
        "der",
        "und",
        "van",
    ]
)
"""English words that are words of other languages too."""
_GRAM = 3


class Term(NamedTuple):
    """A word that says what the text is about.

    Attributes:
        stem: Its stem.
        word: The word in lower case.
        weight: How much it says, 0 to 1.
        place: Its place among the words of the text.
        marker: The preposition that says which part it plays, or an empty string.
        named: Whether it is written as a name is.
    """

    stem: str
    word: str
    weight: float
    place: int
    marker: str
    named: bool

    def repeated(self) -> Term:
        """Return the same word said once more, which says less."""
        return self._replace(weight=self.weight / 2, named=False)


@dataclass(frozen=True, slots=True)
class Features:
    """A text as the rules see it.

    Attributes:
        words: Every word, number and literal, in order; all but literals in lower case.
        stems: Their stems.
        terms: Those that say what the text is about.
        amounts: Numbers with their units, in order.
        literals: Code, addresses, paths and names of models, letter by letter.
        quoted: What stands in quotation marks, in lower case.
        formula: The signs of a formula, in order; empty where the text has none.
        negations: The words that turn a statement round, in order.
        question: What is asked for.
        english: Whether the text is English, as far as one can tell.
        grams: Its sequences of three letters.
    """

    words: tuple[str, ...]
    stems: tuple[str, ...]
    terms: tuple[Term, ...]
    amounts: tuple[Amount, ...]
    literals: frozenset[str]
    quoted: frozenset[str]
    formula: str
    negations: tuple[str, ...]
    question: Question
    english: bool
    grams: frozenset[str]


def analyse(text: str) -> Features:
    """Work out the features of a text; time grows linearly with its length."""
    words = lexicon()
    tokens = tokens_of(text)
    spoken = [token for token in tokens if token.kind is not Kind.MARK]
    stems = tuple(words.stem(token.word) for token in spoken)
    amounts, taken = amounts_of(spoken, words)
    lower = text.lower()
    return Features(
        words=tuple(token.word for token in spoken),
        stems=stems,
        terms=_terms(tokens, stems, taken, words),
        amounts=amounts,
        literals=frozenset(token.word for token in spoken if token.kind is Kind.LITERAL),
        quoted=_quoted(tokens),
        formula=_formula(tokens),
        negations=tuple(token.word for token in spoken if token.word in words.negations),
        question=question_of(tokens, words),
        english=_is_english(spoken, words),
        grams=frozenset(lower[place : place + _GRAM] for place in range(len(lower) - _GRAM + 1)),
    )


def _terms(tokens: Sequence[Token], stems: Sequence[str], taken: frozenset[int], words: Lexicon) -> tuple[Term, ...]:
    shouting = _is_shouting(tokens)
    found: list[Term] = []
    marker, place = "", -1
    for token in tokens:
        if token.kind is Kind.MARK:
            marker = marker if token.surface in _JOINS else ""
            continue
        place += 1
        word = token.word
        if word in words.prepositions:
            marker = word
        elif word in words.function or word in words.negations:
            marker = marker if word in _KEEPS_MARKER else ""
        elif word not in words.soft and place not in taken:
            named = not shouting and _is_named(token)
            weight = _weight(word, stems[place], words, named=named)
            found.append(Term(stems[place], word, weight, place, marker, named))
    return tuple(found)


def _weight(word: str, stem: str, words: Lexicon, *, named: bool) -> float:
    if stem in words.generic:
        return GENERIC
    return max(min(words.rarity(word), words.rarity(stem)), _NAMED if named else _LEAST)


def _is_named(token: Token) -> bool:
    surface = token.surface
    if token.kind is Kind.LITERAL or (not surface.islower() and surface[1:].lower() != surface[1:]):
        return True
    return surface[:1].isupper() and not token.opens


def _is_shouting(tokens: Sequence[Token]) -> bool:
    """Whether capitals say nothing here, because most words have them."""
    letters = [token.surface[0] for token in tokens if token.kind is Kind.WORD]
    return len(letters) >= _FEW and sum(letter.isupper() for letter in letters) > _TITLE * len(letters)


def _quoted(tokens: Sequence[Token]) -> frozenset[str]:
    """Return what stands between pairs of double quotation marks."""
    parts: list[list[str]] = [[]]
    for before, token in zip([None, *tokens], tokens, strict=False):
        if token.surface != '"':
            parts[-1].append(token.word)
        elif before is None or before.surface != '"':  # some write the mark twice
            parts.append([])
    return frozenset(" ".join(part) for part in parts[1:-1:2] if part)


def _formula(tokens: Sequence[Token]) -> str:
    """Return the signs of a text that calculates or has markup, in order."""
    signs = "".join(token.surface for token in tokens if token.kind is Kind.MARK and token.surface in _SIGNS)
    return signs if _CALCULATES & set(signs) else ""


def _is_english(tokens: Sequence[Token], words: Lexicon) -> bool:
    spoken = [token.word for token in tokens if token.kind is Kind.WORD]
    if any((word in words.function or word in words.negations) and word not in _FOREIGN for word in spoken):
        return True
    known = sum(word in words.rank or word in words.soft for word in spoken)
    return len(spoken) <= _FEW and 2 * known >= len(spoken)
