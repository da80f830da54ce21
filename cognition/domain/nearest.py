"""The nearest earlier vectors of each vector in a sequence, by brute force."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cognition.domain.semantic import Vectors

_BLOCK = 1024  # a product of two blocks is 4 MB, which stays in the processor's cache
_NOTHING = -2.0  # below every cosine


@dataclass(frozen=True, slots=True)
class Nearest:
    """For each vector of a sequence those before it that are nearest.

    Attributes:
        similarities: Cosines, highest first; one row a vector. What is filled up lies below every cosine.
        positions: Where in the sequence those vectors stand.
        counts: How many of each row are real.
    """

    similarities: NDArray[np.float32]
    positions: NDArray[np.int32]
    counts: NDArray[np.int32]


def nearest_earlier(vectors: Vectors, lowest: float, most: int) -> Nearest:
    """Return the nearest earlier vectors of each vector.

    Time grows with the square of the number of vectors (20,000 of 384 dimensions take some seconds). Beyond input and
    result, memory is that of one block of products, whatever their number.

    Args:
        vectors: In order of time, each of unit length.
        lowest: Cosines below this are left out.
        most: How many of each are kept at most.
    """
    total = len(vectors)
    similarities = np.full((total, most), _NOTHING, np.float32)
    positions = np.zeros((total, most), np.int32)
    for start in range(0, total, _BLOCK):
        rows = slice(start, min(start + _BLOCK, total))
        for first in range(0, rows.stop, _BLOCK):
            columns = slice(first, min(first + _BLOCK, rows.stop))
            products = vectors[rows] @ vectors[columns].T
            if first == start:
                products[np.triu_indices(len(products))] = _NOTHING  # a vector is not earlier than itself
            products[products < lowest] = _NOTHING
            _merge(similarities[rows], positions[rows], products, first)
    order = np.argsort(-similarities, axis=1, kind="stable")
    similarities = np.take_along_axis(similarities, order, axis=1)
    counts = np.asarray(np.sum(similarities > _NOTHING, axis=1), np.int32)
    return Nearest(similarities, np.take_along_axis(positions, order, axis=1), counts)


def _merge(best: NDArray[np.float32], positions: NDArray[np.int32], products: NDArray[np.float32], first: int) -> None:
    """Put what is nearer than the farthest of the best in its place; `first` is the position of the first column."""
    most = best.shape[1]
    rows = np.flatnonzero(products.max(axis=1) > best.min(axis=1))  # few: most vectors have no neighbour in a block
    together = np.concatenate((best[rows], products[rows]), axis=1)
    columns = np.arange(first, first + products.shape[1], dtype=np.int32)
    places = np.concatenate((positions[rows], np.broadcast_to(columns, (rows.size, columns.size))), axis=1)
    chosen = np.argpartition(-together, most - 1, axis=1)[:, :most]
    best[rows] = np.take_along_axis(together, chosen, axis=1)
    positions[rows] = np.take_along_axis(places, chosen, axis=1)
