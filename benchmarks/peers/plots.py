"""The page's plots, as SVG."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from benchmarks.peers.roster import BY_NAME
from benchmarks.peers.spread import spread_of

_OURS, _THEIRS = "#1860f2", "#9aa4b2"
# The same results must give the same file: ids from a fixed salt, letters as text, no date.
_STEADY = {"svg.hashsalt": "benchmarks", "svg.fonttype": "none"}
_STREAM_NAMES = {"ours": "prefect-cognition", "best": "any cosine, as often as we"}


def draw(found: Mapping[str, Mapping[str, Any]], folder: Path) -> dict[str, str]:
    """Write the plots that there are results for, and return the name of each one's file by measure."""
    folder.mkdir(parents=True, exist_ok=True)
    drawn: dict[str, str] = {}
    settled: Any = mpl.rc_context  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    with settled(_STEADY):
        if "latency" in found:
            drawn["latency"] = _saved(_hits(found["latency"]), folder / "exact-hits.svg")
        if "quality" in found:
            drawn["quality"] = _saved(_precision(found["quality"]), folder / "precision.svg")
    return drawn


def _hits(found: Mapping[str, Any]) -> Figure:
    """Draw the time of a hit, on a logarithmic axis, from the quickest to the slowest."""
    samples: Mapping[str, Mapping[str, list[float]]] = found["samples"]
    spreads = {name: spread_of(values) for name, values in samples.get("sync", {}).items() if name != "no-cache"}
    names = sorted(spreads, key=lambda name: -spreads[name].middle)
    figure, axes = _empty(height=0.4 * len(names) + 1)
    middles = [spreads[name].middle for name in names]
    errors = [
        [spreads[name].middle - spreads[name].low for name in names],
        [spreads[name].high - spreads[name].middle for name in names],
    ]
    colours = [_OURS if name.startswith("ours") else _THEIRS for name in names]
    labels = [BY_NAME[name].title.replace("`", "") for name in names]
    axes.barh(labels, middles, xerr=errors, color=colours, ecolor="#444444")
    axes.set_xscale("log")
    axes.set_xlabel("µs a hit, one caller (median, smallest to largest)")
    return figure


def _precision(found: Mapping[str, Any]) -> Figure:
    """Draw how often each answers and how often rightly, on the judged pairs."""
    figure, axes = _empty(height=4.0)
    for name, point in found["judged"].items():
        colour = _OURS if name == "ours" else _THEIRS
        errors = [[point["precision"] - point["low"]], [point["high"] - point["precision"]]]
        axes.errorbar([point["hit_rate"]], [point["precision"]], yerr=errors, fmt="o", color=colour, capsize=3)
        title = _STREAM_NAMES.get(name) or BY_NAME[name].title.replace("`", "")
        axes.annotate(title, (point["hit_rate"], point["precision"]), xytext=(6, 6), textcoords="offset points")
    axes.set_xlabel("hit rate")
    axes.set_ylabel("precision of hits (95 %)")
    axes.set_xlim(0, 0.4)
    return figure


def _empty(height: float) -> tuple[Figure, Any]:
    figure = Figure(figsize=(8, height), layout="constrained")
    axes: Any = figure.subplots()  # pyright: ignore[reportUnknownMemberType]
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    return figure, axes


def _saved(figure: Figure, path: Path) -> str:
    options: dict[str, Any] = {"format": "svg", "metadata": {"Date": None}}
    figure.savefig(path, **options)  # pyright: ignore[reportUnknownMemberType]
    return path.name
