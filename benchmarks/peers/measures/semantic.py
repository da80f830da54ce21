"""How long a look-up takes that finds a neighbour, as the cache grows; all with the same embedder."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers.rounds import Rounds
from benchmarks.peers.scene import Scene, Worker
from benchmarks.semantic.data import QUORA, labelled_pairs
from cognition.adapters.embedders import LocalEmbedder

WITH_SEARCH = True
NAMES = ("ours-l3", "gptcache", "redisvl", "langchain-semantic")
SIZES = (1_000, 10_000)
EMBEDDING = "embedding alone"
_ACTIONS = ("change", "delete", "find", "download", "share", "export", "rename", "print")
_THINGS = ("profile picture", "billing address", "invoice", "access token", "report", "calendar", "backup", "signature")
_COURTESIES = (
    "Please, {}",
    "Hi, {}",
    "Hello, {}",
    "{} Thanks.",
    "{} Thank you.",
    "Hey, {}",
    "{} Please.",
    "Hi! {}",
    "Hey! {}",
)
_BATCH = 256


def measure(scene: Scene) -> dict[str, Any]:
    """Return rounds by size and name; texts are asked once each, because vectors and answers are remembered."""
    sizes, each, rounds = ((80, 100), 4, 1) if scene.quick else (SIZES, 32, 7)
    questions = [f"How do I {action} my {thing}?" for action, thing in product(_ACTIONS, _THINGS)]
    embedder = LocalEmbedder("all-minilm-l6-v2")
    texts = _texts(scene, embedder, questions, sizes[-1])
    asked = [courtesy.format(question) for courtesy in _COURTESIES for question in questions]
    random.Random(0).shuffle(asked)  # noqa: S311  no secret
    parts = iter([asked[start : start + each] for start in range(0, len(asked), each)])
    steps: list[dict[str, Any]] = []
    there = 0
    with scene.workers(NAMES, vectors=vectors_of(texts, embedder, scene.folder)) as (workers, failed):
        for size in sizes:
            kept = Rounds()
            kept.reasons["start"] = failed
            filled = _filled(kept, workers, texts[there:size])
            there = size
            missed = _played(kept, workers, embedder, [next(parts) for _ in range(rounds + 1)])
            memory = {name: worker.do("memory")["megabytes"] for name, worker in workers.items()}
            counts = {"entries": size, "asked": each * (rounds + 1), "missed": missed}
            steps.append(counts | {"filled_per_second": filled, "memory": memory} | kept.found())
    return {"rounds": rounds, "steps": steps}


def _texts(scene: Scene, embedder: LocalEmbedder, questions: Sequence[str], count: int) -> list[str]:
    """Return so many texts, the questions that will be asked for among them."""
    others = dict.fromkeys(text for pair in labelled_pairs(scene.data / QUORA) for text in (pair.a, pair.b))
    fitting = (text for text in others if embedder.fits(text))
    return [*questions, *(next(fitting) for _ in range(count - len(questions)))]


def _filled(kept: Rounds, workers: Mapping[str, Worker], texts: Sequence[str]) -> dict[str, float]:
    """Return how many entries a second each stores."""
    rates: dict[str, float] = {}
    for name, worker in workers.items():
        if done := kept.attempt(worker, "fill", "fill", prompts=texts):
            rates[name] = len(texts) / done["seconds"]
    return rates


def _played(
    kept: Rounds, workers: Mapping[str, Worker], embedder: LocalEmbedder, parts: Sequence[Sequence[str]]
) -> dict[str, int]:
    """Play the rounds, the first one to warm up, and return how often each found nothing."""
    missed: dict[str, int] = {}
    for turn, part in enumerate(parts):
        started = time.perf_counter()
        for text in part:
            embedder.embed([text])
        kept.samples[EMBEDDING]["ours-l3"].append((time.perf_counter() - started) / len(part) * 1e6)
        for name, worker in random.Random(turn).sample(list(workers.items()), len(workers)):  # noqa: S311  no secret
            if result := kept.attempt(worker, "near hit", "near_hits", prompts=part):
                missed[name] = missed.get(name, 0) + result["missed"]
                if result["microseconds"] and turn:
                    kept.samples["near hit"][name].append(result["microseconds"])
    return missed


def vectors_of(texts: list[str], embedder: LocalEmbedder, folder: Path) -> Path:
    """Write the vectors of texts where the peers' embedder finds them, and return the path."""
    rows = np.concatenate([embedder.embed(texts[start : start + _BATCH]) for start in range(0, len(texts), _BATCH)])
    path = folder / "vectors.npy"
    np.save(path, rows)
    path.with_suffix(".json").write_text(json.dumps(texts), encoding="utf-8")
    return path
