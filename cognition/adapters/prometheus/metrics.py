"""The metrics: their names, their labels, and what is told where.

Counters are sums over the rollups, from which nothing is deleted, so that they never run backwards. Labels come from
small sets alone: no user, run, prompt or key is one. Of very many models those that come last share the label `other`,
and budgets beyond the same number are left out, because limits do not add up. Calls stand under the model that was
asked for, also when a fallback answered; the ledger tells the two apart.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any, Final, cast

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric, SummaryMetricFamily

from cognition.domain import breaker_standing, reservation
from cognition.domain.breaker import BreakerState
from cognition.domain.entry import Layer
from cognition.domain.measured import Measured, ServedTotal
from cognition.domain.settlement import SpoolState

PREFIX: Final = "cognition_"
MOST_NAMES: Final = 100
"""So many models and so many budgets are told apart."""

_OTHER: Final = "other"
# What people write down bounds their subjects; those of users and of flow runs nothing bounds.
_SCOPES: Final = frozenset({"tenant", "team", "workflow", "task", "model"})

Number = int | float | Decimal
Labels = tuple[str, ...]


def metrics_of(measured: Measured, models: set[str] | None = None) -> Iterator[Metric]:
    """Return what is measured as metrics.

    Args:
        measured: What is measured.
        models: Those that have a label of their own, kept by the caller: one that changed between its own and `other`
            would let both counters jump.
    """
    totals = _bounded(measured.served, set() if models is None else models)
    yield from _cache([one for one in totals if one.layer is not Layer.PROVIDER])
    yield from _provider([one for one in totals if one.layer is Layer.PROVIDER])
    yield _durations(totals)
    yield from _budgets(measured.budgets)
    yield _family(
        GaugeMetricFamily,
        "budget_alerts",
        "Alerts that nobody has resolved.",
        ("state",),
        {(state,): number for state, number in measured.alerts.items()},
    )
    yield _breakers(measured.breakers)
    yield from _spool(measured.spooled)


def gauge(name: str, text: str, value: Number) -> Metric:
    """Return a metric without labels that goes up and down.

    Args:
        name: Without the prefix.
        text: What it says.
        value: Its value.
    """
    return _family(GaugeMetricFamily, name, text, (), {(): value})


def _cache(totals: Sequence[ServedTotal]) -> Iterator[Metric]:
    def by_layer(figure: Callable[[ServedTotal], Number]) -> dict[Labels, Number]:
        return _summed(((one.layer.value, one.model), figure(one)) for one in totals)

    ends = (("hit", by_layer(lambda one: one.hits)), ("miss", by_layer(lambda one: one.misses)))
    lookups = {(*labels, end): number for end, numbers in ends for labels, number in numbers.items()}
    yield _family(
        CounterMetricFamily,
        "cache_lookups",
        "Look-ups in a layer, by their end.",
        ("layer", "requested_model", "result"),
        lookups,
    )
    for name, text, numbers in (
        ("cache_refusals", "Near questions whose answers were refused.", by_layer(lambda one: one.refusals)),
        ("cache_stores", "Answers written to a layer.", by_layer(lambda one: one.stores)),
        ("cache_unreadable", "Stored values that could not be read.", by_layer(lambda one: one.corrupt)),
        ("cache_saved_usd", "What hits saved, in US dollars.", by_layer(lambda one: one.saved_usd)),
    ):
        yield _family(CounterMetricFamily, name, text, ("layer", "requested_model"), numbers)


def _provider(totals: Sequence[ServedTotal]) -> Iterator[Metric]:
    attempts = _summed(
        ((one.model, result), number)
        for one in totals
        for result, number in (
            ("answered", one.hits),
            ("failed", one.errors),
            ("cancelled", one.misses - one.errors),
        )
    )
    tokens = _summed(
        ((one.model, kind), number)
        for one in totals
        for kind, number in (("input", one.input_tokens), ("output", one.output_tokens))
    )
    cost = _summed(((one.model,), one.cost_usd) for one in totals)
    yield _family(
        CounterMetricFamily, "attempts", "Attempts at providers, by their end.", ("requested_model", "result"), attempts
    )
    yield _family(CounterMetricFamily, "tokens", "Tokens that providers billed.", ("requested_model", "type"), tokens)
    yield _family(CounterMetricFamily, "cost_usd", "What attempts cost, in US dollars.", ("requested_model",), cost)


def _durations(totals: Sequence[ServedTotal]) -> Metric:
    counts = _summed(((one.layer.value, one.model), one.timed) for one in totals)
    seconds = _summed(((one.layer.value, one.model), one.seconds) for one in totals)
    family = SummaryMetricFamily(
        f"{PREFIX}answer_duration_seconds", "How long answers and attempts took.", labels=("layer", "requested_model")
    )
    for labels, count in counts.items():
        family.add_metric(labels, cast("int", count), cast("float", seconds[labels]))
    return family


def _budgets(standings: Sequence[reservation.Standing]) -> Iterator[Metric]:
    told = [one for one in standings if one.scope in _SCOPES][:MOST_NAMES]
    names = [(str(one.budget_id), one.scope, one.subject, one.period) for one in told]
    for name, text, figures in (
        ("budget_limit_usd", "What may be spent in the period, in US dollars.", [one.total_usd for one in told]),
        ("budget_used_usd", "What was spent in the period, in US dollars.", [one.used_usd for one in told]),
        ("budget_reserved_usd", "What is set aside for calls under way.", [one.reserved_usd for one in told]),
    ):
        numbers = dict(zip(names, figures, strict=True))
        yield _family(GaugeMetricFamily, name, text, ("budget_id", "scope", "subject", "period"), numbers)


def _breakers(standings: Sequence[breaker_standing.Standing]) -> Metric:
    """Return for each state how many breakers of a model are in it: accounts are not told apart."""
    numbers = _summed(
        ((one.key.provider, one.key.model, state.value), int(one.state is state))
        for one in standings[:MOST_NAMES]
        for state in BreakerState
    )
    return _family(
        GaugeMetricFamily, "breakers", "Circuit breakers in a state.", ("provider", "model", "state"), numbers
    )


def _spool(spooled: SpoolState) -> Iterator[Metric]:
    yield gauge("spool_rows", "Costs that wait on this machine for PostgreSQL.", spooled.rows)
    yield gauge("spool_rejected_rows", "Costs kept aside here because they can never be booked.", spooled.rejected)
    yield gauge("spool_bytes", "Room that waiting costs take on this machine.", spooled.used_bytes)
    yield gauge("spool_limit_bytes", "Room that they may take; then calls fail with LedgerFull.", spooled.limit_bytes)


def _bounded(totals: Sequence[ServedTotal], models: set[str]) -> list[ServedTotal]:
    """Return the totals, those of models beyond a number under one name; `models` grows by the others."""
    for one in totals:
        if len(models) < MOST_NAMES:
            models.add(one.model)
    return [one if one.model in models else replace(one, model=_OTHER) for one in totals]


def _summed(figures: Iterable[tuple[Labels, Number]]) -> dict[Labels, Number]:
    sums: defaultdict[Labels, Number] = defaultdict(int)
    for labels, number in figures:
        sums[labels] = cast("Any", sums[labels]) + number
    return sums


def _family(
    kind: type[CounterMetricFamily | GaugeMetricFamily],
    name: str,
    text: str,
    labels: Labels,
    numbers: Mapping[Labels, Number],
) -> Metric:
    family = kind(PREFIX + name, text, labels=labels)
    for values, number in numbers.items():
        # It becomes a float where it is written as text; until then money stays what it is.
        family.add_metric(values, cast("Any", number))
    return family
