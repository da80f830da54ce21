"""Who pays for what: the ledger cut along one dimension at a time, each cut adding up to the same total."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

ChargedTo = Literal["workflow", "flow_run", "task", "user", "team", "model", "namespace", "layer", "day"]
"""What a chargeback may be cut along; days are those of UTC."""

Measure = Literal["calls", "hits", "attempts", "input_tokens", "output_tokens", "cost_usd", "saved_usd", "unpriced"]
"""What is added up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sums:
    """What some calls came to; sums of the parts of a whole are the sums of the whole.

    Attributes:
        calls: Calls, hits included; each stands where its hit or its first attempt stands, and nowhere else.
        hits: Calls that a cache layer answered.
        attempts: Attempts that reached a provider.
        input_tokens: Tokens sent in attempts.
        output_tokens: Tokens received in attempts.
        cost_usd: Sum of known costs and of adjustments.
        saved_usd: Sum of known savings.
        unpriced: Attempts whose price is unknown and therefore missing in `cost_usd`.
    """

    calls: int = 0
    hits: int = 0
    attempts: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: Decimal = Decimal(0)
    saved_usd: Decimal = Decimal(0)
    unpriced: int = 0

    @property
    def hit_rate(self) -> float:
        """Share of calls that a cache layer answered, 0 when there were none."""
        return self.hits / self.calls if self.calls else 0.0


MEASURES = tuple(one.name for one in fields(Sums))
"""The names of all sums, in order."""


def added(parts: Iterable[Sums]) -> Sums:
    """Return the sums of several parts together."""
    parts = list(parts)
    nothing = Sums()
    together: dict[str, Any] = {
        name: sum((getattr(part, name) for part in parts), getattr(nothing, name)) for name in MEASURES
    }
    return Sums(**together)


@dataclass(frozen=True, slots=True)
class Charge:
    """One line of a cut.

    Attributes:
        value: Whose or what it is; None where a call named none.
        sums: What it came to.
    """

    value: str | None
    sums: Sums


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargeQuery:
    """What a chargeback covers.

    Attributes:
        tenant: Whose calls.
        cuts: What it is cut along.
        since: From this time on, or None.
        until: Up to but excluding this time, or None.
    """

    tenant: str
    cuts: tuple[ChargedTo, ...]
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Charges:
    """The ledger of some time, read in one look: rows that are written meanwhile are in every cut or in none.

    Attributes:
        total: All of it.
        cuts: For each dimension its lines, dearest first; those of one dimension add up to the total.
    """

    total: Sums
    cuts: Mapping[ChargedTo, Sequence[Charge]]
