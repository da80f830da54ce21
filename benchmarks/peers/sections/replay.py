"""The section about a day of traffic, and what decides whether the headline is true."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from benchmarks.peers.tables import table

_LAYERS = ("l1", "l2", "l3", "provider")
_HEADLINE = {"hit rate": 0.80, "P95": 0.85, "cost": 0.70}
_EXPLAINED = """\
{calls} calls arrive as they did at a production service (Azure's LLM inference trace, {calls} arrivals drawn from its
hour and played in {seconds_played:.0f} s) and ask a provider that takes 1.8 s, as tasks of one Prefect flow run.
{same:.0%} of them repeat an earlier question word by word, {near:.0%} ask one in other words (Quora's duplicates), the
rest is new (banking77)."""
_DECIDES = """\
What decides: **how much of the traffic repeats word by word**. The hit rate follows it, and cost follows the hit rate;
of questions in other words, L3 answers the few of whose answer it can be sure. The 95th percentile is another matter:
while more than 5 % of calls are misses, the call at the 95th percentile is a miss and takes what the provider takes, so
that only waiting for one's turn can be saved. A P95 of 85 % less needs a hit rate above 95 %, whatever the cache; the
median falls as soon as half of the calls are hits."""


def section(found: Mapping[str, Any]) -> str:
    """Return it in Markdown."""
    ours, none = found["with"], found["without"]
    rows = [_row("with the cache", ours, found["calls"]), _row("without", none, found["calls"])]
    head = ["", *_LAYERS, "hit rate", "P50 s", "P95 s", "cost $", "provider calls"]
    return "\n\n".join(
        [
            _EXPLAINED.format(**found, **found["mix"]),
            table(head, rows),
            _against(found),
            _DECIDES,
            "The same questions in other mixes, asked of the engine alone:",
            _mixes(found),
        ]
    )


def _row(name: str, one: Mapping[str, Any], calls: int) -> list[str]:
    layers = [str(one["layers"].get(layer, 0)) for layer in _LAYERS]
    hits = calls - one["layers"].get("provider", 0)
    money = f"{Decimal(one['cost_usd']):.4f}"
    return [
        name,
        *layers,
        f"{hits / calls:.1%}",
        f"{one['p50']:.3f}",
        f"{one['p95']:.3f}",
        money,
        str(one["provider_calls"]),
    ]


def _against(found: Mapping[str, Any]) -> str:
    """Set the headline beside what was measured."""
    ours, none, calls = found["with"], found["without"], found["calls"]
    measured = {
        "hit rate": 1 - ours["layers"].get("provider", 0) / calls,
        "P95": 1 - ours["p95"] / none["p95"],
        "cost": float(1 - Decimal(ours["cost_usd"]) / Decimal(none["cost_usd"])),
    }
    rows = [
        [
            name if name == "hit rate" else f"{name} saved",
            f"{goal:.0%}",
            f"{measured[name]:.1%}",
            _met(measured[name], goal),
        ]
        for name, goal in _HEADLINE.items()
    ]
    return table(["headline", "promised", "measured here", ""], rows)


def _met(measured: float, goal: float) -> str:
    return "met" if measured >= goal else "**not met**"


def _mixes(found: Mapping[str, Any]) -> str:
    rows: list[list[str]] = []
    for mix in found["mixes"]:
        total = sum(mix["layers"].values())
        layers = [f"{mix['layers'].get(layer, 0) / total:.1%}" for layer in _LAYERS]
        hit_rate = 1 - mix["layers"].get("provider", 0) / total
        p95 = "a hit" if hit_rate > 0.95 else "a miss"  # noqa: PLR2004  the percentile
        rows.append(
            [f"{mix['same']:.0%}", f"{mix['near']:.0%}", *layers, f"{hit_rate:.1%}", f"{mix['cost_saved']:.1%}", p95]
        )
    head = ["repeated", "in other words", *_LAYERS, "hit rate", "cost saved", "at the 95th percentile"]
    return table(head, rows)
