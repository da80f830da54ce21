"""The section about the quality of semantic answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks.peers.tables import NOTHING, table, title_of

_EXPLAINED = """\
Semantic caches decide by a similarity of embeddings; with one embedder for all, what differs is the threshold, and
what else is asked. The hard stream holds {questions:,} Quora questions, both members of 2,700 near-misses and of
1,600 true pairs: each is looked up, and stored on a miss. The peers' own code played it. *Best* is the threshold at
which a peer answers as often as we do (cosine {best:.3f})."""
_JUDGED = """\
Quora's labels are noisy, so 640 nearest-neighbour pairs of such a stream were judged by two annotators: would the
stored answer do for what was asked? No pair is below a cosine of 0.80, so that a threshold below it does no better
here than 0.80. Doubtful pairs are left out of the precision, and wrong under *strict*. The weights of our score
were fitted on these same pairs; `python -m benchmarks.semantic_quality` prints what cross-validation leaves."""
_CHECKLIST = """\
CheckList's minimal pairs, accepted of those seen. Pairs that mean something different should never be accepted."""


def section(found: Mapping[str, Any]) -> str:
    """Return it in Markdown."""
    return "\n\n".join(
        [
            _EXPLAINED.format(**found),
            _stream(found),
            _JUDGED,
            _judged(found),
            _CHECKLIST,
            _checklist(found),
            "\n".join(f"- {title_of(name)}: {why}" for name, why in found["reasons"].items()),
        ]
    )


def _stream(found: Mapping[str, Any]) -> str:
    rows: list[list[str]] = []
    for name, points in found["stream"].items():
        for kind, point in points.items():
            cosine = {"default": found["defaults"].get(name), "best": found["best"]}[kind]
            shown = f"cosine {cosine:g}" if cosine else "score and guard"
            rows.append([_name(name), f"{kind}: {shown}", *_point(point), str(point["wrong"])])
    return table(["hard stream", "decides by", "hit rate", "precision", "95 %", "wrong answers"], rows)


def _judged(found: Mapping[str, Any]) -> str:
    judged = found["judged"]
    rows = [
        [_name(name), _threshold(found, name), *_point(point), f"{point['strict']:.1%}"]
        for name, point in judged.items()
        if name != "best"
    ]
    best = judged["best"]
    rows.append(["any of them", f"cosine {best['threshold']:g}", *_point(best), f"{best['strict']:.1%}"])
    return table(["judged pairs", "decides by", "hit rate", "precision", "95 %", "strict"], rows)


def _checklist(found: Mapping[str, Any]) -> str:
    names = list(found["checklist"])
    kinds = sorted({kind for counts in found["checklist"].values() for kind in counts})
    rows = [[kind, *(_share(found["checklist"][name].get(kind)) for name in names)] for kind in kinds]
    for same in ("different", "same"):
        sums = [_sum(found["checklist"][name], same) for name in names]
        rows.append([f"**all {same}**", *(_share(count) for count in sums)])
    return table(["pairs", *(_name(name) for name in names)], rows)


def _sum(counts: Mapping[str, list[int]], same: str) -> list[int]:
    of_kind = [count for kind, count in counts.items() if kind.startswith(same)]
    return [sum(count[place] for count in of_kind) for place in (0, 1)]


def _share(count: list[int] | None) -> str:
    return f"{count[1]} of {count[0]}" if count else NOTHING


def _threshold(found: Mapping[str, Any], name: str) -> str:
    return f"cosine {found['defaults'][name]:g}" if name in found["defaults"] else "score and guard"


def _point(point: Mapping[str, float]) -> list[str]:
    interval = f"{point['low']:.1%} to {point['high']:.1%}"
    return [f"{point['hit_rate']:.1%}", f"{point['precision']:.1%}", interval]


def _name(name: str) -> str:
    return {"ours": "**prefect-cognition**", "best": "any, at its best"}.get(name) or title_of(name)
