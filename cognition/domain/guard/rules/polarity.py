"""Negation and opposites: what turns a statement round."""

from __future__ import annotations

from cognition.domain.guard.features import Features, Term
from cognition.domain.guard.lexicon import lexicon
from cognition.domain.guard.pair import Pair

_DEGREES = frozenset(
    ["more", "less", "most", "least", "fewer", "increase", "decrease", "reduce", "raise", "lower", "gain", "lose"]
)
"""Words that turn an opposite back (`more patient`, `less impatient`)."""
_OPPOSED = tuple(
    (frozenset(left.split()), frozenset(right.split()))
    for left, right in (
        ("before", "after"),
        ("until till", "since after"),
        ("on", "off"),
        ("up", "down"),
        ("over above", "under below beneath"),
        ("for", "against"),
        ("with", "without"),
        ("inside into", "outside out"),
        ("to", "from"),
        ("he him his", "she her hers"),
        ("all every", "some"),
        ("both", "either neither"),
        ("and", "or"),
    )
)
"""Small words that are opposites where each text has one side only."""


def negation(pair: Pair) -> str | None:
    """Refuse when one text is negated and the other is not; `not good` and `bad` pass."""
    cached, asked = _turns(pair.cached, pair.alignment.cached), _turns(pair.asked, pair.alignment.asked)
    if len(cached) % 2 == len(asked) % 2 or len(pair.alignment.opposite) == 1:
        return None
    return f"negation differs: {', '.join(cached) or 'none'} / {', '.join(asked) or 'none'}"


def opposites(pair: Pair) -> str | None:
    """Refuse when a word stands where the other text has its opposite; `more patient`, `less impatient` pass."""
    pairs = pair.alignment.opposite
    if not pairs:
        return _opposed(frozenset(pair.cached.words), frozenset(pair.asked.words))
    turned = len(_turns(pair.cached, pair.alignment.cached)) + len(_turns(pair.asked, pair.alignment.asked))
    turned += len(pairs)
    returns = len(pairs) == 1 or any(one.word in _DEGREES for one, _ in pairs)
    if turned == 2 and returns:  # noqa: PLR2004  turned round and back again
        return None
    return "opposites: " + ", ".join(f"{one.word} / {other.word}" for one, other in pairs)


def _opposed(cached: frozenset[str], asked: frozenset[str]) -> str | None:
    for left, right in _OPPOSED:
        for one, other in ((left, right), (right, left)):
            if one & cached and not one & asked and other & asked and not other & cached:
                return f"opposites: {min(one & cached)} / {min(other & asked)}"
    return None


def _turns(text: Features, left: tuple[Term, ...]) -> list[str]:
    """Return the words that turn a text round: negations, and verbs like `stop` that the other text lacks."""
    stoppers = lexicon().stoppers
    return [*text.negations, *(term.word for term in left if term.stem in stoppers)]
