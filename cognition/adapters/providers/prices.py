"""Prices of model calls, from the snapshot inside genai-prices; nothing is ever fetched."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal

import genai_prices
from genai_prices.types import ModelPrice, PriceCalculation, TieredPrices
from pydantic_ai.usage import RequestUsage

from cognition.domain.pricing import Cost, Rate, to_usd

_PER_TOKEN = Decimal("0.000001")
_RATE_SUFFIX = "_mtok"


class GenaiPrices:
    """Knows what tokens cost: the user's own prices first, then the public ones (tiers, dates, cached tokens)."""

    def __init__(self, overrides: Mapping[str, Rate] | None = None) -> None:
        """Use public prices, except for some models.

        Args:
            overrides: Prices by `provider:model`, for private agreements and models without a public price.
        """
        self._overrides = dict(overrides or {})

    def cost_of(self, model: str, usage: RequestUsage, at: datetime) -> Cost | None:
        """Return what a call cost at a time, or None when the model's price is unknown.

        Args:
            model: `provider:model`.
            usage: Tokens of the call; input includes cached tokens, output includes reasoning.
            at: When it was made; prices change.
        """
        usage = _inclusive(usage)
        if model in self._overrides:
            return _own_cost(self._overrides[model], usage)
        provider, _, name = model.partition(":")
        try:
            priced = genai_prices.calc_price(usage, name, provider_id=provider, genai_request_timestamp=at)
        except (LookupError, ValueError):
            # ValueError: the price asks for a detail of the usage (such as audio seconds) that the provider left out.
            return None
        return Cost(
            usd=to_usd(max(priced.total_price, Decimal(0))),
            source="genai-prices",
            version=_version(priced),
            rates=_rates(priced.model_price, usage.input_tokens),
        )


def _inclusive(usage: RequestUsage) -> RequestUsage:
    """Return the usage with input tokens that include the cached ones.

    Some compatible servers count cached tokens beside the input. Then the parts exceed the whole, and a price computed
    from their difference would be negative.
    """
    parts = max(usage.cache_read_tokens, 0) + max(usage.cache_write_tokens, 0)
    counts = (usage.input_tokens, usage.output_tokens, usage.cache_read_tokens, usage.cache_write_tokens)
    if min(counts) >= 0 and usage.input_tokens >= parts:
        return usage
    return RequestUsage(
        input_tokens=max(usage.input_tokens, 0) + parts,
        cache_read_tokens=max(usage.cache_read_tokens, 0),
        cache_write_tokens=max(usage.cache_write_tokens, 0),
        output_tokens=max(usage.output_tokens, 0),
    )


def _own_cost(rate: Rate, usage: RequestUsage) -> Cost:
    cached_rate = rate.input_per_million if rate.cached_input_per_million is None else rate.cached_input_per_million
    usd = _PER_TOKEN * (
        rate.input_per_million * (usage.input_tokens - usage.cache_read_tokens)
        + cached_rate * usage.cache_read_tokens
        + rate.output_per_million * usage.output_tokens
    )
    rates = {"input": rate.input_per_million, "cache_read": cached_rate, "output": rate.output_per_million}
    return Cost(
        usd=to_usd(usd), source="override", version="settings", rates={kind: str(per) for kind, per in rates.items()}
    )


def _version(priced: PriceCalculation) -> str:
    """Return the version of the snapshot, which a user's own program may have refreshed."""
    refreshed = priced.auto_update_timestamp
    return f"{genai_prices.__version__}+{refreshed.isoformat()}" if refreshed else genai_prices.__version__


def _rates(price: ModelPrice, input_tokens: int) -> dict[str, str]:
    """Return the rates per million tokens by kind, of tiers the one that applied."""
    return {
        kind.removesuffix(_RATE_SUFFIX): str(_applied(rate, input_tokens) if isinstance(rate, TieredPrices) else rate)
        for kind, rate in vars(price).items()
        if kind.endswith(_RATE_SUFFIX) and rate is not None
    }


def _applied(rate: TieredPrices, input_tokens: int) -> Decimal:
    reached = [tier.price for tier in rate.tiers if input_tokens > tier.start]
    return reached[-1] if reached else rate.base
