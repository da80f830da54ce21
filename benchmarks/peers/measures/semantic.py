"""How long a look-up takes that finds a neighbour among ten thousand, all with the same embedder."""

from __future__ import annotations

import json
import random
import time
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers.rounds import Rounds
from benchmarks.peers.scene import Scene
from benchmarks.semantic.data import QUORA, labelled_pairs
from cognition.adapters.embedders import LocalEmbedder

WITH_SEARCH = True
NAMES = ("ours-l3", "gptcache", "redisvl", "langchain-semantic")
ENTRIES = 10_000
EMBEDDING = "embedding alone"
_ACTIONS = ("change", "delete", "find", "download", "share", "export", "rename", "print")
_THINGS = ("profile picture", "billing address", "invoice", "access token", "report", "calendar", "backup", "signature")
_COURTESIES = ("Please, {}", "Hi, {}", "Hello, {}", "{} Thanks.", "{} Thank you.", "Hey, {}", "{} Please.", "Hi! {}")
_BATCH = 256


def measure(scene: Scene) -> dict[str, Any]:
    """Return rounds by name; texts are asked once each, because vectors and answers are remembered."""
    entries, each, rounds = (100, 4, 1) if scene.quick else (ENTRIES, 32, 7)
    questions = [f"How do I {action} my {thing}?" for action, thing in product(_ACTIONS, _THINGS)]
    others = list(dict.fromkeys(text for pair in labelled_pairs(scene.data / QUORA) for text in (pair.a, pair.b)))
    embedder = LocalEmbedder("all-minilm-l6-v2")
    texts = [*questions, *(text for text in others[: 2 * entries] if embedder.fits(text))][:entries]
    vectors = vectors_of(texts, embedder, scene.folder)
    asked = [courtesy.format(question) for courtesy in _COURTESIES for question in questions]
    random.Random(0).shuffle(asked)  # noqa: S311  no secret
    kept, missed, filling = Rounds(), dict[str, int](), dict[str, float]()
    with scene.workers(NAMES, vectors=vectors) as (workers, failed):
        kept.reasons["start"] = failed
        for name, worker in workers.items():
            if done := kept.attempt(worker, "fill", "fill", prompts=texts):
                filling[name] = entries / done["seconds"]
        for turn in range(rounds + 1):
            part = asked[turn * each : (turn + 1) * each]
            started = time.perf_counter()
            for text in part:
                embedder.embed([text])
            kept.samples[EMBEDDING]["ours-l3"].append((time.perf_counter() - started) / len(part) * 1e6)
            for name, worker in random.Random(turn).sample(list(workers.items()), len(workers)):  # noqa: S311  see above
                result = kept.attempt(worker, "near hit", "near_hits", prompts=part)
                if result:
                    missed[name] = missed.get(name, 0) + result["missed"]
                    if result["microseconds"] and turn:
                        kept.samples["near hit"][name].append(result["microseconds"])
        memory = {name: worker.do("memory")["megabytes"] for name, worker in workers.items()}
    counts = {"entries": entries, "asked": each * (rounds + 1), "rounds": rounds}
    return counts | {"missed": missed, "filled_per_second": filling, "memory": memory} | kept.found()


def vectors_of(texts: list[str], embedder: LocalEmbedder, folder: Path) -> Path:
    """Write the vectors of texts where the peers' embedder finds them, and return the path."""
    rows = np.concatenate([embedder.embed(texts[start : start + _BATCH]) for start in range(0, len(texts), _BATCH)])
    path = folder / "vectors.npy"
    np.save(path, rows)
    path.with_suffix(".json").write_text(json.dumps(texts), encoding="utf-8")
    return path
