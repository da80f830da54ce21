# ruff: noqa
"""Word forms to stems.

A light stemmer in the manner of Harman's S stemmer ("How effective is suffixing?", JASIS 42, 1991) with the endings of
verbs and adverbs added: it leaves some forms of a word apart, it hardly ever brings two words together.
"""

from __future__ import annotations

from collections.abc import Mapping

_VOWELS = frozenset("aeiouy")
_KEEP_S = (
    "ss",
    "us",
    "is",
    "ous",
    "news",
    "series",
    "species",
    "always",
    "perhaps",
    "physics",
    "politics",
    "economics",
)
_NO_ADVERB = frozenset(
    [
        "family",
        "only",
        "early",
        "daily",
        "italy",
        "july",
        "ally",
        "ugly",
        "holy",
        "jelly",
        "assembly",
        "anomaly",
        "monopoly",
        "supply",
        "reply",
    ]
)
_DERIVED = (
    "izations", "isations", "ization", "isation", "ational", "ations", "ation", "itions", "ition", "ements", "ement",
    "nesses", "ness", "ments", "ment", "ities", "ity", "istic", "ically", "ical", "ists", "ist", "isms", "ism", "ions",
    "ion", "ings", "ing", "ers", "er", "ors", "or", "ances", "ance", "ences", "ence", "ants", "ant", "ents", "ent",
    "able", "ible", "ably", "ibly", "als", "al", "ians", "ian", "ics", "ic", "ives", "ive", "ous", "ized", "ised", "ize",
    "ise", "ify", "ship", "ied", "ies", "ed", "es", "ey", "ly", "th", "s", "y", "e",
)  # fmt: skip
_SHORTEST_ROOT = 4


def stem_with(word: str, irregular: Mapping[str, str]) -> str:
    """Return the stem of a word in lower case."""
    if stem := irregular.get(word):
        word = stem
    size = len(word)
    if size > 3 and word[-1] == "s" and not word.endswith(_KEEP_S):
        word = _without_s(word)
    if size > 5 and word.endswith("ing"):
        word = _verb(word[:-3], word)
    elif size > 4 and word.endswith("ed") and not word.endswith("eed"):
        word = _verb(word[:-2], word)
    elif size > 5 and word.endswith("ly") and word[-3] != "p" and word not in _NO_ADVERB:
        word = word[:-2]
    if word.endswith("y") and len(word) > 3:
        word = word[:-1] + "i"
    elif word.endswith("e") and len(word) > 3:
        word = word[:-1]
    return word


def _without_s(word: str) -> str:
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith(("sses", "xes", "ches", "shes", "zzes")):
        return word[:-2]
    return word[:-1]


def _verb(rest: str, word: str) -> str:
    """Return what is left of a verb without its ending, or the word where too little would be left."""
    if not _VOWELS & set(rest) or len(rest) < 3:
        return word
    if rest[-1] == rest[-2] and rest[-1] not in "lsz":
        return rest[:-1]
    return rest


def root_of(word: str) -> str:
    """Return what the words of one family share (`program`, `programmer`, `programming`); coarser than a stem."""
    for ending in _DERIVED:
        if word.endswith(ending) and len(word) - len(ending) >= _SHORTEST_ROOT:
            word = word[: -len(ending)]
            break
    if len(word) > _SHORTEST_ROOT and word[-1] == word[-2]:
        return word[:-1]
    return word
