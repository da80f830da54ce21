"""Tables in Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.peers.roster import BY_NAME
from benchmarks.peers.spread import Spread

NOTHING = "–"  # noqa: RUF001  a dash in a table


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table; every column but the first is aligned to the right."""
    lines = [head, ["---", *("---:" for _ in head[1:])], *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def title_of(name: str) -> str:
    """Return how a configuration is called on the page; our own ones stand out."""
    title = BY_NAME[name].title if name in BY_NAME else name
    return f"**{title}**" if name.startswith("ours") else title


def verdict(ours: dict[str, Spread], theirs: dict[str, Spread], *, small_is_good: bool, what: str) -> str:
    """Say in a sentence who is ahead, whoever that is."""
    if not ours or not theirs:
        return ""
    sign = 1 if small_is_good else -1

    def rank(one: tuple[str, Spread]) -> float:
        return sign * one[1].middle

    mine, best = min(ours.items(), key=rank), min(theirs.items(), key=rank)
    ratio = mine[1].middle / best[1].middle if small_is_good else best[1].middle / mine[1].middle
    factor = max(ratio, 1 / ratio)
    if ratio <= 1:
        return f"{what}: {title_of(mine[0])} is ahead, {factor:.1f} times as good as {title_of(best[0])}."
    ahead = [name for name, spread in theirs.items() if rank((name, spread)) < rank(mine)]
    names = ", ".join(title_of(name) for name in ahead)
    return f"{what}: **{names} {'is' if len(ahead) == 1 else 'are'} ahead of us**, the best by {factor:.1f} times."
