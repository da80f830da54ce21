"""The word lists behind the rules, read once from the package's data folder."""

from __future__ import annotations

import itertools
import math
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from importlib.resources.abc import Traversable

from cognition.domain.guard.stem import stem_with

COMMONEST = 50
"""Words of a rank below this are equally uninformative."""


@dataclass(frozen=True, slots=True)
class Lexicon:
    """English, as far as the rules need it.

    Attributes:
        function: Words that build a sentence and do not say what it is about.
        soft: Words that change the tone and not the answer.
        generic: Words so general that they distinguish hardly any two questions.
        negations: Words that turn a statement round.
        stoppers: Stems of verbs that turn the verb after them round (`stop smoking`).
        pronouns: Personal pronouns and possessives.
        rank: The most frequent words, the most frequent has rank 0.
        stems: Irregular forms and their stems.
        opposites: Stem -> stems that mean the opposite.
        synonyms: Stem -> stems that may stand for it.
        contractions: One written word -> the words it stands for.
        endings: What follows an apostrophe -> the word it stands for.
        takes_is: Words after which `'s` is short for `is`.
        numbers: Spelled cardinal numbers.
        ordinals: Spelled ordinal numbers.
        multipliers: Words that multiply the number before them.
        units: A unit as written -> its one name.
        calendar: A month or day of the week as written -> its one name.
        prepositions: Words that say which part a noun plays.
        symmetric: Stems of relations that read the same from both ends.
        causes: Stems of verbs whose subject comes first and brings about their object.
    """

    function: frozenset[str]
    soft: frozenset[str]
    generic: frozenset[str]
    negations: frozenset[str]
    stoppers: frozenset[str]
    pronouns: frozenset[str]
    rank: Mapping[str, int]
    stems: Mapping[str, str]
    opposites: Mapping[str, frozenset[str]]
    synonyms: Mapping[str, frozenset[str]]
    contractions: Mapping[str, tuple[str, ...]]
    endings: Mapping[str, str]
    takes_is: frozenset[str]
    numbers: Mapping[str, float]
    ordinals: Mapping[str, float]
    multipliers: Mapping[str, float]
    units: Mapping[str, str]
    calendar: Mapping[str, str]
    prepositions: frozenset[str]
    symmetric: frozenset[str]
    causes: frozenset[str]

    def rarity(self, word: str) -> float:
        """Return how much a word says, between 0 (everywhere) and 1 (not among the common words)."""
        rank = self.rank.get(word)
        if rank is None:
            return 1.0
        return math.log1p(max(0, rank - COMMONEST) / COMMONEST) / math.log1p(len(self.rank) / COMMONEST)


@lru_cache(maxsize=1)
def lexicon() -> Lexicon:
    """Read the word lists."""
    data = files("cognition.domain.guard") / "data"
    table = tomllib.loads((data / "lexicon.toml").read_text(encoding="utf-8"))
    function, soft, amounts, phrases = table["function"], table["soft"], table["quantities"], table["phrases"]
    stems = _grouped(table["forms"]["irregular"])
    rank = {word: number for number, word in enumerate(_words(data / "common_words.txt"))}

    def stemmed(words: Iterable[str]) -> frozenset[str]:
        return frozenset(stem_with(word, stems) for word in words)

    return Lexicon(
        function=frozenset(" ".join(function.values()).split()),
        soft=frozenset(soft["fillers"].split()),
        generic=stemmed(soft["generic"].split()),
        negations=frozenset(table["negation"]["words"].split()),
        stoppers=stemmed(table["negation"]["stoppers"].split()),
        pronouns=frozenset(function["pronouns"].split()),
        rank=rank,
        stems=stems,
        opposites=_opposites(data / "antonyms.txt", stems),
        synonyms=_synonyms(data / "synonyms.txt", stems),
        contractions={short: tuple(long.split(",")) for short, long in _pairs(table["forms"]["contractions"])},
        endings=dict(_pairs(phrases["endings"])),
        takes_is=frozenset(phrases["takes_is"].split()),
        numbers={word: float(value) for word, value in _pairs(amounts["numbers"])},
        ordinals={word: float(value) for word, value in _pairs(amounts["ordinals"] + " " + amounts["roman"])},
        multipliers={word: float(value) for word, value in _pairs(amounts["multipliers"])},
        units=_grouped(amounts["units"]) | {word: word for word, _ in _pairs(amounts["multipliers"])},
        calendar=_grouped(amounts["months"]),
        prepositions=frozenset(function["prepositions"].split()),
        symmetric=stemmed(table["roles"]["symmetric"].split()),
        causes=stemmed(table["roles"]["causes"].split()),
    )


def _words(path: Traversable) -> list[str]:
    lines = path.read_text(encoding="utf-8").splitlines()
    return " ".join(line for line in lines if not line.startswith("#")).split()


def _lines(path: Traversable) -> list[str]:
    lines = (line.strip() for line in path.read_text(encoding="utf-8").splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def _pairs(text: str) -> list[tuple[str, str]]:
    return [(key, value) for key, _, value in (item.partition(":") for item in text.split())]


def _grouped(text: str) -> dict[str, str]:
    """Read `name:form,form` as form -> name."""
    return {form: name for name, forms in _pairs(text) for form in forms.split(",")}


def _opposites(path: Traversable, stems: Mapping[str, str]) -> dict[str, frozenset[str]]:
    found: dict[str, set[str]] = {}
    for line in _lines(path):
        sides = [[stem_with(word.strip(), stems) for word in side.split(",")] for side in line.split("/")]
        for one, other in itertools.product(*sides):
            found.setdefault(one, set()).add(other)
            found.setdefault(other, set()).add(one)
    return {word: frozenset(others) for word, others in found.items()}


def _synonyms(path: Traversable, stems: Mapping[str, str]) -> dict[str, frozenset[str]]:
    found: dict[str, set[str]] = {}
    for line in _lines(path):
        group = {stem_with(word, stems) for word in line.split()}
        for word in group:
            found.setdefault(word, set()).update(group - {word})
    return {word: frozenset(others) for word, others in found.items()}
