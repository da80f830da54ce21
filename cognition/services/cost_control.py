"""What calls cost and save, and who pays: prices in, ledger rows out."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any

from pydantic_ai.messages import ModelResponse
from pydantic_ai.usage import RequestUsage

from cognition.domain.completion import Call
from cognition.domain.entry import Address, CacheEntry
from cognition.domain.ledger import LedgerRow, Status
from cognition.domain.pricing import FREE, Cost, Terms, terms_of
from cognition.domain.settlement import Settlement
from cognition.ports import Clock, Prices
from cognition.services.ledger_buffer import LedgerBuffer
from cognition.services.spending import Hold, Spending

_ABSURD_USD = Decimal(1_000_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """How one attempt at the provider ended.

    Attributes:
        model: The model that was asked, `provider:model`.
        status: How it ended.
        latency: How long it took.
        usage: Tokens; all zero when the provider told none.
        cost: What it cost, None when nothing is known.
        error: Class name of the error, when it failed.
        hold: What was set aside for it, and its number.
    """

    model: str
    status: Status
    latency: timedelta
    usage: RequestUsage = field(default_factory=RequestUsage)
    cost: Cost | None = None
    error: str | None = None
    hold: Hold


class CostControl:
    """Prices calls and books them."""

    def __init__(self, prices: Prices, buffer: LedgerBuffer, spending: Spending, clock: Clock) -> None:
        """Price by some prices, book through a buffer.

        Args:
            prices: Knows what tokens cost.
            buffer: Writes ledger rows.
            spending: Sets money aside, and is told what became of it.
            clock: Returns the present time.
        """
        self._prices = prices
        self._buffer = buffer
        self._spending = spending
        self._clock = clock
        # Hits ask for the price of the same few calls over and over; prices change with the time of day at most.
        self._priced = lru_cache(maxsize=4096)(self._price)

    def cost_of(self, model: str, response: ModelResponse) -> Cost | None:
        """Return what an answer costs now; None when the price is unknown, or the provider told no tokens."""
        usage = response.usage
        # All that was counted, whatever new kinds of tokens a release of pydantic-ai knows.
        counts = tuple((kind, count) for kind, count in vars(usage).items() if count and kind != "details")
        if not counts:
            return None
        at = self._clock().replace(second=0, microsecond=0)
        cost = self._priced(model, counts, at, terms_of(response.provider_details))
        # Nobody's answer costs that much; a server that counts like this counts nothing.
        return None if cost is not None and cost.usd >= _ABSURD_USD else cost

    def saving_of(self, entry: CacheEntry) -> Decimal | None:
        """Return what the call behind a cached answer would cost now, or None when its price is unknown."""
        cost = self.cost_of(entry.model, entry.response)
        return cost.usd if cost else None

    @property
    def is_keeping(self) -> bool:
        """Whether what attempts cost is kept for later just now; then `require_room` before each."""
        return self._buffer.is_keeping

    def require_room(self) -> None:
        """Return while another attempt can be booked, or kept until it can; looks at the disk.

        Raises:
            LedgerFull: The store is away, and as much waits for it as may.
        """
        self._buffer.require_room()

    def book(self, call: Call, address: Address, attempt: Attempt) -> None:
        """Book one attempt: at once when it cost money, with the next batch when it was free; blocks."""
        hold = attempt.hold
        row = LedgerRow(
            tenant=call.request.tenant,
            namespace=call.request.namespace,
            attribution=call.attribution,
            request_id=call.request_id,
            request_key=address.key,
            model=attempt.model,
            requested_model=call.request.model,
            usage=attempt.usage,
            cost=attempt.cost,
            status=attempt.status,
            attempt=hold.attempt.attempt,
            latency_ms=attempt.latency.total_seconds() * 1000,
            error=attempt.error,
            created_at=self._clock(),
        )
        if attempt.status in {"ok", "failed_billed"} or (hold.pays and attempt.cost is not FREE):
            try:
                settled = self._buffer.settle(Settlement(row=row, held=hold.held, subjects=hold.subjects))
            finally:
                self._spending.ended(hold)
            self._spending.tell(row.tenant, settled)
        else:
            self._spending.release(hold)
            self._buffer.note([row])

    def _price(self, model: str, counts: tuple[tuple[str, Any], ...], at: datetime, terms: Terms) -> Cost | None:
        return self._prices.cost_of(model, RequestUsage(**dict(counts)), at, terms)
