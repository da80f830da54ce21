"""How often a semantic cache answers, and how often rightly, each at its default threshold and at its best one.

The real peers play the hard stream with vectors of the same model, so that only their decision differs. Their best
threshold is the one at which they answer as often as we do: what is left to compare is how often that is right.
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers.scene import Lacking, Scene
from benchmarks.semantic.data import (
    ADJUDICATED,
    CHECKLIST,
    QUORA,
    JudgedPair,
    MinimalPair,
    judged_pairs,
    labelled_pairs,
    minimal_pairs,
)
from benchmarks.semantic.measures import (
    Decider,
    Stream,
    Vectors,
    at_threshold,
    by_cosine,
    by_guard,
    embedded,
    play,
    point,
    shipped,
    stream_of,
)
from cognition.adapters.embedders import LocalEmbedder
from cognition.domain.similarity import DEFAULT_THRESHOLD, Candidate, Limits

WITH_SEARCH = True
DEFAULTS = {"gptcache": 0.6, "redisvl": 0.9, "langchain-semantic": 0.8}
"""Cosine similarity from which each answers by default: GPTCache's 0.8 of a largest squared distance of 4, RedisVL's
distance of 0.1, LangChain's of 0.2."""
_PAIRS = 4000
_BETWEEN, _CLOSE = (0.85, 0.99), 0.005


def measure(scene: Scene) -> dict[str, Any]:
    """Return points of the stream, of the judged pairs and of CheckList."""
    embedder, limits = LocalEmbedder("all-minilm-l6-v2"), Limits()
    stream = stream_of(labelled_pairs(scene.data / QUORA))
    if scene.quick:
        stream = Stream(stream.questions[:400], stream.classes)
    rows = embedded(list(dict.fromkeys(stream.questions)), embedder)
    ours = play(stream, rows, by_guard(limits))
    best = _equal(stream, rows, len([hit for hit in ours if hit]))
    points = {"ours": {"default": _point(ours)}}
    reasons: dict[str, str] = {}
    for name, default in DEFAULTS.items():
        try:
            points[name] = {
                "default": _point(_played(scene, name, stream, rows, default)),
                "best": _point(_played(scene, name, stream, rows, best)),
            }
        except Lacking as lack:
            reasons[name] = str(lack)
    return {
        "defaults": DEFAULTS,
        "best": best,
        "stream": points,
        "questions": len(stream.questions),
        "reasons": reasons,
        "judged": _judged(judged_pairs(scene.data / ADJUDICATED)),
        "checklist": _checklist(scene, embedder, limits, best),
    }


def _equal(stream: Stream, rows: Mapping[str, Vectors], hits: int) -> float:
    """Return the cosine threshold that answers most nearly as often, by halving: one play takes seconds."""
    low, high = _BETWEEN
    while high - low > _CLOSE:
        middle = (low + high) / 2
        found = len([hit for hit in play(stream, rows, by_cosine(middle)) if hit])
        low, high = (middle, high) if found > hits else (low, middle)
    return round((low + high) / 2, 3)


def _played(
    scene: Scene, name: str, stream: Stream, rows: Mapping[str, Vectors], threshold: float
) -> list[JudgedPair | None]:
    """Have a peer play the stream."""
    path = scene.folder / "stream.npy"
    if not path.exists():
        np.save(path, np.stack(list(rows.values())))
        path.with_suffix(".json").write_text(json.dumps(list(rows)), encoding="utf-8")
    with scene.worker(name, vectors=Path(path)) as worker:
        worker.answer()
        worker.do("empty")
        answered = worker.do("stream", prompts=stream.questions, threshold=threshold)["answered"]
    return [
        stream.judged(asked, cached, float(rows[cached] @ rows[asked])) if cached is not None else None
        for asked, cached in zip(stream.questions, answered, strict=True)
    ]


def _point(outcomes: Sequence[JudgedPair | None]) -> dict[str, Any]:
    return asdict(point([hit for hit in outcomes if hit is not None])) | {
        "wrong": sum(hit is not None and not hit.answers for hit in outcomes)
    }


def _judged(pairs: list[JudgedPair]) -> dict[str, dict[str, Any]]:
    """Judge by people's labels: each peer at its default, and all cosine thresholds at our hit rate."""
    ours = at_threshold(pairs, shipped(Limits(threshold=0.0)), DEFAULT_THRESHOLD)
    thresholds = [number / 1000 for number in range(800, 990)]

    def at(threshold: float) -> Any:
        return at_threshold(pairs, lambda pair: pair.cosine, threshold)

    best = min(thresholds, key=lambda threshold: abs(at(threshold).hit_rate - ours.hit_rate))
    found = {"ours": asdict(ours)} | {name: asdict(at(default)) for name, default in DEFAULTS.items()}
    return found | {"best": asdict(at(best)) | {"threshold": best}}


def _checklist(scene: Scene, embedder: LocalEmbedder, limits: Limits, best: float) -> dict[str, Any]:
    """Return the share of pairs that each accepts, by what they test and whether they mean the same."""
    pairs = minimal_pairs(scene.data / CHECKLIST)
    pairs = random.Random(0).sample(pairs, 200 if scene.quick else _PAIRS)  # noqa: S311  no secret
    rows = embedded(list({text for pair in pairs for text in (pair.cached, pair.asked)}), embedder)
    thresholds = {**DEFAULTS, "best": best}
    deciders: dict[str, Decider] = {"ours": by_guard(limits)}
    deciders |= {name: by_cosine(threshold) for name, threshold in thresholds.items()}
    return {name: _accepted(pairs, rows, decider) for name, decider in deciders.items()}


def _accepted(pairs: Sequence[MinimalPair], rows: Mapping[str, Vectors], decider: Decider) -> dict[str, list[int]]:
    counts: dict[str, list[int]] = {}
    for pair in pairs:
        near = [Candidate(pair.cached, float(rows[pair.cached] @ rows[pair.asked]))]
        count = counts.setdefault(f"{'same' if pair.same else 'different'}: {pair.capability}", [0, 0])
        count[0] += 1
        count[1] += decider(pair.asked, near) is not None
    return counts
