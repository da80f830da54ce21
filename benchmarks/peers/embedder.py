# pyright: basic, reportMissingImports=false
# Runs in a peer's own environment, which our type checker does not see.
"""all-MiniLM-L6-v2 from the same two files, with the same settings as `cognition`'s own embedder.

So that a comparison of semantic caches compares caches and not models. Vectors can also come from a file, where the
quality of answers is measured and not the time.
"""

from __future__ import annotations

import json
import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers.port import Place

DIMENSIONS = 384
_MOST_THREADS = 4


class Embedder:
    """Turns a text into a unit vector."""

    def __init__(self, place: Place) -> None:
        """Load the model, or the vectors."""
        if place.vectors:
            stored = np.load(place.vectors)
            texts = json.loads(Path(place.vectors).with_suffix(".json").read_text(encoding="utf-8"))
            self._known = dict(zip(texts, stored, strict=True))
        else:
            self._known = {}
        import onnxruntime  # noqa: PLC0415  a quarter of a second, and not always needed
        from tokenizers import Tokenizer  # noqa: PLC0415  see above

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = min(len(os.sched_getaffinity(0)), _MOST_THREADS)
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = onnxruntime.InferenceSession(
            Path(place.weights).read_bytes(), options, providers=["CPUExecutionProvider"]
        )
        with zipfile.ZipFile(place.tokenizer) as archive:
            self._words = Tokenizer.from_buffer(archive.read("tokenizer.json"))
        self._words.no_padding()
        self._words.no_truncation()
        self._inputs = {given.name for given in self._session.get_inputs()}

    def __call__(self, text: str) -> np.ndarray:
        """Return its vector."""
        if (known := self._known.get(text)) is not None:
            return known
        tokens = np.array([self._words.encode(text).ids], np.int64)
        given = {"input_ids": tokens, "attention_mask": np.ones_like(tokens), "token_type_ids": np.zeros_like(tokens)}
        tokens_out: Any = self._session.run(None, {name: given[name] for name in self._inputs})[0]
        mean = tokens_out.mean(axis=1)[0]
        return (mean / np.linalg.norm(mean)).astype(np.float32)
