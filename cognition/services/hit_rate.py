"""How well the cache served, compared with the window before; numbers come from SQL, never from rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final, Protocol

from pydantic_ai.usage import RequestUsage

from cognition.domain.charges import ChargeQuery, Charges, Sums
from cognition.domain.error_bound import WINDOW, bar_of
from cognition.domain.hit_rate import Embedded, HitRates, LookUps, Missed, Precision, Refused, Served, Windows
from cognition.domain.ledger import hour_of
from cognition.domain.semantic_policy import SemanticPolicy
from cognition.errors import ConfigurationError
from cognition.ports import Clock, PairStore, Prices
from cognition.services.chargeback import ChargeStore
from cognition.services.measuring import TotalsStore

_HOUR: Final = timedelta(hours=1)
_BYTES_A_TOKEN: Final = 4  # of English text; a vector's price is a small part of a call's, so no closer guess is needed
_LOCAL: Final = "local:"


class ReportStore(ChargeStore, TotalsStore, Protocol):
    """What reports read; see `cognition.adapters.postgres.report_store`."""

    def look_ups(self, windows: Windows) -> list[LookUps]:
        """Return how look-ups ended in both windows: by layer, and by namespace and by model in each layer."""
        ...

    def misses(self, windows: Windows, limit: int) -> list[Missed]:
        """Return the requests that the provider was asked for most often in the window, none of them only once."""
        ...

    def refusals(self, windows: Windows, limit: int) -> list[Refused]:
        """Return where L3 refused most in the window."""
        ...

    def judged(self, tenant: str) -> list[tuple[str, str]]:
        """Return the namespaces in which answers of L3 were judged, with the fingerprint of the embedder."""
        ...

    def embedded(self, windows: Windows) -> list[Embedded]:
        """Return what embedders had to do since the window began."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class HitRateParts:
    """What the report is made from.

    Attributes:
        store: Sums of the ledger and the rollups.
        pairs: Verdicts on answers of L3.
        prices: What vectors cost.
        policy: How near a neighbour must be.
        clock: Returns the present time.
    """

    store: ReportStore
    pairs: PairStore
    prices: Prices
    policy: SemanticPolicy
    clock: Clock


def windows_of(tenant: str, window: timedelta, now: datetime) -> Windows:
    """Return a window that ends now, and one before it that is as long.

    Look-ups are counted by the hour, so a window is a number of whole hours and the one that has begun.

    Raises:
        ConfigurationError: The window is shorter than an hour.
    """
    hours = window // _HOUR
    if hours < 1:
        raise ConfigurationError("Look-ups are counted by the hour; let the report cover an hour at least.")
    since = hour_of(now) - hours * _HOUR
    return Windows(tenant=tenant, before=since - hours * _HOUR, since=since, until=now)


def hit_rates(parts: HitRateParts, tenant: str, window: timedelta, most: int) -> HitRates:
    """Return how well the cache of a tenant served.

    Args:
        parts: What the report is made from.
        tenant: Whose cache.
        window: How far to look back, and how far before that to compare with.
        most: How many misses and refusals are named at most.

    Raises:
        ConfigurationError: The window is shorter than an hour.
        CacheUnavailable: PostgreSQL does not answer.
    """
    windows = windows_of(tenant, window, parts.clock())
    now = parts.store.charges(_workflows(tenant, windows.since, windows.until))
    then = parts.store.charges(_workflows(tenant, windows.before, windows.since))
    return HitRates(
        windows=windows,
        total=now.total,
        total_before=then.total,
        look_ups=parts.store.look_ups(windows),
        workflows=_served(now, then),
        precision=[_precision(parts, tenant, *judged) for judged in parts.store.judged(tenant)],
        misses=parts.store.misses(windows, most),
        refusals=parts.store.refusals(windows, most),
        embedding_usd=_cost(parts, parts.store.embedded(windows), windows.until),
    )


def _workflows(tenant: str, since: datetime, until: datetime) -> ChargeQuery:
    return ChargeQuery(tenant=tenant, cuts=("workflow",), since=since, until=until)


def _served(now: Charges, then: Charges) -> Sequence[Served]:
    """Return the workflows of both windows, those with most calls first."""
    current, earlier = ({line.value: line.sums for line in charges.cuts["workflow"]} for charges in (now, then))
    names = dict.fromkeys([*current, *earlier])
    served = [Served(name, current.get(name, Sums()), earlier.get(name, Sums())) for name in names]
    return sorted(served, key=lambda one: (-one.sums.calls, -one.before.calls, one.workflow or ""))


def _precision(parts: HitRateParts, tenant: str, namespace: str, embedder: str) -> Precision:
    bar = bar_of(parts.pairs.labels(tenant, namespace, embedder, WINDOW), parts.policy.limit_of(namespace))
    return Precision(
        namespace=namespace,
        embedder=embedder,
        labels=bar.labels,
        wrong=bar.wrong,
        threshold=bar.threshold,
        basis=bar.basis,
        at_least=1 - bar.error_bound,
    )


def _cost(parts: HitRateParts, embedded: Iterable[Embedded], at: datetime) -> Decimal | None:
    """Return what vectors cost, estimated from the length of their texts; None when a price is unknown."""
    total = Decimal(0)
    for one in embedded:
        if one.embedder.startswith(_LOCAL):
            continue
        if one.mean_bytes is None:
            return None
        usage = RequestUsage(input_tokens=round(one.vectors * one.mean_bytes / _BYTES_A_TOKEN))
        cost = parts.prices.cost_of(one.embedder.rpartition("@")[0], usage, at)
        if cost is None:
            return None
        total += cost.usd
    return total
