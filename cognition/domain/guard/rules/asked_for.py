"""What a question asks for: a reason is no recipe, and a yes no reason."""

from __future__ import annotations

from cognition.domain.guard.lexicon import lexicon
from cognition.domain.guard.pair import Pair

_NAMES = {
    "manner": "how", "yes-no": "whether", "amount": "how much", "long": "how long", "often": "how often",
    "old": "how old", "far": "how far", "degree": "to what degree", "what-if": "what happens",
    "quality": "what it is like", "meaning": "what it means",
}  # fmt: skip
_FIRST = 3
_JUST_A_NAME = 2
"""Terms of a question that asks what or who something is and nothing more."""


def differs(pair: Pair) -> str | None:
    """Refuse when two texts ask for different kinds of things."""
    ours, theirs = pair.cached.question, pair.asked.question
    if ours.kind == theirs.kind == "amount":
        return _counts(ours.focus, theirs.focus)
    if {ours.kinds, theirs.kinds} == {("what",), ("who",)}:
        short = max(len(pair.cached.terms), len(pair.asked.terms)) <= _JUST_A_NAME
        return "one asks what it is, the other who" if short else None
    if {ours.kind, theirs.kind} == {"yes-no", "what"} and not _exists(pair) and not set(ours.kinds) & set(theirs.kinds):
        return "one asks whether, the other what"
    if set(ours.kinds) & set(theirs.kinds) or theirs.kind not in lexicon().apart.get(ours.kind, ()):
        return None
    return f"one asks {_NAMES.get(ours.kind, ours.kind)}, the other {_NAMES.get(theirs.kind, theirs.kind)}"


def _counts(ours: str, theirs: str) -> str | None:
    if not ours or not theirs or ours == theirs or theirs in lexicon().synonyms.get(ours, ()):
        return None
    return f"one asks how many {ours}, the other how many {theirs}"


def _exists(pair: Pair) -> bool:
    """Whether one asks `Is there ...?` or `Are A larger than B?`, which answers to `What ...?` serve."""
    first = {*pair.cached.words[:_FIRST], *pair.asked.words[:_FIRST]}
    compared = {"than", "or"} <= {*pair.cached.words, *pair.asked.words}
    return "there" in first or compared
