"""`report_hit_rate` and `report_costs`: what the cache saved and who pays, as artifacts with a history."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from prefect import flow, get_run_logger
from prefect.artifacts import create_markdown_artifact, create_table_artifact

from cognition.domain.charges import MEASURES, ChargedTo
from cognition.domain.hit_rate import HitRates
from cognition.domain.pricing import dollars
from cognition.services.chargeback import CUTS, Chargeback, plain
from cognition.services.hit_rate_output import as_json, markdown, percent
from cognition_flows.periods import Period, previous
from cognition_flows.pictures import bars, columns
from cognition_flows.store import LLM, engine_of, step

COSTS_KEY: Final = "cognition-costs"
HIT_RATE_KEY: Final = "cognition-hit-rate"

_TABLES: Final[tuple[ChargedTo, ...]] = ("workflow", "user", "team", "model")
_DAYS: Final = 30
_SHOWN: Final = 20
_BARS: Final = 8
_MOST_ROWS: Final = 1000  # a table artifact is one row in Prefect's database


@flow(name="cognition-report-hit-rate", flow_run_name="hit-rate of {hours} h")
def report_hit_rate(hours: int = 24, llm: LLM = None) -> dict[str, Any]:
    """Report how well the cache served, compared with the hours before, in the artifact `cognition-hit-rate`.

    Args:
        hours: How many hours to look back.
        llm: Name of a Cached LLM block whose store is meant; empty means the worker's environment.
    """
    rates = read_hit_rate(llm, hours)
    content = as_json(rates)
    create_markdown_artifact(
        f"{_rates_picture(rates)}\n\n{markdown(rates)}",
        key=HIT_RATE_KEY,
        description=f"How well the LLM cache served in {hours} hours.",
    )
    _table(f"{HIT_RATE_KEY}-look-ups", content["look_ups"], "Look-ups by layer, namespace and model.")
    _table(f"{HIT_RATE_KEY}-misses", content["misses"], "Requests that the provider was asked for again and again.")
    get_run_logger().info(
        "%s of %d calls came from the cache; it saved %s.",
        percent(rates.total.hit_rate),
        rates.total.calls,
        dollars(rates.total.saved_usd),
    )
    return {name: content[name] for name in ("calls", "hits", "hit_rate", "hit_rate_before", "saved_usd", "net_usd")}


@flow(name="cognition-report-costs", flow_run_name="costs of the last {period}")
def report_costs(period: Period = "day", timezone: str = "UTC", llm: LLM = None) -> dict[str, Any]:
    """Report who pays for what in the last whole day, week or month, in the artifact `cognition-costs`.

    Each table adds up to the ledger, to the last digit. Weeks and months have artifacts of their own,
    `cognition-costs-week` and `-month`. Run twice or late the same day, it says the same.

    Args:
        period: A day, a week from Monday on, or a month.
        timezone: Whose midnights count.
        llm: Name of a Cached LLM block whose store is meant; empty means the worker's environment.
    """
    since, until = previous(period, timezone, datetime.now(UTC))
    report, days = read_costs(llm, since, until)
    last = until - timedelta(microseconds=1)
    title = f"{since:%Y-%m-%d}" + (f" to {last:%Y-%m-%d}" if period != "day" else "") + f" ({timezone})"
    # A month between days would be no history.
    key = COSTS_KEY if period == "day" else f"{COSTS_KEY}-{period}"
    create_markdown_artifact(
        f"## {title}\n\n{_costs_picture(report, days)}\n\n{report.render('markdown', most=_SHOWN)}",
        key=key,
        description=f"What LLM calls cost and saved, {title}.",
    )
    for cut in _TABLES:
        _table(f"{key}-by-{cut}", _lines(report, cut), f"Costs by {cut}, {title}.")
    get_run_logger().info(
        "%s: %s paid, %s saved.", title, dollars(report.total.cost_usd), dollars(report.total.saved_usd)
    )
    return {name: plain(getattr(report.total, name)) for name in MEASURES}


@step("read hit rates")
def read_hit_rate(llm: str | None, hours: int) -> HitRates:
    """Return how well the cache served."""
    return engine_of(llm).reports.hit_rate(timedelta(hours=hours))


@step("read costs")
def read_costs(llm: str | None, since: datetime, until: datetime) -> tuple[Chargeback, Chargeback]:
    """Return the costs of a period, and those of each day of the month that ends with it."""
    reports = engine_of(llm).reports
    return reports.costs(CUTS, since=since, until=until), reports.costs(
        ("day",), since=until - timedelta(days=_DAYS), until=until
    )


def _rates_picture(rates: HitRates) -> str:
    lines = [(one.layer.value, one.counts.hit_rate or 0.0, percent(one.counts.hit_rate)) for one in rates.by("layer")]
    return bars("*Hit rates by layer*", lines, whole=1)


def _costs_picture(report: Chargeback, days: Chargeback) -> str:
    paid = {charge.value: charge.sums.cost_usd for charge in days.cuts["day"]}
    dates = [f"{day:%Y-%m-%d}" for day in _days(days)]
    # An adjustment may make the sum of a day negative, which no column shows.
    last = dollars(paid.get(dates[-1], Decimal(0)))
    daily = columns(
        f"*US dollars a day, {_DAYS} days; the last: {last}*",
        [max(paid.get(day, Decimal(0)), Decimal(0)) for day in dates],
        last,
    )
    workflows = [
        (charge.value or "-", max(charge.sums.cost_usd, Decimal(0)), dollars(charge.sums.cost_usd))
        for charge in report.shortened("workflow", _BARS)
    ]
    return "\n\n".join(picture for picture in (daily, bars("*US dollars by workflow*", workflows)) if picture)


def _days(days: Chargeback) -> list[datetime]:
    """Return the days of the picture, in UTC as the ledger's are."""
    last = (days.until or datetime.now(UTC)) - timedelta(microseconds=1)
    return [last.astimezone(UTC) - timedelta(days=ago) for ago in reversed(range(_DAYS))]


def _lines(report: Chargeback, cut: ChargedTo) -> list[dict[str, Any]]:
    return [
        {cut: charge.value, **{name: plain(getattr(charge.sums, name)) for name in MEASURES}}
        for charge in report.shortened(cut, _MOST_ROWS)
    ]


def _table(key: str, rows: list[dict[str, Any]], description: str) -> None:
    """Keep a table for drilling down; an empty one is not worth a look."""
    if rows:
        create_table_artifact(rows[: _MOST_ROWS + 1], key=key, description=description)
