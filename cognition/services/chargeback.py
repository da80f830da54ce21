"""Who pays for what, for a month's end: cuts of the ledger whose lines add up to its total, to the last digit.

The sums are made in SQL; pandas gets the lines of a cut, never rows of the ledger, and is imported when a frame is
asked for.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Final, Literal, Protocol, get_args

from cognition.domain.charges import MEASURES, Charge, ChargedTo, ChargeQuery, Charges, Sums, added
from cognition.domain.pricing import dollars
from cognition.errors import ConfigurationError
from cognition.services.markdown import cell, table

if TYPE_CHECKING:
    from pandas import DataFrame

CUTS: Final[tuple[ChargedTo, ...]] = ("workflow", "flow_run", "task", "user", "team", "model", "layer", "day")
"""What a chargeback is cut along unless it is told otherwise."""

TOTAL: Final = "total"

Format = Literal["csv", "markdown", "json"]


class ChargeStore(Protocol):
    """The ledger, as far as a chargeback needs it; see `cognition.adapters.postgres.report_store`."""

    def charges(self, query: ChargeQuery) -> Charges:
        """Return the sums of the whole and of its parts, for each cut, of one moment."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Chargeback:
    """What the calls of some time cost and saved, cut along several dimensions.

    Attributes:
        since: From this time on, or None for the beginning.
        until: Up to but excluding this time, or None.
        total: All of it; equal to the sums of the lines of each cut.
        cuts: For each dimension its lines, dearest first.
    """

    since: datetime | None
    until: datetime | None
    total: Sums
    cuts: Mapping[ChargedTo, Sequence[Charge]]

    def frame(self, cut: ChargedTo | None = None) -> DataFrame:
        """Return the lines of one cut, or of all of them below each other, as a pandas frame.

        Money stays `Decimal`, in columns of objects: a float would lose the last digits.

        Args:
            cut: A dimension; None for all of them, with the columns `by` and `value`.

        Raises:
            ConfigurationError: The report has no such cut.
        """
        from pandas import DataFrame  # noqa: PLC0415  it takes half a second, and most processes make no report

        self._check(cut)
        chosen = self.cuts if cut is None else {cut: self.cuts[cut]}
        lines = [(name, charge) for name, charges in chosen.items() for charge in charges]
        data: dict[str, list[object]] = {"by": [name for name, _ in lines]} if cut is None else {}
        data["value" if cut is None else cut] = [charge.value for _, charge in lines]
        data |= {name: [getattr(charge.sums, name) for _, charge in lines] for name in MEASURES}
        frame = DataFrame(data)
        for name in MEASURES:
            frame[name] = frame[name].astype("object" if name.endswith("_usd") else "int64")
        return frame

    def render(self, kind: Format, *, most: int | None = None) -> str:
        """Return the report as a text.

        Args:
            kind: `csv` has a row for each line of each cut and one for the total; `markdown` a table for each cut;
                `json` an object with `total` and `cuts`. Money is written in full, in JSON as text.
            most: In Markdown, the lines beyond so many of a cut become one, so that the table still adds up.

        Raises:
            ConfigurationError: There is no such format.
        """
        if kind not in _FORMATS:
            raise ConfigurationError(f"There is no format {kind!r}; use one of {', '.join(_FORMATS)}.")
        return _markdown(self, most) if kind == "markdown" else _FORMATS[kind](self)

    def shortened(self, cut: ChargedTo, most: int | None) -> Sequence[Charge]:
        """Return the dearest lines of a cut and one for all others, which still add up to the total; of days, all.

        Args:
            cut: A dimension of the report.
            most: How many lines there may be besides that one; None for all.

        Raises:
            ConfigurationError: The report has no such cut.
        """
        self._check(cut)
        charges = self.cuts[cut]
        if most is None or cut == "day" or len(charges) <= most + 1:
            return charges
        rest = charges[most:]
        return [*charges[:most], Charge(f"{len(rest):,} others", added(charge.sums for charge in rest))]

    def _check(self, cut: ChargedTo | None) -> None:
        if cut is not None and cut not in self.cuts:
            raise ConfigurationError(f"The report is not cut by {cut!r}; it is by {', '.join(self.cuts)}.")


def chargeback(
    store: ChargeStore, tenant: str, cuts: Sequence[ChargedTo], since: datetime | None, until: datetime | None
) -> Chargeback:
    """Return what the calls of a tenant cost and saved.

    Args:
        store: The ledger.
        tenant: Whose calls.
        cuts: What the report is cut along.
        since: From this time on, or None.
        until: Up to but excluding this time, or None.

    Raises:
        ConfigurationError: A dimension is unknown, or a time has no zone.
    """
    known = get_args(ChargedTo)
    unknown = next((cut for cut in cuts if cut not in known), None)
    if unknown is not None:
        raise ConfigurationError(f"Costs cannot be charged by {unknown!r}; use some of {', '.join(known)}.")
    if any(moment is not None and moment.tzinfo is None for moment in (since, until)):
        raise ConfigurationError("The times of a report need a time zone, such as 2026-11-01T00:00+00:00.")
    # Twice the same cut is one.
    query = ChargeQuery(tenant=tenant, cuts=tuple(dict.fromkeys(cuts)), since=since, until=until)
    found = store.charges(query)
    # Days are read in their order, everything else by its cost.
    ordered: dict[ChargedTo, Sequence[Charge]] = {
        cut: sorted(lines, key=_day) if cut == "day" else lines for cut, lines in found.cuts.items()
    }
    return Chargeback(since=since, until=until, total=found.total, cuts=ordered)


def _day(charge: Charge) -> str:
    return charge.value or ""


def plain(value: object) -> object:
    """Return a figure as it is written: money in full, not in scientific notation, as a zero with places would be."""
    return f"{value:f}" if isinstance(value, Decimal) else value


def _csv(report: Chargeback) -> str:
    frame = report.frame()
    for name in MEASURES:
        frame[name] = frame[name].map(plain)
    total = [TOTAL, "", *(plain(getattr(report.total, name)) for name in MEASURES)]
    written = io.StringIO()
    frame.to_csv(written, index=False, lineterminator="\n")
    csv.writer(written, lineterminator="\n").writerow(total)
    return written.getvalue()


def _json(report: Chargeback) -> str:
    content = {
        "since": report.since and report.since.isoformat(),
        "until": report.until and report.until.isoformat(),
        TOTAL: _figures(report.total),
        "cuts": {
            cut: [{cut: charge.value, **_figures(charge.sums)} for charge in charges]
            for cut, charges in report.cuts.items()
        },
    }
    return json.dumps(content, ensure_ascii=False, indent=2) + "\n"


def _figures(sums: Sums) -> dict[str, object]:
    return {name: plain(getattr(sums, name)) for name in MEASURES}


def _markdown(report: Chargeback, most: int | None = None) -> str:
    parts = [f"**{_sentence(report.total)}**"]
    for cut in report.cuts:
        rows = [_row(cell(charge.value), charge.sums) for charge in report.shortened(cut, most)]
        rows.append(_row(f"**{TOTAL}**", report.total))
        parts.append(f"### By {cut.replace('_', ' ')}\n\n{table([cut.replace('_', ' '), *_COLUMNS], rows)}")
    return "\n\n".join(parts) + "\n"


def _sentence(total: Sums) -> str:
    unknown = f" · attempts of unknown price, missing in the cost: {total.unpriced:,}" if total.unpriced else ""
    return (
        f"Calls: {total.calls:,} · from the cache: {total.hit_rate:.1%} · cost: {dollars(total.cost_usd)}"
        f" · saved: {dollars(total.saved_usd)}{unknown}"
    )


def _row(name: str, sums: Sums) -> list[str]:
    tokens = sums.input_tokens + sums.output_tokens
    money = (dollars(sums.cost_usd), dollars(sums.saved_usd))
    return [name, f"{sums.calls:,}", f"{sums.hit_rate:.1%}", f"{tokens:,}", *money]


_COLUMNS: Final = ("calls", "from the cache", "tokens", "cost", "saved")
_FORMATS: Final[Mapping[str, Callable[[Chargeback], str]]] = {"csv": _csv, "markdown": _markdown, "json": _json}
