"""How budgets stand, for people: a page, and a bar for each that is near its limit."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

from cognition.domain.adjustment import ClosedPeriod
from cognition.domain.budget import EVERYONE, Budget
from cognition.domain.forecast import Forecast
from cognition.domain.pricing import dollars
from cognition.domain.reservation import Standing
from cognition.services.markdown import cell, table
from cognition_flows.pictures import bars

_BARS: Final = 8
_ROWS: Final = 100
_CLOSED_ROWS: Final = 20
_MOST_ROWS: Final = 1000  # a table artifact is one row in Prefect's database
_COLUMNS: Final = ("budget", "limit", "spent", "set aside", "left", "resets", "used up")
_LETTERS: Final = 40
_MARK: Final = 8  # digits of a key that tell budgets apart, and as many that tell subjects
_NOTHING: Final = "Nothing is spent in the present period of this budget."

BAR_KEYS: Final = "cognition-budget-"
"""How the keys of the bars begin."""


@dataclass(frozen=True, slots=True)
class Bar:
    """A progress artifact.

    Attributes:
        key: The same as long as the budget is there.
        percent: What is spent and set aside, of the limit.
        text: The same in words.
    """

    key: str
    percent: float
    text: str


def budgets_page(
    budgets: Sequence[Budget], forecasts: Sequence[Forecast], closed: Sequence[ClosedPeriod], zone: ZoneInfo
) -> str:
    """Return the page with every budget, those nearest to their limits first.

    Args:
        budgets: All that count.
        forecasts: How their counters stand, and when their money is gone.
        closed: The periods that were closed just now.
        zone: Whose clock is shown.
    """
    if not budgets:
        return "No budget is set; set one with `cognition budget set` or the block LLM Budget.\n"
    fullest = sorted(forecasts, key=lambda one: share(one.standing), reverse=True)
    parts = [_picture([one.standing for one in fullest[:_BARS]])]
    if fullest:
        parts.append(table(_COLUMNS, [_row(one, zone) for one in fullest[:_ROWS]]))
    if len(fullest) > _ROWS:
        parts.append(f"and {len(fullest) - _ROWS} more, further from their limits.")
    if unused := _unused(budgets, forecasts):
        parts.append(f"Nothing spent yet: {', '.join(unused)}.")
    if closed:
        parts.append(f"### Closed just now\n\n{_closed_table(closed, zone)}")
    return "\n\n".join(part for part in parts if part) + "\n"


def closed_rows(closed: Sequence[ClosedPeriod]) -> list[dict[str, Any]]:
    """Return closed periods for a table artifact, the dearest first; money as text, because JSON knows no decimals."""
    return [
        {
            "budget": one.name,
            "since": one.period_start.isoformat(),
            "until": one.period_end.isoformat(),
            "limit_usd": f"{one.limit_usd + one.credit_usd:f}",
            "spent_usd": f"{one.used_usd:f}",
            "attempts": one.calls,
            "alerts_ended": one.alerts_resolved,
        }
        for one in _dearest(closed)[:_MOST_ROWS]
    ]


def progress_of(budgets: Iterable[Budget], standings: Sequence[Standing], drawn: Mapping[str, float]) -> list[Bar]:
    """Return the bars to draw: of the counters at or over their soft limit, and of those whose bar is no longer true.

    Args:
        budgets: All that count.
        standings: How their counters stand.
        drawn: The bars that there are, other stores' too: their keys and how far they reach, in per cent.
    """
    bars_now = {_key(one): (one, _percent(one)) for one in standings}
    near = [key for key, (one, _) in bars_now.items() if share(one) >= one.soft_limit]
    near.sort(key=lambda key: share(bars_now[key][0]), reverse=True)
    old = [key for key, (_, percent) in bars_now.items() if key in drawn and drawn[key] != percent]
    ours = {_mark(one.budget_id) for one in budgets}
    gone = [
        Bar(key, 0.0, _NOTHING)
        for key, percent in drawn.items()
        if percent and key not in bars_now and key[-2 * _MARK : -_MARK] in ours
    ]
    return [Bar(key, bars_now[key][1], _sentence(bars_now[key][0])) for key in dict.fromkeys([*near, *old])] + gone


def share(standing: Standing) -> Decimal:
    """Return what is spent and set aside, as a part of the limit; above 1 when a call cost more than its estimate."""
    taken = standing.used_usd + standing.reserved_usd
    return taken / standing.total_usd if standing.total_usd > 0 else Decimal(1)


def _picture(standings: Sequence[Standing]) -> str:
    # What is beyond the limit would stand out of the picture.
    lines = [
        (f"{one.subject} ({one.period})", min(share(one), Decimal(1)), f"{share(one):.0%} of {dollars(one.total_usd)}")
        for one in standings
    ]
    return bars("Spent and set aside, of the limit", lines, whole=1)


def _row(one: Forecast, zone: ZoneInfo) -> list[str]:
    standing = one.standing
    amounts = (standing.total_usd, standing.used_usd, standing.reserved_usd, standing.remaining_usd)
    return [
        cell(standing.name),
        *(dollars(amount) for amount in amounts),
        _time(standing.resets_at, zone),
        _used_up(one, zone),
    ]


def _used_up(one: Forecast, zone: ZoneInfo) -> str:
    if one.exhausted_at is not None:
        return "now" if one.standing.used_usd >= one.standing.total_usd else _time(one.exhausted_at, zone)
    return "not before it resets" if one.hourly_usd is not None else "too little to go by"


def _unused(budgets: Sequence[Budget], forecasts: Sequence[Forecast]) -> list[str]:
    """Return the budgets of everyone that nobody has used; the others always have a counter."""
    used = {one.standing.budget_id for one in forecasts}
    return [
        f"{one.period} budget of each {one.scope.replace('_', ' ')} ({dollars(one.limit_usd)})"
        for one in budgets
        if one.subject == EVERYONE and one.budget_id not in used
    ]


def _closed_table(closed: Sequence[ClosedPeriod], zone: ZoneInfo) -> str:
    rows = [
        [
            cell(one.name),
            _time(one.period_start, zone),
            dollars(one.limit_usd + one.credit_usd),
            dollars(one.used_usd),
            f"{one.calls:,}",
        ]
        for one in _dearest(closed)[:_CLOSED_ROWS]
    ]
    more = f"\n\nand {len(closed) - _CLOSED_ROWS} more." if len(closed) > _CLOSED_ROWS else ""
    return f"{table(('budget', 'since', 'limit', 'spent', 'attempts'), rows)}{more}"


def _dearest(closed: Sequence[ClosedPeriod]) -> list[ClosedPeriod]:
    return sorted(closed, key=lambda one: one.used_usd, reverse=True)


def _percent(standing: Standing) -> float:
    return min(100.0, float(round(100 * share(standing), 1)))


def _sentence(standing: Standing) -> str:
    aside = f", {dollars(standing.reserved_usd)} set aside" if standing.reserved_usd else ""
    return f"{standing.name}: {dollars(standing.used_usd)} of {dollars(standing.total_usd)} spent{aside}"


def _key(standing: Standing) -> str:
    """Return the key of a counter's bar; Prefect takes small letters, digits and dashes."""
    words = re.sub(r"[^a-z0-9]+", "-", f"{standing.scope} {standing.subject}".lower()).strip("-")[:_LETTERS].strip("-")
    # Two subjects may have the same letters, and a subject several budgets.
    digest = hashlib.sha256(standing.subject.encode()).hexdigest()[:_MARK]
    return f"{BAR_KEYS}{words}-{_mark(standing.budget_id)}{digest}"


def _mark(budget_id: UUID | None) -> str:
    return "" if budget_id is None else budget_id.hex[-_MARK:]


def _time(at: datetime | None, zone: ZoneInfo) -> str:
    return "never" if at is None else f"{at.astimezone(zone):%Y-%m-%d %H:%M %Z}"
