"""How often the semantic layer answers, and how often rightly: plain cosine against the shipped decision.

Run `python -m benchmarks.semantic_quality --data FOLDER` with the data for development (its README says what it is). On
the adjudicated pairs, precision stands beside the hit rate with 95 % bootstrap intervals by pair; `cross-validated` is
the score trained without the pair and all it is connected with, `shipped` the score as it is. Doubtful pairs (the
annotators differ) are left out, and counted as wrong under `strict`. The hard stream counts Quora's own labels; our own
minimal pairs are those of the tests.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

from benchmarks.semantic.data import (
    ADJUDICATED,
    CHECKLIST,
    DATA,
    QUORA,
    JudgedPair,
    judged_pairs,
    labelled_pairs,
    minimal_pairs,
    own_pairs,
)
from benchmarks.semantic.measures import (
    Embedder,
    Point,
    Scorer,
    Verifier,
    acceptance,
    at_threshold,
    cross_validated,
    curve,
    hard_stream,
    microseconds,
    point,
    shipped,
    verified,
)
from cognition.domain.similarity import DEFAULT_THRESHOLD, Limits

OWN = Path(__file__).parents[1] / "tests/unit/guard/minimal_pairs.toml"
EMBEDDER = "cognition.adapters.embedders.local:LocalEmbedder:all-minilm-l6-v2"
GREY = 0.5
"""Score from which a verifier is asked."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, default=DATA, help="the folder of the data for development")
    parser.add_argument("--embedder", default=EMBEDDER, help="module:class[:argument] with a method embed")
    parser.add_argument("--verifier", help="module:class[:argument] with a method verify")
    parser.add_argument("--json", action="store_true", help="print JSON for machines")
    arguments = parser.parse_args()
    if not (arguments.data / ADJUDICATED).exists():
        print(f"Skipped: there is no {ADJUDICATED} in {arguments.data}; name the folder with --data.")
        return
    results = _measured(arguments.data, arguments.verifier)
    results |= _embedded(arguments.data, _made(arguments.embedder))
    print(json.dumps(results)) if arguments.json else _print(results)


def _measured(data: Path, verifier: str | None) -> dict[str, Any]:
    """Measure what needs no embedder: the pairs carry their cosines."""
    pairs = judged_pairs(data / ADJUDICATED)
    limits = Limits(threshold=0.0)
    scorers: dict[str, tuple[Scorer, float]] = {
        "cosine": (lambda pair: pair.cosine, 0.92),
        "cross-validated": (cross_validated(pairs), DEFAULT_THRESHOLD),
        "shipped": (shipped(limits), DEFAULT_THRESHOLD),
    }
    if verifier:
        scorers["with verifier"] = verified(limits, cast("Verifier", _made(verifier)), GREY), GREY
    return {
        "adjudicated": {name: _summary(pairs, *scorer) for name, scorer in scorers.items()},
        "microseconds": microseconds(pairs),
    }


def _summary(pairs: list[JudgedPair], scorer: Scorer, threshold: float) -> dict[str, Any]:
    points = curve(pairs, scorer)
    summary = {f"{rate:.1%}": asdict(one) if one else None for rate, one in points.items()}
    return summary | {f">= {threshold:g}": asdict(at_threshold(pairs, scorer, threshold))}


def _embedded(data: Path, embedder: object | None) -> dict[str, Any]:
    """Measure what needs an embedder."""
    if embedder is None:
        return {"skipped": "no local embedder is installed: the hard stream and CheckList were left out"}
    model, limits, results = cast("Embedder", embedder), Limits(), dict[str, Any]()
    if (data / QUORA).exists():
        played = hard_stream(labelled_pairs(data / QUORA), model, limits)
        results["hard stream"] = {name: asdict(_streamed(hits)) for name, hits in played.items()}
    if (data / CHECKLIST).exists():
        counts = acceptance(minimal_pairs(data / CHECKLIST), model, limits)
        results["checklist"] = [
            {"kind": name, "same": same, "pairs": seen, "accepted": taken}
            for (name, same), (seen, taken) in sorted(counts.items())
        ]
    counts = acceptance(own_pairs(OWN), model, limits)
    results["own minimal pairs"] = [
        {"kind": name, "same": same, "pairs": seen, "accepted": taken}
        for (name, same), (seen, taken) in sorted(counts.items())
    ]
    return results


def _streamed(outcomes: list[JudgedPair | None]) -> Point:
    return point([hit for hit in outcomes if hit is not None])


def _made(name: str) -> object | None:
    """Make an adapter from `module:class[:argument]`; None where its module is not installed."""
    module, kind, *given = name.split(":", 2)
    try:
        return getattr(importlib.import_module(module), kind)(*given)
    except ModuleNotFoundError:
        return None


def _print(results: dict[str, Any]) -> None:
    for name, summary in results["adjudicated"].items():
        print(f"adjudicated pairs, {name}: hit rate, precision [95 % interval], strict")
        for label, one in summary.items():
            print(f"  {label:>8}  {_line(one) if one else 'never answers so many'}")
    for name, one in results.get("hard stream", {}).items():
        print(f"hard stream by Quora's labels, {name:<16}{_line(one)}")
    for part, title in (("checklist", "CheckList"), ("own minimal pairs", "our own pairs")):
        _print_acceptance(title, results.get(part, []))
    for name, value in results["microseconds"].items():
        print(f"{name:<30}{value:>8.0f} µs")
    if "skipped" in results:
        print(f"Skipped: {results['skipped']}.", file=sys.stderr)


def _print_acceptance(title: str, counts: list[dict[str, Any]]) -> None:
    for same in (False, True):
        rows = [row for row in counts if row["same"] == same]
        total: dict[str, Any] = {name: sum(row[name] for row in rows) for name in ("pairs", "accepted")}
        total["kind"] = "all"
        for row in [*rows, total] if rows else []:
            share = row["accepted"] / row["pairs"]
            print(f"{title}, {'must' if same else 'must not'} match, {row['kind']:<12}{share:>8.1%} of {row['pairs']}")


def _line(one: dict[str, float]) -> str:
    interval = f"[{one['low']:.1%}, {one['high']:.1%}]"
    return f"{one['hit_rate']:>6.2%}  {one['precision']:>6.1%} {interval}  {one['strict']:>6.1%}"


if __name__ == "__main__":
    main()
