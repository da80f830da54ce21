"""Word forms to stems.

A light stemmer in the manner of Harman's S stemmer ("How effective is suffixing?", JASIS 42, 1991) with the endings of
verbs and adverbs added: it leaves some forms of a word apart, it hardly ever brings two words together.
"""

from __future__ import annotations

from collections.abc import Mapping

_VOWELS = frozenset("aeiouy")
_NO_PLURAL = ("ss", "us", "is", "news", "series", "species", "always", "perhaps", "physics", "politics", "economics")
_HISSING = ("sses", "xes", "ches", "shes", "zzes")
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
        "apply",
    ]
)
_DERIVED = (
    "izations", "isations", "ization", "isation", "ational", "ations", "ation", "ating", "ated", "ates", "ate",
    "itions", "ition", "ements", "ement", "nesses", "ness", "ments", "ment", "ities", "ity", "istic", "ically", "ical",
    "ists", "ist", "isms", "ism", "ions", "ion", "ings", "ing", "ers", "er", "ors", "or", "ances", "ance", "ences",
    "ence", "ants", "ant", "ents", "ent", "able", "ible", "ably", "ibly", "als", "al", "ians", "ian", "ics", "ic",
    "ives", "ive", "ous", "ized", "ised", "ize", "ise", "ify", "ship", "ied", "ies", "iest", "est", "ed", "es", "is",
    "ey", "ly", "th", "s", "y", "e",
)  # fmt: skip
_STEM = 3
"""A stem has at least so many letters; shorter words are left alone."""
_ROOT = 4
"""A root has at least so many letters."""


def stem_with(word: str, irregular: Mapping[str, str]) -> str:
    """Return the stem of a word in lower case; irregular forms are looked up first."""
    word = irregular.get(word, word)
    adverb = word.endswith("ly")
    if len(word) > _STEM and word[-1] == "s" and not word.endswith(_NO_PLURAL):
        word = _singular(word)
    if word.endswith("ing"):
        word = _without(word, "ing")
    elif word.endswith("ed") and not word.endswith("eed"):
        word = _without(word, "ed")
    elif adverb and len(word) > _STEM + len("ly") and word[-3] != "p" and word not in _NO_ADVERB:
        word = word[:-2]
    if len(word) > _STEM and word[-1] == "y":
        return word[:-1] + "i"
    return word[:-1] if len(word) > _STEM and word[-1] == "e" else word


def _singular(word: str) -> str:
    if word.endswith("ies") and len(word) > _STEM + 1:
        return word[:-3] + "y"
    return word[:-2] if word.endswith(_HISSING) else word[:-1]


def _without(word: str, ending: str) -> str:
    """Return a verb without its ending, or the word where too little would be left."""
    rest = word[: -len(ending)]
    if len(rest) < _STEM or not _VOWELS & set(rest):
        return word
    return rest[:-1] if rest[-1] == rest[-2] and rest[-1] not in "lsz" else rest


def root_of(stem: str) -> str:
    """Return what the words of one family share (`program`, `programmer`, `programming`); coarser than a stem."""
    for ending in _DERIVED:
        if len(stem) >= _ROOT + len(ending) and stem.endswith(ending):
            stem = stem[: -len(ending)]
            break
    return stem[:-1] if len(stem) > _ROOT and stem[-1] == stem[-2] else stem
