"""What is written down about each call: one row an attempt that reached a provider, one row a cache hit."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Literal
from uuid import UUID, uuid5

from pydantic_ai.usage import RequestUsage

from cognition.domain.attribution import Attribution
from cognition.domain.entry import Address, Layer
from cognition.domain.fingerprint import canonical_json
from cognition.domain.pricing import Cost
from cognition.domain.semantic import Pair

Status = Literal["ok", "failed_billed", "failed_free", "cancelled", "cache_hit", "late", "adjustment"]

# Any fixed UUID will do; it only keeps our keys apart from other UUIDv5 keys.
_CALL_KEYS = UUID("6f1c3c39-7d4b-5a2e-9a51-0d7f6c1b8e42")


def call_key_of(who: Attribution, request_id: str, request_key: bytes) -> UUID:
    """Return what identifies a call in the ledger and in budgets (UUIDv5, RFC 9562).

    Args:
        who: Who it is booked to.
        request_id: The call, as in `Completion.request_id`.
        request_key: The exact key of its request.
    """
    name = f"{who.flow_run_id}|{who.task_run_id}|{who.run_count}|{request_id}|{request_key.hex()}"
    return uuid5(_CALL_KEYS, name)


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerRow:
    """One attempt or one hit.

    Attributes:
        tenant: Whose call it was.
        namespace: The cache namespace it used.
        attribution: Who it is booked to.
        request_id: The call, as in `Completion.request_id`.
        request_key: The exact key of the request.
        model: The model that answered or was tried, `provider:model`.
        requested_model: The model that was asked for.
        usage: Tokens; all zero when nothing is known.
        cost: What it cost and how that was computed; None when the price is unknown.
        saved_usd: What a hit saved; zero for attempts, None when the price is unknown.
        layer: Which layer answered; `provider` for attempts.
        status: How it ended.
        attempt: 1 for the first attempt; 0 for a hit.
        latency_ms: How long it took.
        error: Class name of the error of a failed attempt.
        created_at: When it happened, by the caller's clock.
    """

    tenant: str
    namespace: str
    attribution: Attribution
    request_id: str
    request_key: bytes
    model: str
    requested_model: str
    usage: RequestUsage = field(default_factory=RequestUsage)
    cost: Cost | None = None
    saved_usd: Decimal | None = Decimal(0)
    layer: Layer = Layer.PROVIDER
    status: Status = "ok"
    attempt: int = 1
    latency_ms: float = 0.0
    error: str | None = None
    created_at: datetime

    @property
    def provider(self) -> str:
        """Name of the provider."""
        return self.model.partition(":")[0]

    @property
    def cache_hit(self) -> bool:
        """Whether the row is a cache hit."""
        return self.layer is not Layer.PROVIDER

    @property
    def call_key(self) -> UUID:
        """Identifies the call in the ledger, the same for every write of the same call (UUIDv5, RFC 9562)."""
        return call_key_of(self.attribution, self.request_id, self.request_key)

    @property
    def payload_hash(self) -> bytes:
        """SHA-256 over the whole row: another row under the same key is an error, not an update.

        Attribution is left out, because the root flow run may become known only later.
        """
        contents = {name: str(getattr(self, name)) for name in self.__slots__ if name != "attribution"}
        return hashlib.sha256(canonical_json(contents)).digest()


@dataclass(frozen=True, slots=True)
class BookedCall:
    """What the ledger knows of one call's place in the cache.

    Attributes:
        namespace: In which namespace it was.
        request_key: The exact key of its request.
        layer: Which layer answered it.
    """

    namespace: str
    request_key: bytes
    layer: Layer


@dataclass(slots=True)
class LookUpCounts:
    """How look-ups in one layer ended during an hour; added up, never replaced."""

    hits: int = 0
    misses: int = 0
    corrupt: int = 0
    refusals: int = 0
    stores: int = 0
    saved_usd: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True)
class CountKey:
    """What look-up counts are kept for.

    Attributes:
        tenant: Whose look-ups.
        layer: In which layer.
        namespace: In which namespace.
        model: For which model.
        hour: Start of the hour.
    """

    tenant: str
    layer: Layer
    namespace: str
    model: str
    hour: datetime


def hour_of(when: datetime) -> datetime:
    """Return the start of the hour in which something is counted, of UTC: some zones are half an hour apart."""
    return when.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerBatch:
    """What is written in one transaction, so that totals and rows always agree.

    Attributes:
        rows: Ledger rows.
        counts: Look-ups to add to the rollups.
        accesses: How often each entry answered since the last batch, with the last time.
        pairs: Similar questions that met, written before the rest.
    """

    rows: Sequence[LedgerRow] = ()
    counts: Mapping[CountKey, LookUpCounts] = field(default_factory=dict[CountKey, LookUpCounts])
    accesses: Mapping[Address, tuple[int, datetime]] = field(default_factory=dict[Address, tuple[int, datetime]])
    pairs: Sequence[Pair] = ()


NOTHING = LedgerBatch()
"""A batch for those who have nothing to write down."""


Dimension = Literal[
    "workflow",
    "flow_run",
    "root_flow_run",
    "task",
    "task_run",
    "user",
    "team",
    "model",
    "namespace",
    "layer",
    "status",
    "day",
]
"""What a report may group by."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportLine:
    """One group of a report.

    Attributes:
        group: The value of each dimension asked for, in that order; None where a call had none.
        calls: Calls, hits included; a call with several attempts counts once.
        hits: Calls answered by a cache layer.
        attempts: Attempts that reached a provider.
        input_tokens: Tokens sent in attempts.
        output_tokens: Tokens received in attempts.
        cost_usd: Sum of known costs.
        saved_usd: Sum of known savings.
        unpriced: Attempts whose price is unknown and therefore missing in `cost_usd`.
        median_latency_ms: Median of how long they took, as far as rows are still kept; None where none are.
        slowest_ms: The longest of them.
    """

    group: Mapping[Dimension, str | None]
    calls: int
    hits: int
    attempts: int
    input_tokens: int
    output_tokens: int
    cost_usd: Decimal
    saved_usd: Decimal
    unpriced: int
    median_latency_ms: float | None
    slowest_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportQuery:
    """What a report covers.

    Attributes:
        tenant: Whose calls.
        group_by: Dimensions, in order.
        since: From this time on, or None.
        until: Up to but excluding this time, or None.
        flow_run_id: Only calls of one flow run and the subflows below it, or None.
        request_id: Only one call, as in `Completion.request_id`, or None.
    """

    tenant: str
    group_by: tuple[Dimension, ...] = ("workflow", "model")
    since: datetime | None = None
    until: datetime | None = None
    flow_run_id: str | None = None
    request_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerStats:
    """How one layer served during a window.

    Attributes:
        layer: The layer.
        hits: Look-ups it answered.
        misses: Look-ups it could not answer.
        corrupt: Unreadable values it met.
        refusals: In L3, near questions whose answers were refused, counted among the misses.
        stores: Answers written to it.
        saved_usd: What its hits saved.
    """

    layer: Layer
    hits: int
    misses: int
    corrupt: int
    refusals: int = 0
    stores: int
    saved_usd: Decimal

    @property
    def hit_rate(self) -> float:
        """Share of look-ups that it answered, 0 when there were none."""
        return self.hits / (self.hits + self.misses) if self.hits + self.misses else 0.0
