"""The page of budgets and the bars of those near their limits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from cognition import Budget
from cognition.domain.adjustment import ClosedPeriod
from cognition.domain.forecast import METHOD, Forecast
from cognition.domain.reservation import Standing
from cognition_flows.budget_pages import budgets_page, closed_rows, progress_of

BERLIN = ZoneInfo("Europe/Berlin")
MIDNIGHT = datetime(2026, 11, 26, 23, tzinfo=UTC)
NIGHTLY = Budget(scope="workflow", subject="nightly|x", limit_usd="2.00", period="daily", budget_id=UUID(int=1))
EVERYONE = Budget(scope="flow_run", limit_usd="0.50", period="lifetime", budget_id=UUID(int=2))


def standing(budget: Budget, used: str, subject: str | None = None, reserved: str = "0") -> Standing:
    """Return how a counter of a budget stands."""
    assert budget.budget_id is not None
    return Standing(
        budget_id=budget.budget_id,
        scope=budget.scope,
        subject=subject or budget.subject,
        period=budget.period,
        limit_usd=budget.limit_usd,
        credit_usd=Decimal(0),
        used_usd=Decimal(used),
        reserved_usd=Decimal(reserved),
        soft_limit=budget.soft_limit,
        on_soft="warn",
        on_hard="block",
        downgrade_to=None,
        period_start=datetime(2026, 11, 25, 23, tzinfo=UTC),
        resets_at=MIDNIGHT if budget.period == "daily" else None,
    )


def foretold(one: Standing, at: datetime | None = None, hourly: str | None = None) -> Forecast:
    """Return a forecast of a counter."""
    rate = None if hourly is None else Decimal(hourly)
    return Forecast(standing=one, method=METHOD, hours=3, attempts=9, hourly_usd=rate, exhausted_at=at)


def closed(used: str) -> ClosedPeriod:
    """Return a day that is over."""
    return ClosedPeriod(
        budget_id=UUID(int=1),
        scope="workflow",
        subject="nightly|x",
        period="daily",
        period_start=datetime(2026, 11, 24, 23, tzinfo=UTC),
        period_end=datetime(2026, 11, 25, 23, tzinfo=UTC),
        limit_usd=Decimal(2),
        credit_usd=Decimal(1),
        used_usd=Decimal(used),
        calls=7,
        alerts_resolved=1,
    )


def test_the_fullest_budget_comes_first() -> None:
    """With exact figures, the clock of a time zone, and names that stay in their cells."""
    at = datetime(2026, 11, 26, 20, 30, tzinfo=UTC)
    forecasts = [
        foretold(standing(EVERYONE, "0.1", "r-1")),
        foretold(standing(NIGHTLY, "1.5", reserved="0.25"), at, "1"),
    ]
    page = budgets_page([NIGHTLY, EVERYONE], forecasts, [], BERLIN)
    lines = [line for line in page.splitlines() if line.startswith("| ")][2:]
    midnight, evening = "2026-11-27 00:00 CET", "2026-11-26 21:30 CET"
    assert [
        f"| daily budget of workflow nightly\\|x | $2.00 | $1.50 | $0.25 | $0.25 | {midnight} | {evening} |",
        "| lifetime budget of flow run r-1 | $0.50 | $0.10 | $0.00 | $0.40 | never | too little to go by |",
    ] == lines
    assert "nightly|x (daily) 88% of $2.00, r-1 (lifetime) 20% of $0.50" in page


@pytest.mark.parametrize(
    ("forecast", "words"),
    [
        (foretold(standing(NIGHTLY, "2.00"), MIDNIGHT, "1"), "| now |"),
        (foretold(standing(NIGHTLY, "1.00"), None, "0.01"), "| not before it resets |"),
    ],
)
def test_when_the_money_is_gone(forecast: Forecast, words: str) -> None:
    """In words where there is no time."""
    assert words in budgets_page([NIGHTLY], [forecast], [], BERLIN)


def test_a_budget_that_nobody_used_is_named() -> None:
    """One of everyone has no counter until somebody spends."""
    page = budgets_page([EVERYONE], [], [], BERLIN)
    assert "Nothing spent yet: lifetime budget of each flow run ($0.50).\n" == page


def test_without_budgets_the_page_says_how_to_set_one() -> None:
    """Rather than an empty table."""
    assert "cognition budget set" in budgets_page([], [], [], BERLIN)


def test_only_the_fullest_hundred_are_shown() -> None:
    """Each flow run may have a counter; the others are counted."""
    forecasts = [foretold(standing(EVERYONE, "0.1", f"r-{number}")) for number in range(103)]
    page = budgets_page([EVERYONE], forecasts, [], BERLIN)
    assert 100 == page.count("| lifetime budget of flow run")
    assert "and 3 more, further from their limits." in page


def test_closed_periods_are_told() -> None:
    """The dearest first, with what adjustments had given."""
    periods = [closed("0.5"), closed("2.5")]
    page = budgets_page([NIGHTLY], [], periods, BERLIN)
    line = "| daily budget of workflow nightly\\|x | 2026-11-25 00:00 CET | $3.00 | $2.50 | 7 |"
    assert line in page
    assert page.index(line) < page.index("$0.50 | 7 |")
    assert ["2.5", "0.5"] == [row["spent_usd"] for row in closed_rows(periods)]
    assert "daily budget of workflow nightly|x" == closed_rows(periods)[0]["budget"]


def test_a_budget_near_its_limit_has_a_bar() -> None:
    """The fullest first, never beyond the end, and none below the soft limit; Prefect takes the keys."""
    counters = [standing(EVERYONE, "0.39", "a"), standing(EVERYONE, "0.40", "b"), standing(NIGHTLY, "2.10")]
    bars = progress_of([NIGHTLY, EVERYONE], counters, {})
    assert [100.0, 80.0] == [one.percent for one in bars]
    assert "daily budget of workflow nightly|x: $2.10 of $2.00 spent" == bars[0].text
    assert {True} == {set(one.key) <= set("abcdefghijklmnopqrstuvwxyz0123456789-") for one in bars}
    assert "cognition-budget-workflow-nightly-x-" == bars[0].key[:-16]


def test_a_bar_that_is_no_longer_true_is_drawn_again() -> None:
    """After a new period, an adjustment, or for a counter that is gone; a bar of another store is left alone."""
    full = standing(NIGHTLY, "1.90")
    (bar,) = progress_of([NIGHTLY], [full], {})
    drawn: Mapping[str, float] = {bar.key: bar.percent, f"cognition-budget-workflow-x-{'f' * 16}": 90.0}

    (lower,) = progress_of([NIGHTLY], [replace(full, used_usd=Decimal("0.10"))], drawn)
    (gone,) = progress_of([NIGHTLY], [], drawn)

    assert (bar.key, 5.0) == (lower.key, lower.percent)
    assert (bar.key, 0.0) == (gone.key, gone.percent)
    assert [] == progress_of([NIGHTLY], [replace(full, used_usd=Decimal("0.10"))], {bar.key: 5.0})


def test_subjects_of_the_same_letters_have_bars_of_their_own() -> None:
    """Keys know neither capitals nor signs."""
    counters = [standing(EVERYONE, "0.5", "a.b"), standing(EVERYONE, "0.5", "A b")]
    assert 2 == len({one.key for one in progress_of([EVERYONE], counters, {})})
