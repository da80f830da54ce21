"""Draws what a replay found out as a PNG."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from cognition.domain.replay import Curve, Method, Report
from cognition.errors import ConfigurationError

TITLES: dict[Method, str] = {
    "cosine": "plain cosine",
    "guarded": "cosine + guard",
    "shipped": "guard and score (shipped)",
    "verified": "guard, score and verifier",
}

# Colours of Okabe and Ito (2008), which people with every kind of colour vision tell apart; markers differ as well.
_STYLES: dict[Method, dict[str, Any]] = {
    "cosine": {"color": "#000000", "marker": "o", "linestyle": ":"},
    "guarded": {"color": "#D55E00", "marker": "s", "linestyle": "--"},
    "shipped": {"color": "#0072B2", "marker": "D", "linestyle": "-"},
    "verified": {"color": "#009E73", "marker": "^", "linestyle": "-"},
}

# Where a threshold is written beside its point, in points of print: lines lie close together.
_LABEL_OFFSETS: dict[Method, tuple[int, int]] = {
    "cosine": (-8, -11),
    "guarded": (14, 7),
    "shipped": (-12, -9),
    "verified": (12, 9),
}


def require_plotting(path: Path) -> None:
    """Say early, before minutes of work, that nothing can be drawn.

    Raises:
        ConfigurationError: The library or the folder is missing.
    """
    if not path.parent.is_dir():
        raise ConfigurationError(f"There is no folder {path.parent} for the plot; create it or name another one.")
    if find_spec("matplotlib") is None:
        raise ConfigurationError("--plot needs matplotlib; run: pip install 'prefect-cognition[plot]'.")


def draw(report: Report, title: str, path: Path) -> None:
    """Draw precision against hit rate; without labels, hit rate against threshold.

    Args:
        report: What was found out.
        title: What it is about.
        path: The file to write, whole or not at all.

    Raises:
        ConfigurationError: The file cannot be written.
    """
    # Heavy: half a second, and few want a picture.
    from matplotlib.figure import Figure  # noqa: PLC0415

    figure: Any = Figure(figsize=(9, 5.5), dpi=150, layout="constrained")
    axes: Any = figure.add_subplot()
    for curve in report.curves:
        if report.labelled:
            _draw_precision(axes, curve, report.examples.threshold)
        else:
            _draw_hit_rate(axes, curve)
    if report.labelled:
        _draw_interval(axes, report.curves[-1])
        axes.set_xlabel("Hit rate: share of all calls that a similar question answers")
        axes.set_ylabel("Precision: share of right answers among these hits")
        axes.xaxis.set_major_formatter(_percent)
        axes.legend(frameon=False, loc="best", fontsize=9, title="Numbers at points are thresholds", title_fontsize=8)
    else:
        axes.set_xlabel("Threshold: the lowest similarity or score that may answer")
        axes.set_ylabel("Hit rate: share of all calls that a similar question answers")
        axes.legend(frameon=False, loc="best", fontsize=9)
    axes.yaxis.set_major_formatter(_percent)
    axes.set_title(title, loc="left", fontsize=11, parse_math=False)  # a file may be called $a$.jsonl
    axes.grid(visible=True, color="#DDDDDD", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    _save(figure, path)


def _draw_precision(axes: Any, curve: Curve, marked: float) -> None:
    """Draw a line through all thresholds, and write them at its ends and at the one that is marked."""
    known = [(one, one.precision) for one in curve.outcomes if one.precision is not None]
    style = _STYLES[curve.method]
    rates, precisions = [one.hit_rate for one, _ in known], [precision for _, precision in known]
    axes.plot(rates, precisions, label=TITLES[curve.method], markersize=5, **style)
    for place, (outcome, precision) in enumerate(known):
        if place in {0, len(known) - 1} or outcome.threshold == marked:
            axes.annotate(
                f"{outcome.threshold:g}",
                (outcome.hit_rate, precision),
                xytext=_LABEL_OFFSETS[curve.method],
                textcoords="offset points",
                ha="center",
                va="center",
                fontsize=8,
                color=style["color"],
            )


def _draw_interval(axes: Any, curve: Curve) -> None:
    known = [(one.hit_rate, *one.interval) for one in curve.outcomes if one.interval is not None]
    label = f"95 % interval of {TITLES[curve.method]}"
    rates, lows, highs = zip(*known, strict=True) if known else ((), (), ())
    axes.fill_between(rates, lows, highs, color=_STYLES[curve.method]["color"], alpha=0.13, linewidth=0, label=label)


def _draw_hit_rate(axes: Any, curve: Curve) -> None:
    thresholds = [one.threshold for one in curve.outcomes]
    rates = [one.hit_rate for one in curve.outcomes]
    axes.plot(thresholds, rates, label=TITLES[curve.method], markersize=5, **_STYLES[curve.method])


def _percent(share: float, _: object) -> str:
    return f"{100 * share:.4g} %"


def _save(figure: Any, path: Path) -> None:
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        try:
            figure.savefig(unfinished, format="png")
            unfinished.replace(path)
        finally:
            unfinished.unlink(missing_ok=True)
    except OSError as error:
        raise ConfigurationError(f"The plot cannot be written to {path} ({error.strerror}).") from error
