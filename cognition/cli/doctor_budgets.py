"""The checks of `cognition doctor` that look at budgets: prices, alerts, and money that nobody holds any more."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime
from functools import partial

from pydantic_ai.usage import RequestUsage

from cognition.adapters.providers import GenaiPrices
from cognition.cli.finding import Finding
from cognition.domain.budget_trouble import PATIENCE, held_by_the_dead, undelivered, unpriced
from cognition.errors import CognitionError
from cognition.settings import Settings
from cognition.wiring import open_stores

_CHECKS = ("prices of budgets", "alerts of budgets", "money set aside")
_MOST = 1000
_ONE_TOKEN = RequestUsage(input_tokens=1, output_tokens=1)


def budgets() -> list[Finding]:
    """Check that budgets can do what they are for."""
    now = datetime.now(UTC)
    try:
        settings = Settings()
        with closing(open_stores(settings, partial(datetime.now, UTC))) as stores:
            every = stores.budgets.calls.budgets()
            alerts = stores.budgets.admin.alerts(["open"], _MOST)
            lapsed = stores.budgets.admin.lapsed(PATIENCE)
    except CognitionError:
        return [Finding(check, ok=True, detail="not looked at, because the stores do not answer") for check in _CHECKS]
    prices = GenaiPrices(settings.prices)
    models = [model for model in (settings.model, *(one.model for one in settings.fallbacks)) if model]
    troubles = (
        unpriced(every, models, lambda model: prices.cost_of(model, _ONE_TOKEN, now) is not None),
        undelivered(alerts, now),
        held_by_the_dead(lapsed),
    )
    fine = (
        f"of {sum(one.active for one in every)} that count, none refuses a configured model",
        "nobody waits to be told of one",
        "by calls that are under way, if at all",
    )
    return [
        Finding(check, ok=trouble is None, detail=trouble or well)
        for check, trouble, well in zip(_CHECKS, troubles, fine, strict=True)
    ]
