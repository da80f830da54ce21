"""What a person should do about budgets, in sentences; None where there is nothing to do."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta

from cognition.domain.adjustment import Lapsed
from cognition.domain.budget import EVERYONE, Budget
from cognition.domain.budget_alert import Alert
from cognition.domain.budget_name import name_of
from cognition.domain.pricing import dollars

PATIENCE = timedelta(hours=1)
"""Alerts are delivered, and periods closed, more often than that."""


def unpriced(budgets: Sequence[Budget], models: Iterable[str], is_priced: Callable[[str], bool]) -> str | None:
    """Say which budgets refuse calls because nobody knows what a model costs.

    Args:
        budgets: All of them.
        models: Those that calls ask where they name none.
        is_priced: Whether the price of a model is known.
    """
    refusing = [one for one in budgets if one.active and one.on_unknown_price == "refuse"]
    named = {one.subject for one in refusing if one.scope == "model"} | {one.downgrade_to for one in refusing}
    unknown = sorted(model for model in {*models, *named} - {None, EVERYONE} if model and not is_priced(model))
    troubles = [
        f"nobody knows the price of {model}, so that {found} its calls"
        for model in unknown
        if (found := _refusing(refusing, model))
    ]
    if not troubles:
        return None
    advice = "set COGNITION_PRICES, or let the budgets say --on-unknown-price ceiling or allow"
    return f"{', and '.join(troubles)}: {advice}"


def undelivered(alerts: Sequence[Alert], now: datetime) -> str | None:
    """Say that limits were reached and nobody was told.

    Args:
        alerts: Those that are open.
        now: The present time.
    """
    late = [one for one in alerts if one.delivered_at is None and now - one.created_at > PATIENCE]
    if not late:
        return None
    oldest = min(late, key=lambda one: one.created_at)
    return (
        f"{_counted(len(late), 'alert')} over an hour old, the oldest of the {oldest.name}, and nobody was told: let"
        " the flow cognition-deliver-alerts run, see 'cognition deploy', or read them with 'cognition budget alerts'"
        " and take notice with 'cognition budget ack'"
    )


def held_by_the_dead(lapsed: Lapsed) -> str | None:
    """Say that money is set aside for calls that nobody makes any more.

    Args:
        lapsed: What is, whose lease ended an hour ago.
    """
    if not lapsed.calls:
        return None
    return (
        f"{dollars(lapsed.usd)} of {_counted(lapsed.calls, 'call')} set aside by processes that ended: give it back"
        " with 'cognition budget close', as the flow cognition-reset-budgets does every hour"
    )


def _refusing(budgets: Sequence[Budget], model: str) -> str | None:
    found = [name_of(one) for one in budgets if one.scope != "model" or one.subject in (EVERYONE, model)]
    if not found:
        return None
    return f"{found[0]} refuses" if len(found) == 1 else f"{found[0]} and {len(found) - 1} more budgets refuse"


def _counted(count: int, word: str) -> str:
    return f"{count} {word} is" if count == 1 else f"{count} {word}s are"
