"""The language of a text."""

from __future__ import annotations

from cognition.domain.guard.pair import Pair


def differs(pair: Pair) -> str | None:
    """Refuse when one text is English and the other is not."""
    return None if pair.cached.english == pair.asked.english else "one text is English, the other is not"
