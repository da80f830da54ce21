# ruff: noqa
"""What a question asks for: a reason is no recipe, and a yes no reason."""

from __future__ import annotations

from cognition.domain.guard.pair import Pair

_APART = frozenset(
    frozenset(pair.split("/"))
    for pair in [
        "why/manner",
        "yes-no/why",
        "yes-no/manner",
        "yes-no/who",
        "yes-no/where",
        "yes-no/amount",
        "yes-no/long",
        "yes-no/often",
        "who/where",
        "who/when",
        "who/why",
        "who/manner",
        "when/where",
        "when/why",
        "when/manner",
        "where/why",
        "amount/manner",
        "amount/why",
        "amount/who",
        "amount/where",
        "amount/when",
        "long/manner",
        "long/why",
        "long/amount",
        "often/manner",
        "often/why",
        "often/amount",
        "old/amount",
        "manner/experience",
        "why/experience",
        "when/long",
        "where/manner",
        "what-if/why",
        "what-if/manner",
    ]
)
_NAMES = {
    "manner": "how", "yes-no": "whether", "amount": "how much", "long": "how long", "often": "how often", "old": "how old",
    "far": "how far", "degree": "to what degree", "what-if": "what happens", "experience": "what it is like",
}  # fmt: skip


def differs(pair: Pair) -> str | None:
    """Refuse when two texts ask for different kinds of things."""
    ours, theirs = pair.cached.question, pair.asked.question
    if set(ours.kinds) & set(theirs.kinds) or frozenset((ours.kind, theirs.kind)) not in _APART:
        return None
    return f"one asks {_NAMES.get(ours.kind, ours.kind)}, the other {_NAMES.get(theirs.kind, theirs.kind)}"
