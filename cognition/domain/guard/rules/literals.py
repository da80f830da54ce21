"""Code, URLs, e-mail addresses, paths, names of models, quoted strings and formulas: they mean themselves."""

from __future__ import annotations

from collections.abc import Iterable

from cognition.domain.guard.pair import Pair


def differs(pair: Pair) -> str | None:
    """Refuse when the literals of two texts differ."""
    cached, asked = pair.cached, pair.asked
    if cached.literals != asked.literals:
        ours, theirs = cached.literals - asked.literals, asked.literals - cached.literals
        return f"names or code differ: {_list(ours)} / {_list(theirs)}"
    if cached.quoted and asked.quoted and cached.quoted.isdisjoint(asked.quoted):
        return f"quotations differ: {_list(cached.quoted)} / {_list(asked.quoted)}"
    return "formulas differ" if cached.formula != asked.formula else None


def _list(values: Iterable[str]) -> str:
    return ", ".join(sorted(values)) or "none"
