"""What calls cost."""

from datetime import UTC, datetime
from decimal import Decimal

import genai_prices
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic_ai.usage import RequestUsage

from cognition.adapters.providers import GenaiPrices
from cognition.domain.pricing import Rate, terms_of

_NOW = datetime(2026, 11, 22, tzinfo=UTC)
_OWN = Rate(input_per_million=Decimal(3), output_per_million=Decimal(15), cached_input_per_million=Decimal("0.3"))
_COUNT = st.integers(-10, 10**7)


@pytest.mark.parametrize("provider", ["openai", "openai-chat", "openai-responses", "azure"])
def test_public_prices_are_found_under_every_name_of_a_provider(provider: str) -> None:
    """The same model costs the same through each of its APIs; the cost says how it was computed."""
    usage = RequestUsage(input_tokens=1_000_000, cache_read_tokens=400_000, output_tokens=500_000)

    cost = GenaiPrices().cost_of(f"{provider}:gpt-4o-mini", usage, _NOW)

    assert cost is not None
    # 0.6 M × $0.15 + 0.4 M × $0.075 + 0.5 M × $0.60
    assert Decimal("0.42") == cost.usd
    assert ("genai-prices", genai_prices.__version__) == (cost.source, cost.version)
    assert {"input": "0.15", "output": "0.6", "cache_read": "0.075"}.items() <= cost.rates.items()


def test_a_price_of_ones_own_comes_first() -> None:
    """An override beats the public price and is named as the source."""
    usage = RequestUsage(input_tokens=1000, cache_read_tokens=200, output_tokens=100)

    cost = GenaiPrices({"openai:gpt-4o-mini": _OWN}).cost_of("openai:gpt-4o-mini", usage, _NOW)

    assert cost is not None
    # 800 × 3 + 200 × 0.3 + 100 × 15, per million
    assert Decimal("0.003960000") == cost.usd
    assert ("override", {"input": "3", "cache_read": "0.3", "output": "15"}) == (cost.source, cost.rates)


@pytest.mark.parametrize("model", ["openai:no-such-model", "ollama:llama3", "local:smollm2-135m", "nobody:gpt-4o-mini"])
def test_an_unknown_price_is_not_zero(model: str) -> None:
    """What no list knows has no cost, not a cost of nothing."""
    assert GenaiPrices().cost_of(model, RequestUsage(input_tokens=10, output_tokens=10), _NOW) is None


def test_half_a_nano_dollar_is_rounded_up() -> None:
    """A cost is rounded once, half up, to nine places."""
    rate = Rate(input_per_million=Decimal("0.0005"), output_per_million=Decimal(0))

    cost = GenaiPrices({"x:y": rate}).cost_of("x:y", RequestUsage(input_tokens=1), _NOW)

    assert cost is not None
    assert Decimal("0.000000001") == cost.usd


def test_a_tier_that_was_reached_is_named_as_the_rate() -> None:
    """Long prompts of some models cost more per token, and the cost says so."""
    prices = GenaiPrices()

    below = prices.cost_of("openai:gpt-5.4", RequestUsage(input_tokens=272_000), _NOW)
    above = prices.cost_of("openai:gpt-5.4", RequestUsage(input_tokens=272_001), _NOW)

    assert below is not None
    assert above is not None
    assert Decimal(below.rates["input"]) * 2 == Decimal(above.rates["input"])


def test_the_terms_that_a_provider_tells_decide_the_price() -> None:
    """A priority tier is dearer, a batch cheaper; details that are no terms of a price are left out."""
    prices, usage = GenaiPrices(), RequestUsage(input_tokens=1_000_000)
    told = [{}, {"service_tier": "priority", "finish_reason": "stop", "timestamp": _NOW}, {"processing": "batch"}]

    plain, priority, batch = (prices.cost_of("openai:gpt-5-mini", usage, _NOW, terms_of(one)) for one in told)

    assert plain is not None
    assert priority is not None
    assert batch is not None
    assert batch.usd < plain.usd < priority.usd


def test_cached_tokens_beside_the_input_are_added_to_it() -> None:
    """A server that does not count cached tokens as input tokens does not make calls cheaper than free."""
    prices = GenaiPrices({"x:y": _OWN})

    beside = prices.cost_of("x:y", RequestUsage(input_tokens=100, cache_read_tokens=900), _NOW)
    inside = prices.cost_of("x:y", RequestUsage(input_tokens=1000, cache_read_tokens=900), _NOW)

    assert inside == beside


@given(_COUNT, _COUNT, _COUNT, _COUNT)
@pytest.mark.parametrize("model", ["openai:gpt-4o-mini", "anthropic:claude-haiku-4-5", "x:y"])
def test_no_usage_gives_a_negative_cost(model: str, given: int, answered: int, read: int, written: int) -> None:
    """Whatever nonsense a provider reports, nobody is paid for calling."""
    usage = RequestUsage(input_tokens=given, output_tokens=answered, cache_read_tokens=read, cache_write_tokens=written)

    cost = GenaiPrices({"x:y": _OWN}).cost_of(model, usage, _NOW)

    assert cost is not None
    assert cost.usd >= 0
