"""The nearest earlier vectors, against a comparison of every vector with every other."""

from __future__ import annotations

import numpy as np
import pytest

from cognition.domain.nearest import nearest_earlier
from cognition.domain.semantic import Vectors


def random_vectors(count: int, spread: float) -> Vectors:
    """Return unit vectors around one direction; the smaller the spread, the nearer they are."""
    draw = np.random.default_rng(7)
    vectors = draw.normal(size=(1, 16)) + spread * draw.normal(size=(count, 16))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize("spread", [0.05, 0.5, 5.0])
def test_it_finds_what_comparing_all_finds(spread: float) -> None:
    """Over several blocks, whether a vector has no, some or more neighbours than are kept."""
    vectors = random_vectors(2100, spread)
    found = nearest_earlier(vectors, 0.8, 5)

    for row in (0, 1, 3, 700, 1023, 1024, 1025, 2099):
        products = vectors[:row] @ vectors[row]
        expected = sorted((value for value in products.tolist() if value >= 0.8), reverse=True)[:5]
        assert len(expected) == found.counts[row]
        assert expected == pytest.approx(found.similarities[row, : len(expected)].tolist(), abs=1e-6)
        assert expected == pytest.approx(products[found.positions[row, : len(expected)]].tolist(), abs=1e-6)


def test_nothing_comes_before_the_first() -> None:
    """One vector has no neighbours, and no vectors have none."""
    assert [0] == nearest_earlier(random_vectors(1, 1.0), 0.0, 3).counts.tolist()
    assert [] == nearest_earlier(random_vectors(0, 1.0), 0.0, 3).counts.tolist()
