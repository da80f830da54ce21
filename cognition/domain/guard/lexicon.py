"""The word lists behind the rules, read once from the package's data folder."""

from __future__ import annotations

import itertools
import math
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.resources import files
from importlib.resources.abc import Traversable

from cognition.domain.guard.stem import stem_with

_COMMONEST = 50
"""Words of a rank below this are equally uninformative."""
_CACHED_STEMS = 20_000


@dataclass(frozen=True, slots=True)
class Lexicon:
    """English, as far as the rules need it.

    Attributes:
        function: Words that build a sentence and do not say what it is about.
        soft: Words that change the tone and not the answer.
        generic: Stems of words so general that they distinguish hardly any two questions.
        negations: Words that turn a statement round.
        stoppers: Stems of verbs that turn the verb after them round (`stop smoking`).
        prepositions: Words that say which part a noun plays.
        people: Words for whom something is meant.
        rank: The most frequent words; the most frequent has rank 0.
        irregular: Irregular forms and what they are forms of.
        opposites: Stem -> stems that mean the opposite.
        synonyms: Stem -> stems that may stand for it.
        symmetric: Stems of relations that read the same from both ends.
        causes: Stems of verbs whose subject comes first and brings about their object.
        apart: Kind of question -> kinds that no answer to it serves.
        contractions: One written word -> the words it stands for.
        endings: What follows an apostrophe -> the word it stands for.
        takes_is: Words after which `'s` is short for `is`.
        numbers: Spelled cardinal numbers.
        ordinals: Spelled ordinal numbers and Roman ones.
        multipliers: Words that multiply the number before them.
        units: A unit as written -> its one name.
        calendar: A month or day of the week as written -> its one name.
    """

    function: frozenset[str]
    soft: frozenset[str]
    generic: frozenset[str]
    negations: frozenset[str]
    stoppers: frozenset[str]
    prepositions: frozenset[str]
    people: frozenset[str]
    rank: Mapping[str, int]
    irregular: Mapping[str, str]
    opposites: Mapping[str, frozenset[str]]
    synonyms: Mapping[str, frozenset[str]]
    symmetric: frozenset[str]
    causes: frozenset[str]
    apart: Mapping[str, frozenset[str]]
    contractions: Mapping[str, tuple[str, ...]]
    endings: Mapping[str, str]
    takes_is: frozenset[str]
    numbers: Mapping[str, float]
    ordinals: Mapping[str, float]
    multipliers: Mapping[str, float]
    units: Mapping[str, str]
    calendar: Mapping[str, str]
    countable: frozenset[str] = field(init=False, default=frozenset())
    """Words that may begin a number or a date."""

    def __post_init__(self) -> None:
        """Join what is looked up together."""
        object.__setattr__(self, "countable", frozenset({*self.numbers, *self.ordinals, *self.calendar}))

    def stem(self, word: str) -> str:
        """Return the stem of a word in lower case."""
        return _stem(word)

    def rarity(self, word: str) -> float:
        """Return how much a word says, between 0 (everywhere) and 1 (not among the common words)."""
        rank = self.rank.get(word)
        if rank is None:
            return 1.0
        return math.log1p(max(0, rank - _COMMONEST) / _COMMONEST) / math.log1p(len(self.rank) / _COMMONEST)


@lru_cache(maxsize=1)
def lexicon() -> Lexicon:
    """Read the word lists."""
    data = files("cognition.domain.guard") / "data"
    table = tomllib.loads((data / "lexicon.toml").read_text(encoding="utf-8"))
    words, amounts = {name: text.split() for name, text in table["words"].items()}, table["amounts"]
    irregular = _grouped(table["forms"]["irregular"])

    def stems(name: str) -> frozenset[str]:
        return frozenset(stem_with(word, irregular) for word in words[name])

    return Lexicon(
        function=frozenset(itertools.chain.from_iterable(words[name] for name in table["forms"]["function"])),
        soft=frozenset(words["fillers"]),
        generic=stems("generic"),
        negations=frozenset(words["negations"]),
        stoppers=stems("stoppers"),
        prepositions=frozenset(words["prepositions"]),
        people=frozenset(words["people"]),
        rank={word: rank for rank, word in enumerate(" ".join(_lines(data / "common_words.txt")).split())},
        irregular=irregular,
        opposites=_opposites(data / "antonyms.txt", irregular),
        synonyms=_synonyms(data / "synonyms.txt", irregular),
        symmetric=stems("symmetric"),
        causes=stems("causes"),
        apart=_apart(table["apart"]),
        contractions={short: tuple(long.split(",")) for short, long in _pairs(table["forms"]["contractions"])},
        endings=dict(_pairs(table["forms"]["endings"])),
        takes_is=frozenset(words["takes_is"]),
        numbers=_valued(amounts["numbers"]),
        ordinals=_valued(amounts["ordinals"]),
        multipliers=_valued(amounts["multipliers"]),
        units=_grouped(amounts["units"]) | {word: word for word, _ in _pairs(amounts["multipliers"])},
        calendar=_grouped(amounts["calendar"]),
    )


@lru_cache(maxsize=_CACHED_STEMS)
def _stem(word: str) -> str:
    return stem_with(word, lexicon().irregular)


def _lines(path: Traversable) -> list[str]:
    lines = (line.strip() for line in path.read_text(encoding="utf-8").splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def _pairs(text: str) -> list[tuple[str, str]]:
    return [(key, value) for key, _, value in (item.partition(":") for item in text.split())]


def _valued(text: str) -> dict[str, float]:
    return {word: float(value) for word, value in _pairs(text)}


def _grouped(text: str) -> dict[str, str]:
    """Read `name:form,form` as form -> name."""
    return {form: name for name, forms in _pairs(text) for form in forms.split(",")}


def _apart(table: Mapping[str, str]) -> dict[str, frozenset[str]]:
    """Read the table in both directions."""
    return _both_ways((kind, other) for kind, others in table.items() for other in others.split())


def _opposites(path: Traversable, irregular: Mapping[str, str]) -> dict[str, frozenset[str]]:
    sides = ([side.split(",") for side in line.split("/")] for line in _lines(path))
    pairs = itertools.chain.from_iterable(itertools.product(*both) for both in sides)
    return _both_ways((stem_with(one.strip(), irregular), stem_with(other.strip(), irregular)) for one, other in pairs)


def _synonyms(path: Traversable, irregular: Mapping[str, str]) -> dict[str, frozenset[str]]:
    groups = ([stem_with(word, irregular) for word in line.split()] for line in _lines(path))
    return _both_ways(itertools.chain.from_iterable(itertools.combinations(group, 2) for group in groups))


def _both_ways(pairs: Iterable[tuple[str, str]]) -> dict[str, frozenset[str]]:
    found: dict[str, set[str]] = {}
    for one, other in pairs:
        if one != other:
            found.setdefault(one, set()).add(other)
            found.setdefault(other, set()).add(one)
    return {word: frozenset(others) for word, others in found.items()}
