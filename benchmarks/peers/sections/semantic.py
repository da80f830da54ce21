"""The section about semantic hits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks.peers.roster import BY_NAME
from benchmarks.peers.spread import number, spread_of
from benchmarks.peers.tables import NOTHING, table, title_of, verdict

_EXPLAINED = """\
{entries:,} questions are stored; what is asked is one of them in other words of courtesy, each text once. Everybody
embeds with the same model from the same file; that alone takes {embedding} ms here. Ours is the whole call: L1 and L2
first, then L3 with guard and score, then the copies to the exact layers. Theirs is the look-up alone."""


def section(found: Mapping[str, Any]) -> str:
    """Return it in Markdown."""
    hits = {name: spread_of(values) for name, values in found["samples"].get("near hit", {}).items()}
    embedding = spread_of(found["samples"]["embedding alone"]["ours-l3"])
    rows = [
        [
            title_of(name),
            BY_NAME[name].stores,
            number(hits[name].middle / 1000),
            f"{number(hits[name].low / 1000)} to {number(hits[name].high / 1000)}",
            f"{found['missed'].get(name, 0)} of {found['asked']}",
            number(found["filled_per_second"][name]) if name in found["filled_per_second"] else NOTHING,
            number(found["memory"][name]),
        ]
        for name in hits
    ]
    head = ["semantic hits", "answers live in", "ms", "spread", "not found", "entries stored/s", "MB of the process"]
    theirs = {name: spread for name, spread in hits.items() if not name.startswith("ours")}
    ours = {name: spread for name, spread in hits.items() if name.startswith("ours")}
    whys = [f"- {title_of(name)}: {why}" for whys in found["reasons"].values() for name, why in whys.items()]
    return "\n\n".join(
        [
            _EXPLAINED.format(entries=found["entries"], embedding=number(embedding.middle / 1000)),
            table(head, rows),
            f"- {verdict(ours, theirs, small_is_good=True, what='A semantic hit')}",
            "\n".join(whys),
        ]
    )
