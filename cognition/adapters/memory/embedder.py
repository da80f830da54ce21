"""Vectors and verdicts from words alone: no model, the same on every machine."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

import numpy as np

from cognition.domain.semantic import EmbedderIdentity, Vector, Vectors
from cognition.errors import CognitionError

_WORD = re.compile(r"\w+")


class MemoryEmbedder:
    """An `Embedder` for tests: texts that share words are near, whatever they mean.

    Attributes:
        embedded: Every text it was asked to embed, in order.
        error: What it raises instead of embedding; None to embed.
        is_local: Whether it counts as one whose vectors are made faster than they are found.
    """

    is_local = False

    def __init__(self, dimensions: int = 256, window: int = 256) -> None:
        """Set the sizes.

        Args:
            dimensions: Length of a vector; two words of few dimensions may meet in one.
            window: How many words a text may have.
        """
        self.embedded: list[str] = []
        self.error: CognitionError | None = None
        self._identity = EmbedderIdentity(name="memory:words", revision="1", dimensions=dimensions)
        self._window = window

    @property
    def identity(self) -> EmbedderIdentity:
        """`memory:words` and its dimensions."""
        return self._identity

    def fits(self, text: str) -> bool:
        """Whether a text has words, and no more of them than the window."""
        return 0 < len(_WORD.findall(text)) <= self._window

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Return one vector a text, made of its hashed words.

        Raises:
            CognitionError: `error` is set.
        """
        if self.error is not None:
            raise self.error
        self.embedded += texts
        size = self._identity.dimensions
        return np.array([hashed_words(text, size) for text in texts], np.float32).reshape(-1, size)

    def close(self) -> None:
        """Do nothing; it holds no model."""


class MemoryVerifier:
    """A `Verifier` for tests: the more words two questions share, the better the answer will do.

    Attributes:
        verified: Every pair it was asked about, in order.
        error: What it raises instead of answering; None to answer.
    """

    def __init__(self) -> None:
        """Know nothing yet."""
        self.verified: list[tuple[str, str]] = []
        self.error: CognitionError | None = None

    @property
    def name(self) -> str:
        """`memory:words`."""
        return "memory:words"

    def verify(self, pairs: Sequence[tuple[str, str]]) -> list[float]:
        """Return the share of words that two texts have in common.

        Raises:
            CognitionError: `error` is set.
        """
        if self.error is not None:
            raise self.error
        self.verified += pairs
        return [_overlap(*pair) for pair in pairs]

    def close(self) -> None:
        """Do nothing; it holds no model."""


def hashed_words(text: str, size: int) -> Vector:
    """Return a unit vector made of the hashed words of a text (feature hashing with signs, Weinberger et al. 2009).

    Args:
        text: Any text; one without words gets the vector of the empty word.
        size: Length of the vector.
    """
    vector = np.zeros(size, np.float32)
    for word in _words(text) or [""]:
        digest = hashlib.sha256(word.encode()).digest()
        vector[int.from_bytes(digest[:4]) % size] += 1.0 if digest[4] % 2 else -1.0
    # Words that meet with opposite signs may leave nothing.
    return vector / np.float32(np.linalg.norm(vector)) if vector.any() else hashed_words("", size)


def _overlap(cached: str, asked: str) -> float:
    one, other = set(_words(cached)), set(_words(asked))
    return len(one & other) / len(one | other) if one | other else 1.0


def _words(text: str) -> list[str]:
    return _WORD.findall(text.lower())
