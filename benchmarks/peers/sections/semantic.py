"""The section about semantic hits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks.peers.roster import BY_NAME
from benchmarks.peers.spread import number, spread_of
from benchmarks.peers.tables import NOTHING, table, title_of, verdict

_EXPLAINED = """\
What is asked is one of the stored questions in other words of courtesy, each text once. Everybody embeds with the
same model from the same file. Ours is the whole call: L1 and L2 first, then L3 with guard and score, then the
copies to the exact layers. Theirs is the look-up alone. *Not found* counts look-ups that no neighbour answered.
Storing is by the call that users write: ours embeds, asks a provider that answers at once, and books each call; the
others are handed the answer, and the vector."""
_HEAD = ("ms", "smallest to largest", "not found", "entries stored/s", "MB of the process")


def section(found: Mapping[str, Any]) -> str:
    """Return it in Markdown."""
    return "\n\n".join([_EXPLAINED, *(_step(step) for step in found["steps"])])


def _step(step: Mapping[str, Any]) -> str:
    hits = {name: spread_of(values) for name, values in step["samples"].get("near hit", {}).items()}
    embedding = spread_of(step["samples"]["embedding alone"]["ours-l3"])
    rows = [
        [
            title_of(name),
            BY_NAME[name].stores,
            number(hit.middle / 1000),
            f"{number(hit.low / 1000)} to {number(hit.high / 1000)}",
            f"{step['missed'].get(name, 0)} of {step['asked']}",
            number(step["filled_per_second"][name]) if name in step["filled_per_second"] else NOTHING,
            number(step["memory"][name]),
        ]
        for name, hit in hits.items()
    ]
    rows.append(["the embedding alone", NOTHING, number(embedding.middle / 1000), *[NOTHING] * 4])
    theirs = {name: spread for name, spread in hits.items() if not name.startswith("ours")}
    ours = {name: spread for name, spread in hits.items() if name.startswith("ours")}
    said = verdict(ours, theirs, small_is_good=True, what=f"A semantic hit among {step['entries']:,}")
    lines = [said, *(f"{title_of(name)}: {why}" for whys in step["reasons"].values() for name, why in whys.items())]
    head = [f"{step['entries']:,} entries", "answers live in", *_HEAD]
    return table(head, rows) + "\n\n" + "\n".join(f"- {line}" for line in lines if line)
