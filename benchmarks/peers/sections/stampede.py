"""The section about crowds, callers who must be kept apart, and budgets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.peers.roster import BY_NAME
from benchmarks.peers.spread import number, spread_of
from benchmarks.peers.tables import NOTHING, table, title_of

_CROWD = """\
{processes} processes ask the same new question with {callers} concurrent calls each, in {rounds} rounds; the provider
takes a second and counts. One call is all that is needed."""
_LEAKS = """\
The same prompt is asked by two callers who differ in one thing. *Leaks* means that the second was given the first
one's answer. As each is documented to be set up: LiteLLM can be given a namespace, RedisVL a filter, LangChain a
prefix and a decorated function another argument, for whoever thinks of it in every call."""
_SPENT = """\
A budget of {limit_cents} cents, far more calls than it can pay for, 16 threads in one process and in {processes}.
LiteLLM's `BudgetManager` is used as its page shows: compare, call, add; its proxy's budgets were not measured. The
other peers have none. Per cent of the limit that the provider was paid:"""


def section(found: Mapping[str, Any]) -> str:
    """Return it in Markdown."""
    crowd = [
        [title_of(name), BY_NAME[name].stores, *_calls(counted)] for name, counted in found["crowd"].items() if counted
    ]
    told_apart: Mapping[str, Mapping[str, bool] | None] = found["leaks"]
    kinds = list(next((told for told in told_apart.values() if told), dict[str, bool]()))
    leaks = [
        [title_of(name), *("**leaks**" if told[kind] else "kept apart" for kind in kinds)]
        for name, told in told_apart.items()
        if told
    ]
    spent = [
        [title_of(name.partition(" ")[0]), f"processes: {name.rpartition(' ')[2]}", *_percent(paid)]
        for name, paid in found["spent"].items()
    ]
    whys = [f"- {title_of(name)} was left out: {why}" for name, why in found["reasons"].items()]
    return "\n\n".join(
        [
            _CROWD.format(**found),
            table(["stampede", "answers live in", "provider calls", "callers without an answer"], crowd),
            _LEAKS,
            table(["isolation", *kinds], leaks),
            _SPENT.format(**found),
            table(["budget race", "in", "% of the limit", "calls answered"], spent),
            "\n".join(whys),
        ]
    )


def _calls(counted: Mapping[str, Any]) -> list[str]:
    return [str(spread_of(counted["calls"])), _error(counted["errors"])]


def _error(errors: Sequence[str]) -> str:
    """Name the kinds of errors: their texts are long, and have line ends."""
    return ", ".join(sorted({error.partition(":")[0] for error in errors})) or "none"


def _percent(paid: Mapping[str, Any] | None) -> list[str]:
    return [number(paid["percent"]), f"{paid['admitted']} of {paid['offered']}"] if paid else [NOTHING, NOTHING]
