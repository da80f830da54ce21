"""`reset_budgets` and `deliver_alerts`: close what is over, tell who must know, and show how budgets stand.

No budget depends on them: a period ends when it ends, whether or not a flow has closed it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Annotated, Any, Final

from prefect import flow, get_client, get_run_logger
from prefect.artifacts import create_markdown_artifact, create_progress_artifact, create_table_artifact
from prefect.client.schemas.filters import (
    ArtifactCollectionFilter,
    ArtifactCollectionFilterKey,
    ArtifactCollectionFilterType,
)
from pydantic import Field

from cognition.domain.adjustment import ClosedPeriod
from cognition.domain.budget import Budget
from cognition.domain.forecast import Forecast
from cognition.services.budget_control import Delivery
from cognition_blocks import emit_alert
from cognition_flows.budget_pages import BAR_KEYS, budgets_page, closed_rows, progress_of
from cognition_flows.periods import zone_of
from cognition_flows.store import LLM, engine_of, step

BUDGETS_KEY: Final = "cognition-budgets"
CLOSED_KEY: Final = f"{BUDGETS_KEY}-closed"

_BATCH: Final = 1000
_MOST_CLOSED: Final = 100_000
_ALERTS: Final = 100
_MOST_ALERTS: Final = 10_000
_MOST_BARS: Final = 50
_MOST_DRAWN: Final = 200


Days = Annotated[float, Field(ge=1)]


@dataclass(frozen=True, slots=True)
class Books:
    """How the budgets of a tenant stand.

    Attributes:
        budgets: All that count.
        forecasts: Every counter, and when its money is gone.
    """

    budgets: Sequence[Budget]
    forecasts: Sequence[Forecast]


@flow(name="cognition-reset-budgets", flow_run_name="reset-budgets")
def reset_budgets(timezone: str = "UTC", reservations_days: Days = 30, llm: LLM = None) -> dict[str, Any]:
    """Close budget periods that are over, tell who must know, and show how every budget stands.

    Spending begins anew when a period ends, not when this runs: one that is late, doubled or missed changes no figure.
    It leaves the artifact `cognition-budgets`, a progress bar for each budget near its limit, and the periods that it
    closed in `cognition-budgets-closed`.

    Args:
        timezone: Whose clock the artifacts show.
        reservations_days: Reservations that ended so many days ago are deleted; they only kept repetitions harmless.
        llm: Name of a Cached LLM block whose store is meant; empty means the worker's environment.
    """
    zone = zone_of(timezone)
    closed = close_periods(llm)
    books = read_budgets(llm)
    create_markdown_artifact(
        budgets_page(books.budgets, books.forecasts, closed, zone),
        key=BUDGETS_KEY,
        description="What every budget has spent, what is left, and when it is used up.",
    )
    if closed:
        create_table_artifact(closed_rows(closed), key=CLOSED_KEY, description="Budget periods that were closed.")
    _draw_bars(books)
    told = deliver(llm)
    purged = purge_reservations(llm, reservations_days)
    spent = sum((one.used_usd for one in closed), Decimal(0))
    log = get_run_logger()
    log.info("%d periods closed, $%s spent in them; %d old reservations deleted.", len(closed), f"{spent:f}", purged)
    _log_delivery(told)
    return {
        "closed": len(closed),
        "closed_usd": f"{spent:f}",
        "alerts_ended": sum(one.alerts_resolved for one in closed),
        "alerts_delivered": told.delivered,
        "alerts_failed": told.failed,
        "reservations_deleted": purged,
    }


@flow(name="cognition-deliver-alerts", flow_run_name="deliver-alerts")
def deliver_alerts(llm: LLM = None) -> Mapping[str, int]:
    """Make Prefect events of the alerts that nobody was told of yet: `cognition.budget.soft_limit` and `.exceeded`.

    One that Prefect's server does not take comes again with a later run; none is told twice, unless a run dies between
    telling and noting it, and then it is the same event.

    Args:
        llm: Name of a Cached LLM block whose store is meant; empty means the worker's environment.
    """
    told = deliver(llm)
    _log_delivery(told)
    return {"delivered": told.delivered, "failed": told.failed}


@step("close ended periods")
def close_periods(llm: str | None) -> list[ClosedPeriod]:
    """Close periods that are over, in batches; return them."""
    budgets, closed = engine_of(llm).budgets, list[ClosedPeriod]()
    while len(closed) < _MOST_CLOSED:
        batch = budgets.close_periods(_BATCH)
        closed += batch
        if len(batch) < _BATCH:
            break
    return closed


@step("read budgets")
def read_budgets(llm: str | None) -> Books:
    """Return how the budgets stand."""
    budgets = engine_of(llm).budgets
    return Books([one for one in budgets.list() if one.active], budgets.forecast())


@step("deliver alerts")
def deliver(llm: str | None) -> Delivery:
    """Emit the alerts that nobody was told of yet, in batches; return how many."""
    budgets = engine_of(llm).budgets
    delivered = failed = 0
    # One that fails rests for a while, so that each is met once.
    while delivered + failed < _MOST_ALERTS:
        done = budgets.deliver(emit_alert, _ALERTS)
        delivered, failed = delivered + done.delivered, failed + done.failed
        if done.delivered + done.failed < _ALERTS:
            break
    return Delivery(delivered, failed)


@step("delete old reservations")
def purge_reservations(llm: str | None, days: float) -> int:
    """Delete reservations that ended some days ago; return how many."""
    return engine_of(llm).budgets.purge(timedelta(days=days))


def _draw_bars(books: Books) -> None:
    """Draw a bar for each budget near its limit, and correct those that are there."""
    due = progress_of(books.budgets, [one.standing for one in books.forecasts], _drawn())
    for bar in due[:_MOST_BARS]:
        create_progress_artifact(bar.percent, key=bar.key, description=bar.text)
    if len(due) > _MOST_BARS:
        get_run_logger().info("%d more budgets are near their limits.", len(due) - _MOST_BARS)


def _drawn() -> dict[str, float]:
    """Return the bars that there are."""
    ours = ArtifactCollectionFilter(
        key=ArtifactCollectionFilterKey(like_=f"{BAR_KEYS}%"), type=ArtifactCollectionFilterType(any_=["progress"])
    )
    with get_client(sync_client=True) as client:
        found = client.read_latest_artifacts(artifact_filter=ours, limit=_MOST_DRAWN)
        return {one.key: float(str(one.data)) for one in found if one.key.startswith(BAR_KEYS)}


def _log_delivery(told: Delivery) -> None:
    log = get_run_logger()
    if told.delivered:
        log.info("%d alerts delivered.", told.delivered)
    if told.failed:
        log.warning("%d alerts were not delivered; they come again.", told.failed)
