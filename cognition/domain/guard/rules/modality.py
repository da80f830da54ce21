# ruff: noqa
"""Tense and modality: what was, is, becomes, can be and should be."""

from __future__ import annotations

from cognition.domain.guard.pair import Pair

_PAST = frozenset(["did", "was", "were", "had"])
_PRESENT = frozenset(["do", "does", "is", "are", "am", "has", "have"])
_FUTURE = frozenset(["will"])
_TENSES = {**dict.fromkeys(_PAST, "past"), **dict.fromkeys(_PRESENT, "present"), **dict.fromkeys(_FUTURE, "future")}


def differs(pair: Pair) -> str | None:
    """Refuse when the time of the verb differs, or what is and what is becoming."""
    ours, theirs = _used_to(pair.cached.words), _used_to(pair.asked.words)
    if ours != theirs:
        return "one asks about what used to be, the other does not"
    ours, theirs = ("become" in text.stems or "becom" in text.stems for text in (pair.cached, pair.asked))
    if ours != theirs and "yes-no" in pair.cached.question.kinds and "yes-no" in pair.asked.question.kinds:
        return "one asks about what is, the other about what becomes"
    return None


def _used_to(words: tuple[str, ...]) -> bool:
    return any(
        word in {"use", "used"}
        and words[place + 1 : place + 2] == ("to",)
        and words[place - 1] not in {"is", "are", "be", "get", "getting", "was"}
        for place, word in enumerate(words)
    )
