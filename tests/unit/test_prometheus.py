"""What Prometheus is told, of figures that somebody read."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

import pytest

from cognition.adapters.prometheus import MeasuredCollector, metrics_of, samples_of, served, text_of
from cognition.adapters.prometheus.metrics import MOST_NAMES
from cognition.domain.breaker import BreakerKey, BreakerState
from cognition.domain.breaker_standing import Standing as BreakerStanding
from cognition.domain.entry import Layer
from cognition.domain.measured import Measured, ServedTotal
from cognition.domain.reservation import Standing
from cognition.domain.settlement import SpoolState
from cognition.errors import CacheUnavailable, ConfigurationError

AT = datetime(2026, 11, 26, 12, tzinfo=UTC)
NOTHING = Measured(
    served=(),
    budgets=(),
    breakers=(),
    alerts={"open": 0, "acknowledged": 0},
    spooled=SpoolState(place="here", rows=0, rejected=0, used_bytes=0, limit_bytes=1000),
)
DAILY = Standing(
    budget_id=UUID(int=1),
    scope="workflow",
    subject="nightly",
    period="daily",
    limit_usd=Decimal("5.00"),
    credit_usd=Decimal("0.50"),
    used_usd=Decimal("1.25"),
    reserved_usd=Decimal("0.10"),
    soft_limit=Decimal("0.8"),
    on_soft="warn",
    on_hard="block",
    downgrade_to=None,
    period_start=AT,
    resets_at=None,
)


def figures(measured: Measured) -> dict[tuple[str, ...], object]:
    """Return all figures by name and values of labels."""
    return {
        (sample.name.removeprefix("cognition_"), *sample.labels.values()): sample.value
        for metric in metrics_of(measured)
        for sample in metric.samples
    }


def test_look_ups_and_attempts_are_counted_apart() -> None:
    """A layer has hits and misses; a provider has attempts, some of which were cancelled."""
    fast = ServedTotal(layer=Layer.L1, model="a:b", hits=3, misses=2, stores=2, saved_usd=Decimal("0.03"))
    provider = ServedTotal(
        layer=Layer.PROVIDER,
        model="a:b",
        hits=2,
        misses=3,
        errors=2,
        input_tokens=10,
        output_tokens=4,
        cost_usd=Decimal("0.02"),
        timed=5,
        seconds=2.5,
    )
    told = figures(replace(NOTHING, served=[fast, provider]))

    assert (3, 2) == tuple(told["cache_lookups_total", "l1", "a:b", end] for end in ("hit", "miss"))
    assert ("cache_lookups_total", "provider", "a:b", "hit") not in told
    ends = ("answered", "failed", "cancelled")
    assert (2, 2, 1) == tuple(told["attempts_total", "a:b", end] for end in ends)
    assert (10, 4) == tuple(told["tokens_total", "a:b", kind] for kind in ("input", "output"))
    assert Decimal("0.02") == told["cost_usd_total", "a:b"]
    assert Decimal("0.03") == told["cache_saved_usd_total", "l1", "a:b"]
    assert (5, 2.5) == tuple(told[f"answer_duration_seconds_{part}", "provider", "a:b"] for part in ("count", "sum"))


def test_very_many_models_share_a_label() -> None:
    """Whoever makes up a name for each call fills no monitoring; nothing is lost from the sums."""
    served_totals = [ServedTotal(layer=Layer.L1, model=f"a:{number}", hits=1) for number in range(MOST_NAMES + 5)]
    told = figures(replace(NOTHING, served=served_totals))

    lookups = {labels[2:]: value for labels, value in told.items() if labels[0] == "cache_lookups_total"}
    hits = {model: value for (model, end), value in lookups.items() if end == "hit"}
    assert MOST_NAMES + 1 == len(hits)
    assert 5 == hits["other"]
    assert MOST_NAMES + 5 == sum(int(str(value)) for value in hits.values())
    exactly = figures(replace(NOTHING, served=served_totals[:MOST_NAMES]))
    assert ("cache_lookups_total", "l1", "other", "hit") not in exactly


def test_a_model_keeps_its_label() -> None:
    """However much another one is used meanwhile: a counter that jumps to another label runs backwards."""
    totals = [ServedTotal(layer=Layer.L1, model=f"a:{number}", hits=9) for number in range(MOST_NAMES + 1)]
    readings = [replace(NOTHING, served=totals), replace(NOTHING, served=totals[::-1])]
    collector = MeasuredCollector(lambda: readings.pop(0), "1.2", "shop", clock=iter(range(0, 99, 9)).__next__)

    first, second = ({str(one) for one in samples_of(collector) if "lookups" in str(one)} for _ in range(2))

    assert first == second


def test_budgets_are_told_but_for_those_of_users_and_runs() -> None:
    """Their names are people's, and there is no end of them."""
    others = [replace(DAILY, scope=scope, subject="alice") for scope in ("user", "flow_run")]
    told = figures(replace(NOTHING, budgets=[*others, DAILY]))

    name = (str(DAILY.budget_id), "workflow", "nightly", "daily")
    names = ("budget_limit_usd", "budget_used_usd", "budget_reserved_usd")
    assert (Decimal("5.50"), Decimal("1.25"), Decimal("0.10")) == tuple(told[one, *name] for one in names)
    assert not [labels for labels in told if "alice" in labels]


def test_a_breaker_is_in_one_state() -> None:
    """Those of several accounts are added up; no account is named."""
    keys = [BreakerKey("openai", "gpt"), BreakerKey("openai", "gpt", "0123456789ab")]
    standings = [
        BreakerStanding(key=key, as_of=AT, state=state)
        for key, state in zip(keys, (BreakerState.OPEN, BreakerState.CLOSED), strict=True)
    ]
    told = figures(replace(NOTHING, breakers=standings))

    states = {labels[3]: value for labels, value in told.items() if labels[0] == "breakers"}
    assert {"open": 1, "closed": 1} == {state: value for state, value in states.items() if value}
    assert set(states) == {state.value for state in BreakerState}


def test_the_spool_and_alerts_are_told_also_when_nothing_waits() -> None:
    """A rule that compares them needs both sides."""
    told = figures(NOTHING)
    assert (0, 1000) == (told["spool_bytes",], told["spool_limit_bytes",])
    assert (0, 0) == (told["budget_alerts", "open"], told["budget_alerts", "acknowledged"])


def test_a_store_that_is_away_is_told_instead_of_old_figures() -> None:
    """Prometheus is answered all the same, and nothing that is told has an age that nobody knows."""
    answers: list[Measured | CacheUnavailable] = [NOTHING, CacheUnavailable.of("postgresql", "no connection"), NOTHING]
    now = 0.0

    def read() -> Measured:
        answer = answers.pop(0)
        if isinstance(answer, CacheUnavailable):
            raise answer
        return answer

    collector = MeasuredCollector(read, "1.2", "shop", clock=lambda: now)

    texts: list[str] = []
    for seconds in (0.0, 4.9, 5.0, 10.0):
        now = seconds
        texts.append(text_of(collector))

    assert not answers
    signs = ("cognition_spool_rows 0.0", "cognition_collect_success 1.0")
    there, kept, away, back = (tuple(sign in text for sign in signs) for text in texts)
    assert (True, True) == there == kept == back
    assert (False, False) == away
    assert all('cognition_build_info{tenant="shop",version="1.2"} 1.0' in text for text in texts)


def test_machines_get_money_as_it_is() -> None:
    """Not as the float that Prometheus makes of it."""
    collector = MeasuredCollector(lambda: replace(NOTHING, budgets=[DAILY]), "1.2", "shop")
    (used,) = [one for one in samples_of(collector) if one["name"] == "cognition_budget_used_usd"]
    assert Decimal("1.25") == used["value"]


def test_a_port_that_is_taken_is_one_sentence() -> None:
    """Which says what to do."""
    collector = MeasuredCollector(lambda: NOTHING, "1.2", "shop")
    with (
        served(collector, "127.0.0.1", 0) as port,
        pytest.raises(ConfigurationError, match=f"Nobody can listen at 127.0.0.1:{port} .*choose another"),
        served(collector, "127.0.0.1", port),
    ):
        pass
