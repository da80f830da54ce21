"""Names of people, places and products."""

from __future__ import annotations

from cognition.domain.guard.features import Term
from cognition.domain.guard.pair import Pair

_TELLING = 0.6
"""Weight of a word that may stand where the other text has a name."""


def differs(pair: Pair) -> str | None:
    """Refuse when one text has a name where the other has another name or a telling word."""
    cached, asked = pair.alignment.cached, pair.alignment.asked
    ours, theirs = (tuple(term for term in terms if term.named) for terms in (cached, asked))
    if (ours and _tell(asked)) or (theirs and _tell(cached)):
        return f"names differ: {_list(ours or cached)} / {_list(theirs or asked)}"
    return None


def _tell(terms: tuple[Term, ...]) -> bool:
    return any(term.weight >= _TELLING for term in terms)


def _list(terms: tuple[Term, ...]) -> str:
    return ", ".join(term.word for term in terms)
