# ruff: noqa
"""What the guard knows of one text: worked out once, compared many times."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from cognition.domain.guard.lexicon import Lexicon, lexicon
from cognition.domain.guard.quantities import Amount, amounts_of
from cognition.domain.guard.questions import Question, question_of
from cognition.domain.guard.stem import root_of, stem_with
from cognition.domain.guard.text import Kind, Token, tokens_of

_QUOTES = {'"': '"', "`": "`"}


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

    @property
    def root(self) -> str:
        """What the words of its family share."""
        return root_of(self.stem)


@dataclass(frozen=True, slots=True)
class Features:
    """A text as the rules see it.

    Attributes:
        text: The text.
        words: Every word, number and literal in lower case, in order.
        stems: Their stems.
        terms: Those that say what the text is about.
        amounts: Numbers with their units, in order.
        literals: Code, addresses, paths and quoted strings, letter by letter.
        negations: The words that turn the statement round, in order.
        question: What is asked for.
        english: Whether the words are English as far as one can tell.
    """

    text: str
    words: tuple[str, ...]
    stems: tuple[str, ...]
    terms: tuple[Term, ...]
    amounts: tuple[Amount, ...]
    literals: frozenset[str]
    negations: tuple[str, ...]
    question: Question
    english: bool


def analyse(text: str) -> Features:
    """Work out the features of a text; time grows linearly with its length."""
    words = lexicon()
    tokens = tokens_of(text)
    spoken = [token for token in tokens if token.kind is not Kind.MARK]
    stems = tuple(stem_with(token.word, words.stems) for token in spoken)
    amounts, taken = amounts_of(spoken, words)
    return Features(
        text=text,
        words=tuple(token.word for token in spoken),
        stems=stems,
        terms=_terms(tokens, stems, taken, words),
        amounts=amounts,
        literals=frozenset(token.word for token in spoken if token.kind is Kind.LITERAL) | _quoted(text),
        negations=tuple(token.word for token in spoken if token.word in words.negations),
        question=question_of(tokens, words),
        english=_is_english(spoken, words),
    )


def _terms(tokens: list[Token], stems: tuple[str, ...], taken: frozenset[int], words: Lexicon) -> tuple[Term, ...]:
    shouting = _is_shouting(tokens)
    found: list[Term] = []
    marker, place = "", -1
    for token in tokens:
        if token.kind is Kind.MARK:
            marker = marker if token.surface in ",/&-'\"" else ""
            continue
        place += 1
        word = token.word
        if word in words.function or word in words.negations:
            if word in words.prepositions:
                marker = word
            elif word not in _KEEPS_MARKER:
                marker = ""
            continue
        if word in words.soft or place in taken:
            continue
        named = not shouting and _is_named(token)
        weight = _weight(token, stems[place], words, named=named)
        found.append(Term(stems[place], word, weight, place, marker, named))
    return tuple(found)


_KEEPS_MARKER = frozenset(
    ["the", "a", "an", "and", "or", "my", "your", "his", "her", "their", "our", "its", "this", "that"]
)


def _weight(token: Token, stem: str, words: Lexicon, *, named: bool) -> float:
    if token.kind is Kind.LITERAL:
        return 1.0
    if stem in words.generic:
        return 0.15
    rarity = min(words.rarity(token.word), words.rarity(stem))
    return max(rarity, 0.8) if named else max(rarity, 0.3)


def _is_named(token: Token) -> bool:
    surface = token.surface
    if token.kind is Kind.LITERAL:
        return True
    if len(surface) > 1 and any(letter.isupper() for letter in surface[1:]):
        return True
    return surface[:1].isupper() and not token.opens


def _is_shouting(tokens: list[Token]) -> bool:
    """Whether capitals say nothing here, because most words have them."""
    letters = [token.surface for token in tokens if token.kind is Kind.WORD and token.surface[:1].isalpha()]
    return len(letters) > 3 and sum(surface[0].isupper() for surface in letters) > 0.7 * len(letters)


def _quoted(text: str) -> frozenset[str]:
    return frozenset()


def _is_english(tokens: list[Token], words: Lexicon) -> bool:
    spoken = [token.word for token in tokens if token.kind is Kind.WORD]
    if not spoken:
        return True
    known = sum(word in words.function or word in words.rank or word in words.soft for word in spoken)
    return known >= 0.4 * len(spoken)
