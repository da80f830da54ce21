"""The page of the comparison with peers: what it is made of, and that it says who is ahead, whoever that is."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.peers.page import SECTIONS, text_of
from benchmarks.peers.roster import BY_NAME
from benchmarks.peers.spread import Spread, number, spread_of
from benchmarks.peers.tables import table, verdict


def results(**figures: float) -> dict[str, Any]:
    """Return what the latency measure keeps, with one figure a name."""
    return {
        "rounds": 3,
        "calls": 10,
        "batch": 20,
        "samples": {"sync": {name.replace("_", "-"): [figure] * 3 for name, figure in figures.items()}},
        "reasons": {"async": {"diskcache": "no asynchronous call"}},
        "at": "2026-11-26T12:00+00:00",
        "seconds": 1.0,
        "load_before": 0.0,
        "quick": False,
    }


def test_a_spread_is_the_median_and_the_ends() -> None:
    """No mean: one round that was disturbed must not move the figure."""
    spread = spread_of([3.0, 1.0, 100.0])

    assert Spread(middle=3.0, low=1.0, high=100.0, rounds=3) == spread


def test_no_rounds_are_no_figure() -> None:
    """A median of nothing would be an invention."""
    with pytest.raises(ValueError, match="at least one round"):
        spread_of([])


@pytest.mark.parametrize(("value", "written"), [(1234.5, "1,234"), (123.4, "123"), (12.34, "12.3"), (1.234, "1.23")])
def test_figures_have_about_three_digits(value: float, written: str) -> None:
    """More would claim a precision that no measure here has."""
    assert written == number(value)


def test_a_table_has_a_line_for_its_head_and_one_for_each_row() -> None:
    """Figures are aligned to the right."""
    expected = "| name | µs |\n| --- | ---: |\n| a | 1 |"

    assert expected == table(["name", "µs"], [["a", "1"]])


def test_a_peer_that_is_faster_is_named() -> None:
    """A comparison that hides who is ahead is worth nothing."""
    ours, theirs = {"ours-l1": spread_of([200.0])}, {"diskcache": spread_of([50.0]), "gptcache": spread_of([900.0])}

    said = verdict(ours, theirs, small_is_good=True, what="A hit")

    assert said == "A hit: **diskcache is ahead of us**, the best by 4.0 times."


def test_more_calls_a_second_are_better() -> None:
    """A rate is judged the other way round than a time."""
    ours, theirs = {"ours-l1": spread_of([3000.0])}, {"cashews": spread_of([1000.0])}

    said = verdict(ours, theirs, small_is_good=False, what="32 tasks")

    assert said == "32 tasks: **prefect-cognition, L1** is ahead, 3.0 times as good as cashews."


def test_the_page_has_what_was_measured_and_names_what_was_not() -> None:
    """A reader must see what is missing."""
    page = text_of({"latency": results(ours_l1=150.0, langchain_redis=300.0)}, "Some machine.")

    assert "| **prefect-cognition, L1** | Valkey | 150 (150–150) |" in page  # noqa: RUF001  a range
    assert "diskcache: no asynchronous call (async)" in page
    assert [f"benchmarks.peers {name}`." in page for name in SECTIONS] == [name != "latency" for name in SECTIONS]


def test_the_page_says_when_the_machine_was_busy() -> None:
    """Such figures are to be taken again."""
    page = text_of({"latency": results(ours_l1=150.0) | {"load_before": 99.0}}, "Some machine.")

    assert "busy with other work during: latency" in page


def test_every_configuration_says_how_it_is_set_up() -> None:
    """Whoever doubts a figure must be able to see what was measured."""
    assert all(entry.setup and entry.stores for entry in BY_NAME.values())
