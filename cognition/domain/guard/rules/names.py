"""Names of people, places and products."""

from __future__ import annotations

from cognition.domain.guard.features import Term
from cognition.domain.guard.pair import Pair

_TELLING = 0.6


def differs(pair: Pair) -> str | None:
    """Refuse when each text has a name, or a telling word in its place, that the other lacks."""
    cached, asked = pair.alignment.cached, pair.alignment.asked
    ours, theirs = _named(cached), _named(asked)
    if (ours and any(term.weight >= _TELLING for term in asked)) or (
        theirs and any(term.weight >= _TELLING for term in cached)
    ):
        return f"names differ: {_list(ours or cached)} / {_list(theirs or asked)}"
    return None


def _named(terms: tuple[Term, ...]) -> tuple[Term, ...]:
    return tuple(term for term in terms if term.named)


def _list(terms: tuple[Term, ...]) -> str:
    return ", ".join(term.word for term in terms)
