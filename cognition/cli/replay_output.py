"""Prints what a replay found out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from math import isfinite
from typing import Any

import typer

from cognition.cli.output import print_table
from cognition.cli.replay_log import Log
from cognition.cli.replay_plot import TITLES
from cognition.domain.replay import Curve, Met, Outcome, Report
from cognition.domain.semantic_policy import SemanticPolicy

_CHARACTERS = 90
_REASONS = 3
_BASES = {
    "trusted": "no limit is asked for",
    "default": "too few labels to prove another one",
    "proven": "proven by {labels} labels, {wrong} of them wrong",
    "raised": "the labels contradict lower ones",
    "closed": "the labels contradict every threshold",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What the command was told, and how long it took.

    Attributes:
        log: The file's contents.
        embedder: Name of the embedder.
        verifier: Name of the verifier, or None.
        policy: Whose limits were applied.
        seconds: How long each step took.
    """

    log: Log
    embedder: str
    verifier: str | None
    policy: SemanticPolicy
    seconds: Mapping[str, float]


def as_json(report: Report, told: Told) -> dict[str, Any]:
    """Return everything for machines."""
    return {
        "embedder": told.embedder,
        "verifier": told.verifier,
        "max_error": told.policy.max_error,
        "calls": report.calls,
        "scopes": report.scopes,
        "repeats": report.repeats,
        "repeats_saved_usd": report.repeats_saved_usd if report.priced else None,
        "too_long": report.too_long,
        "ignored_columns": sorted(told.log.ignored),
        "cut": told.log.cut,
        "curves": [_curve(curve, priced=report.priced) for curve in report.curves],
        "examples": asdict(report.examples),
        "seconds": {what: round(seconds, 3) for what, seconds in told.seconds.items()},
    }


def _curve(curve: Curve, *, priced: bool) -> dict[str, Any]:
    bar = asdict(curve.bar) if curve.bar else None
    if bar and not isfinite(bar["threshold"]):
        bar["threshold"] = None  # JSON knows no infinity
    outcomes = [
        asdict(one) | {"precision": one.precision, "saved_usd": one.saved_usd if priced else None}
        for one in curve.outcomes
    ]
    return {"method": curve.method, "outcomes": outcomes, "bar": bar}


def print_report(report: Report, told: Told) -> None:
    """Print everything for people."""
    for line in _introduction(report, told):
        typer.echo(line)
    for curve in report.curves:
        columns, rows = _table(curve, report)
        print_table(TITLES[curve.method], columns, rows)
    for line in [*_bars(report, told.policy), *_examples(report)]:
        typer.echo(line)
    steps = ", ".join(f"{what.lower()} {seconds:.1f} s" for what, seconds in told.seconds.items())
    typer.echo(f"It took {sum(told.seconds.values()):.1f} s: {steps}.")


def _introduction(report: Report, told: Told) -> list[str]:
    saved = f", which saves ${report.repeats_saved_usd:.4f}" if report.priced else ""
    if told.log.calls:
        repeats = f"{report.repeats:,} of them exact repeats ({report.repeats / report.calls:.1%}{saved})"
        lines = [
            f"{report.calls:,.0f} calls in {_count(report.scopes, 'scope')}, {repeats}.",
            "The rates below are shares of all calls, and count answers of similar questions only.",
        ]
    else:
        lines = [f"{_count(len(told.log.pairs), 'pair')}, which stand for {report.calls:,.0f} calls."]
    if report.too_long:
        lines.append(f"{report.too_long:,} do not fit the window of {told.embedder}; L3 leaves those alone.")
    if told.log.cut:
        lines.append("The file goes on; --limit says how much of it is read.")
    if told.log.ignored:
        lines.append(f"Nothing reads these columns: {', '.join(sorted(told.log.ignored))}.")
    if not report.labelled:
        lines.append("No hit has a label, so nothing is known of precision.")
    return lines


def _table(curve: Curve, report: Report) -> tuple[list[str], list[list[object]]]:
    columns = ["threshold", "hits", "hit rate"]
    if report.labelled:
        columns += ["precision", "95 % interval", "wrong"]
    if report.priced:
        columns.append("saved")
    return [*columns, "refused by"], [_row(one, report) for one in curve.outcomes]


def _row(one: Outcome, report: Report) -> list[object]:
    row: list[object] = [f"{one.threshold:g}", f"{one.hits:,.0f}", f"{one.hit_rate:.1%}"]
    if report.labelled and one.precision is not None and one.interval is not None:
        row += [f"{one.precision:.1%}", f"{one.interval[0]:.1%} to {one.interval[1]:.1%}", f"{one.wrong:,.0f}"]
    elif report.labelled:
        row += ["", "", ""]
    if report.priced:
        row.append(f"${one.saved_usd:.4f}")
    reasons = [f"{rule} {number:,.0f}" for rule, number in one.refusals.items()]
    return [*row, ", ".join(reasons[:_REASONS]) + (", …" if len(reasons) > _REASONS else "")]


def _bars(report: Report, policy: SemanticPolicy) -> list[str]:
    bars = [(TITLES[curve.method], curve.bar) for curve in report.curves if curve.bar is not None]
    if policy.max_error is None or not bars:
        return []
    lines = [f"For at most {policy.max_error:.1%} wrong hits, with {policy.confidence:.0%} confidence:"]
    for title, bar in bars:
        threshold = f"{bar.threshold:g}" if isfinite(bar.threshold) else "none"
        lines.append(f"  {title}: {threshold} ({_BASES[bar.basis].format(labels=bar.labels, wrong=bar.wrong)})")
    return lines


def _examples(report: Report) -> list[str]:
    found = report.examples
    where = f"{TITLES[found.method]}, threshold {found.threshold:g}"
    lines = [f"Wrong hits ({where}):"] if found.wrong else []
    for met in found.wrong:
        lines += [f"  score {met.score:.3f}, similarity {met.similarity:.3f}", *_texts(met)]
    lines += [f"Refusals ({where}):"] if found.refused else []
    for met in found.refused:
        judged = {None: "", True: "; the answer would have been right", False: "; the answer would have been wrong"}
        lines += [f"  {met.refusal}: {met.reason} (similarity {met.similarity:.3f}{judged[met.right]})", *_texts(met)]
    return lines


def _texts(met: Met) -> Sequence[str]:
    """Return both texts, shortened to where they begin to differ."""
    asked, cached = (" ".join(text.split()) for text in (met.asked, met.cached))
    common = next((place for place, pair in enumerate(zip(asked, cached, strict=False)) if pair[0] != pair[1]), 0)
    start = max(0, common - _CHARACTERS // 3) if max(len(asked), len(cached)) > _CHARACTERS else 0
    return [f"    asked:  {_short(asked, start)}", f"    cached: {_short(cached, start)}"]


def _short(text: str, start: int) -> str:
    end = start + _CHARACTERS
    return ("…" if start else "") + text[start:end] + ("…" if len(text) > end else "")


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}" + ("" if number == 1 else "s")
