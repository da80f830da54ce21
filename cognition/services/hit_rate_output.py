"""The report on hit rates as Markdown for people and as plain values for machines; it names keys, never prompts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import fields
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from cognition.domain.hit_rate import Counts, HitRates, LookUps, Precision, Served
from cognition.domain.pricing import dollars
from cognition.services.markdown import cell, table

_KEY_LENGTH: Final = 16
_HALF_A_POINT: Final = 0.0005  # what is shown as 0.0 points has not changed


def markdown(report: HitRates) -> str:
    """Return the report as Markdown."""
    parts = [
        _sentence(report),
        _section("By layer", _look_ups("layer", report.by("layer"))),
        _section("By workflow", _workflows(report.workflows)),
        _section("By namespace", _look_ups("namespace", report.by("namespace"))),
        _section("By model", _look_ups("model", report.by("model"))),
        _section("How right are similar answers?", _precision(report.precision)),
        _section("Asked again and again", _misses(report)),
        _section("Refused most by the semantic layer", _refusals(report)),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def as_json(report: HitRates) -> dict[str, Any]:
    """Return the report as plain values: money as text, rates as numbers."""
    return {
        "since": report.windows.since.isoformat(),
        "until": report.windows.until.isoformat(),
        "compared_since": report.windows.before.isoformat(),
        "calls": report.total.calls,
        "hits": report.total.hits,
        "hit_rate": report.total.hit_rate,
        "hit_rate_before": report.total_before.hit_rate if report.total_before.calls else None,
        "cost_usd": f"{report.total.cost_usd:f}",
        "saved_usd": f"{report.total.saved_usd:f}",
        "embedding_usd": _text(report.embedding_usd),
        "net_usd": _text(report.net_usd),
        "look_ups": [_look_up(one) for one in report.look_ups],
        "workflows": [_workflow(one) for one in report.workflows],
        "precision": [{**_plain(one), "precision": one.precision} for one in report.precision],
        "misses": [_plain(one) for one in report.misses],
        "refusals": [_plain(one) for one in report.refusals],
    }


def percent(share: float | None) -> str:
    """Return a share for people, a dash for an unknown one."""
    return "-" if share is None else f"{share:.1%}"


def points(trend: float | None) -> str:
    """Return by how many percentage points a rate has grown, with an arrow."""
    if trend is None:
        return "new"
    if abs(trend) < _HALF_A_POINT:
        return "→ 0.0"
    return f"{'↑' if trend > 0 else '↓'} {abs(trend) * 100:.1f}"


def _sentence(report: HitRates) -> str:
    total, before = report.total, report.total_before
    trend = total.hit_rate - before.hit_rate if total.calls and before.calls else None
    known = dollars(report.net_usd) if report.net_usd is not None else "unknown (no price of the embedder)"
    return (
        f"**From the cache: {percent(total.hit_rate if total.calls else None)} of {total.calls:,} calls"
        f" ({points(trend)} points) · saved: {dollars(total.saved_usd)}, net of embedding: {known}"
        f" · paid: {dollars(total.cost_usd)}**\n\n"
        f"{_clock(report.windows.since)} to {_clock(report.windows.until)},"
        f" compared with the time from {_clock(report.windows.before)}."
    )


def _section(title: str, content: str) -> str:
    return f"### {title}\n\n{content}" if content else ""


def _look_ups(name: str, lines: Sequence[LookUps]) -> str:
    if not lines:
        return ""
    names = ["layer"] if name == "layer" else [name, "layer"]
    columns = [*names, "look-ups", "hit rate", "trend", "refused", "stored", "saved"]
    rows = [
        [*([] if name == "layer" else [cell(one.value)]), one.layer.value, *_figures(one.counts, points(one.trend))]
        for one in lines
    ]
    return table(columns, rows, names=len(names))


def _figures(counts: Counts, trend: str) -> list[str]:
    looked = f"{counts.hits + counts.misses:,}"
    rest = (f"{counts.refusals:,}", f"{counts.stores:,}", dollars(counts.saved_usd))
    return [looked, percent(counts.hit_rate), trend, *rest]


def _workflows(lines: Sequence[Served]) -> str:
    rows = [
        [
            cell(one.workflow),
            f"{one.sums.calls:,}",
            percent(one.sums.hit_rate if one.sums.calls else None),
            points(one.trend),
            dollars(one.sums.saved_usd),
            dollars(one.sums.cost_usd),
        ]
        for one in lines
    ]
    return table(("workflow", "calls", "from the cache", "trend", "saved", "paid"), rows) if rows else ""


def _precision(lines: Sequence[Precision]) -> str:
    rows = [
        [
            cell(one.namespace),
            cell(one.embedder.rpartition("@")[0]),
            f"{one.labels:,}",
            f"{one.wrong:,}",
            percent(one.precision),
            percent(one.at_least),
            f"{one.threshold:.2f} ({one.basis})",
        ]
        for one in lines
    ]
    columns = ("namespace", "embedder", "judged", "wrong", "precision", "at least", "threshold")
    return table(columns, rows, names=2) if rows else ""


def _misses(report: HitRates) -> str:
    rows = [
        [f"`{one.key[:_KEY_LENGTH]}…`", cell(one.namespace), cell(one.model), f"{one.calls:,}", dollars(one.cost_usd)]
        for one in report.misses
    ]
    return table(("request key", "namespace", "model", "calls", "cost"), rows, names=3) if rows else ""


def _refusals(report: HitRates) -> str:
    rows = [[cell(one.namespace), cell(one.model), f"{one.refusals:,}", f"{one.look_ups:,}"] for one in report.refusals]
    return table(("namespace", "model", "refused", "look-ups"), rows, names=2) if rows else ""


def _look_up(one: LookUps) -> dict[str, Any]:
    return {
        "by": one.by,
        "value": one.value,
        "layer": one.layer.value,
        **_plain(one.counts),
        "hit_rate": one.counts.hit_rate,
        "hit_rate_before": one.before.hit_rate,
        "trend": one.trend,
    }


def _workflow(one: Served) -> dict[str, Any]:
    return {
        "workflow": one.workflow,
        **_plain(one.sums),
        "hit_rate": one.sums.hit_rate,
        "hit_rate_before": one.before.hit_rate if one.before.calls else None,
        "trend": one.trend,
    }


def _plain(record: Any) -> Mapping[str, Any]:
    return {one.name: _value(getattr(record, one.name)) for one in fields(record)}


def _value(value: Any) -> Any:
    if isinstance(value, Decimal):
        return _text(value)
    # A threshold that nothing reaches; JSON has no infinity.
    return None if value == math.inf else value


def _text(amount: Decimal | None) -> str | None:
    return None if amount is None else f"{amount:f}"


def _clock(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M %Z}"
