"""Tense and modality: what was, is, becomes, will be, can be and should be."""

from __future__ import annotations

from cognition.domain.guard.features import Features
from cognition.domain.guard.pair import Pair
from cognition.domain.guard.questions import Question

_PAST = frozenset(["did", "was", "were", "had"])
_FIRM = frozenset(["yes-no", "why", "who"])
"""Kinds of questions that `should` turns into other questions."""
_TIMED = frozenset(["yes-no", "when", "manner", "amount"])
"""Kinds of questions whose answer changes with the tense."""
_NEEDS = frozenset(["need", "have", "must", "necessary", "okay", "ok"])
"""Words that say `should` in another way."""
_NOT_A_HABIT = frozenset(["is", "are", "be", "been", "get", "getting", "was", "were", "am"])
"""Words before `used to` that make it mean accustomed."""
_SAID = {"do": "is", "have": "has been", "will": "will be", "can": "can be", "did": "was", "had": "had been"}


def differs(pair: Pair) -> str | None:
    """Refuse when the tense or the mood of two questions differs in a way that changes the answer."""
    if _used_to(pair.cached.words) != _used_to(pair.asked.words):
        return "one asks about what used to be, the other does not"
    ours, theirs = pair.cached.question, pair.asked.question
    if ours.kind == theirs.kind == "yes-no" and _becomes(pair.cached) != _becomes(pair.asked):
        return "one asks about what is, the other about what becomes"
    modals = {ours.modal, theirs.modal} - {""}
    if ours.kind != theirs.kind or len(modals) == 1 or not modals:
        return None
    return _mood(pair, modals) or _tense(ours, modals)


def _mood(pair: Pair, modals: set[str]) -> str | None:
    kind = pair.cached.question.kind
    if "should" not in modals or not (kind in _FIRM or (kind == "what" and "will" in modals)):
        return None
    if _NEEDS & {*pair.cached.words, *pair.asked.words}:
        return None
    return f"one asks what should be, the other what {_say(modals - {'should'})}"


def _tense(question: Question, modals: set[str]) -> str | None:
    past = modals & _PAST
    if not past or modals <= _PAST or not ("will" in modals or question.kind in _TIMED):
        return None
    return f"one asks what {_say(past)}, the other what {_say(modals - past)}"


def _say(modals: set[str]) -> str:
    return _SAID.get(min(modals), min(modals))


def _becomes(text: Features) -> bool:
    return "becom" in text.stems


def _used_to(words: tuple[str, ...]) -> bool:
    return any(
        word in {"use", "used"} and following == "to" and before not in _NOT_A_HABIT
        for before, word, following in zip(("", *words), words, words[1:], strict=False)
    )
