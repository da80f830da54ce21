# ruff: noqa
"""Code, URLs, e-mail addresses, file paths, article numbers and quoted strings: they mean themselves, letter by letter."""

from __future__ import annotations

from cognition.domain.guard.pair import Pair


def differs(pair: Pair) -> str | None:
    """Refuse when the literals of two texts differ."""
    ours, theirs = pair.cached.literals - pair.asked.literals, pair.asked.literals - pair.cached.literals
    if not ours and not theirs:
        return None
    return f"literals differ: {', '.join(sorted(ours)) or 'none'} / {', '.join(sorted(theirs)) or 'none'}"
