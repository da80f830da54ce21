"""The language of a text, by its letters."""

from __future__ import annotations

from cognition.domain.guard.pair import Pair


def differs(pair: Pair) -> str | None:
    """Refuse when one text is English and the other is not."""
    if pair.cached.english == pair.asked.english:
        return None
    return "one text is English, the other is not"
