"""How scopes of L3 are searched, from what was seen of their sizes."""

from __future__ import annotations

import pytest

from cognition.adapters.postgres.scope_sizes import ScopeSizes, Search
from cognition.testing.contracts.samples import an_address
from tests.unit.passing_time import PassingTime

ONE, OTHER = an_address("one"), an_address("other", namespace="billing")


@pytest.mark.parametrize(
    ("rows", "search"), [(0, "exact"), (50, "exact"), (51, None), (100, None), (101, "index")], ids=str
)
def test_a_size_decides(rows: int, search: Search | None) -> None:
    """A small scope is compared row by row, a large one by the index; near the limit it is counted each time."""
    sizes = ScopeSizes(exact_rows=100)
    sizes.note("e", ONE, rows)
    assert search == sizes.search("e", [ONE])


def test_what_was_not_seen_is_counted() -> None:
    """Of another scope or embedder nothing is known."""
    sizes = ScopeSizes(exact_rows=100)
    sizes.note("e", ONE, 1)
    assert (None, None) == (sizes.search("e", [ONE, OTHER]), sizes.search("f", [ONE]))


def test_scopes_that_differ_are_counted() -> None:
    """One statement searches in one way."""
    sizes = ScopeSizes(exact_rows=100)
    sizes.note("e", ONE, 1)
    sizes.note("e", OTHER, 1000)
    assert None is sizes.search("e", [ONE, OTHER])
    sizes.note("e", OTHER, 2)
    assert "exact" == sizes.search("e", [ONE, OTHER])


@pytest.mark.parametrize(("rows", "seconds", "search"), [(1, 5, "exact"), (101, 60, "index")])
def test_a_size_is_forgotten(rows: int, seconds: float, search: Search) -> None:
    """The scope may have grown, which makes comparing row by row slow; soon it is counted again."""
    time = PassingTime()
    sizes = ScopeSizes(exact_rows=100, clock=lambda: time.passed)
    sizes.note("e", ONE, rows)
    time.let_pass(seconds - 1)
    assert search == sizes.search("e", [ONE])
    time.let_pass(1)
    assert None is sizes.search("e", [ONE])


def test_it_does_not_grow_without_end() -> None:
    """A hostile tenant may make a scope with every call."""
    sizes = ScopeSizes(exact_rows=100)
    for number in range(10_001):
        sizes.note("e", an_address("one", tenant=str(number)), 1)
    assert None is sizes.search("e", [an_address("one", tenant="0")])
    assert "exact" == sizes.search("e", [an_address("one", tenant="10000")])
