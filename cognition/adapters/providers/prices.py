"""Prices of model calls, from the snapshot inside genai-prices; nothing is ever fetched."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from decimal import Decimal

import genai_prices
from genai_prices.data_snapshot import get_snapshot
from genai_prices.types import ModelPrice, PriceCalculation, TieredPrices
from pydantic_ai.usage import RequestUsage

from cognition.adapters.providers.model_limits import longest_output
from cognition.domain.completion import CompletionRequest
from cognition.domain.estimate import ceiling_of, keeps_for_an_hour, unbounded_by
from cognition.domain.pricing import Cost, Estimate, Rate, Terms, terms_of, to_usd

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

    def cost_of(self, model: str, usage: RequestUsage, at: datetime, terms: Terms = ()) -> Cost | None:
        """Return what a call cost at a time, or None when the model's price is unknown.

        Args:
            model: `provider:model`.
            usage: Tokens of the call; input includes cached tokens, output includes reasoning.
            at: When it was made; prices change.
            terms: What the price depends on besides, such as the service tier.
        """
        usage = _inclusive(usage)
        if model in self._overrides:
            return _own_cost(self._overrides[model], usage)
        provider, _, name = model.partition(":")
        try:
            priced = genai_prices.calc_price(
                usage, name, provider_id=provider, genai_request_timestamp=at, price_context=dict(terms)
            )
        except (LookupError, ValueError):
            # ValueError: the price asks for a detail of the usage (such as audio seconds) that the provider left out.
            return None
        return Cost(
            usd=to_usd(max(priced.total_price, Decimal(0))),
            source="genai-prices",
            version=_version(priced),
            rates=_rates(priced.model_price, usage.input_tokens),
        )

    def most_of(self, request: CompletionRequest, at: datetime) -> Estimate:
        """Return the most that one attempt at a request can cost, as far as anybody knows.

        All of the prompt at the dearest rate for input (writing it to the provider's cache, where that costs more), in
        the tier that so many tokens reach, and an answer as long as the request or the model allows. What it then costs
        is rounded in the same way, so that it is never above this.
        """
        why = unbounded_by(request)
        if why is not None:
            return Estimate(why=why)
        ceiling, window = ceiling_of(request), self._window(request)
        sent = window if ceiling.input_tokens is None else ceiling.input_tokens
        if sent is None:
            return Estimate(why="nobody knows how much the model can read")
        received = ceiling.output_tokens or longest_output(request.model, window)
        costs = [
            self._dearest(request.model, usage, at, terms)
            for usage in _ways_to_count(request, sent, received)
            for terms in _terms_of(request)
        ]
        return Estimate(max((cost for cost in costs if cost is not None), default=None))

    def _dearest(self, model: str, usage: RequestUsage, at: datetime, terms: Terms) -> Decimal | None:
        cost = self.cost_of(model, usage, at, terms)
        return None if cost is None else cost.usd

    def _window(self, request: CompletionRequest) -> int | None:
        """Return the most tokens that a model reads, None when nobody knows."""
        provider, _, name = request.model.partition(":")
        try:
            return get_snapshot().find_provider_model(name, None, provider, None)[1].context_window
        except LookupError:
            return None


def _ways_to_count(request: CompletionRequest, sent: int, received: int) -> list[RequestUsage]:
    """Return how a provider may count the same tokens: read as usual, or written to its cache for later.

    Some providers write by themselves; for an hour, which costs more, only those that were asked to.
    """
    plain = RequestUsage(input_tokens=sent, output_tokens=received)
    written = [plain, replace(plain, cache_write_tokens=sent)]
    if keeps_for_an_hour(request):
        written.append(replace(plain, cache_write_tokens=sent, cache_write_1h_tokens=sent))
    return written


def _terms_of(request: CompletionRequest) -> list[Terms]:
    """Return on which terms a request may be answered: those it names, or every one where the provider may choose.

    A request that names no tier gets the default one, unless its account was told otherwise at the provider.
    """
    settings, speed = request.settings or {}, {"speed": (request.settings or {}).get("anthropic_speed")}
    own = next((name for name in settings if name.endswith("_service_tier") and _is_of(name, request.provider)), None)
    tier = settings.get(own or "service_tier")
    tiers = (None, "default", "flex", "priority") if tier == "auto" else (tier,)
    return [terms_of({**speed, "service_tier": one}) for one in tiers]


def _is_of(setting: str, provider: str) -> bool:
    """Whether a setting is the provider's own, which wins over that for all providers."""
    return provider.replace("-", "_").startswith(setting.removesuffix("_service_tier"))


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
