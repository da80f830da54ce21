# ruff: noqa
"""Negation and opposites: what turns a statement round."""

from __future__ import annotations

from cognition.domain.guard.features import Features, Term
from cognition.domain.guard.lexicon import lexicon
from cognition.domain.guard.pair import Pair

_DEGREES = frozenset(
    ["more", "less", "most", "least", "increas", "decreas", "reduc", "rais", "lower", "few", "fewer", "too"]
)
_OPPOSED = (
    ({"before"}, {"after"}), ({"until", "till"}, {"since", "after"}), ({"on"}, {"off"}), ({"up"}, {"down"}),
    ({"over", "above"}, {"under", "below", "beneath"}), ({"for"}, {"against"}), ({"with"}, {"without"}),
    ({"inside", "into"}, {"outside", "out"}), ({"he", "him", "his"}, {"she", "her", "hers"}), ({"to"}, {"from"}),
    ({"all", "every"}, {"some"}),
)  # fmt: skip


def negation(pair: Pair) -> str | None:
    """Refuse when one text is negated and the other is not; `not good` and `bad` are the same."""
    cached, asked = _turns(pair.cached, pair.alignment.cached), _turns(pair.asked, pair.alignment.asked)
    if len(cached) % 2 == len(asked) % 2 or len(pair.alignment.opposite) == 1:
        return None
    return f"negation differs: {', '.join(cached) or 'none'} / {', '.join(asked) or 'none'}"


def opposites(pair: Pair) -> str | None:
    """Refuse when a word stands where the other text has its opposite; `more patient` and `less impatient` pass."""
    pairs = pair.alignment.opposite
    if not pairs:
        return _opposed(pair)
    negated = len(_turns(pair.cached, pair.alignment.cached)) + len(_turns(pair.asked, pair.alignment.asked))
    if len(pairs) == 1 and negated % 2:
        return None
    if len(pairs) == 2 and not negated % 2 and any(one.stem in _DEGREES for one, _ in pairs):  # noqa: PLR2004
        return None
    return "opposites: " + ", ".join(f"{one.word} / {other.word}" for one, other in pairs)


def _opposed(pair: Pair) -> str | None:
    cached, asked = frozenset(pair.cached.words), frozenset(pair.asked.words)
    for left, right in _OPPOSED:
        for one, other in ((left, right), (right, left)):
            if one & cached and not one & asked and other & asked and not other & cached:
                return f"opposites: {min(one & cached)} / {min(other & asked)}"
    return None


def _turns(text: Features, left: tuple[Term, ...]) -> list[str]:
    """Return the words that turn a text round: negations, and verbs like `stop` that the other text lacks."""
    stoppers = lexicon().stoppers
    return [*text.negations, *(term.word for term in left if term.stem in stoppers)]
