"""Money: exact decimals, rounded once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal

from cognition.errors import ConfigurationError

_NANO_DOLLAR = Decimal("0.000000001")


def to_usd(amount: Decimal) -> Decimal:
    """Return an amount rounded half up to nine places, as `NUMERIC(20,9)` keeps it."""
    return amount.quantize(_NANO_DOLLAR, rounding=ROUND_HALF_UP)


def dollars(amount: Decimal) -> str:
    """Return an exact amount for people: at least cents, and no idle zeros beyond them."""
    sign = "-" if amount < 0 else ""
    whole, _, places = f"{abs(amount):f}".partition(".")
    return f"{sign}${whole}.{places.rstrip('0').ljust(2, '0')}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What a call cost, and how that was computed.

    Attributes:
        usd: The amount in US dollars, nine places.
        source: Where the price came from: `genai-prices`, `override`, or `cache` for a hit.
        version: Version of that source.
        rates: The rates used, in US dollars per million tokens, by kind of token.
    """

    usd: Decimal
    source: str
    version: str
    rates: Mapping[str, str] = field(default_factory=dict[str, str])


Terms = tuple[tuple[str, str], ...]
"""What a price depends on besides tokens, such as `(("service_tier", "priority"),)`; as `genai-prices` names it."""

_TERMS = ("processing", "route", "search_type", "service_tier", "speed")


def terms_of(told: Mapping[str, object] | None) -> Terms:
    """Return the terms of a price among the details that a provider told with its answer."""
    return tuple((name, value) for name in _TERMS if told and isinstance(value := told.get(name), str))


@dataclass(frozen=True, slots=True)
class Estimate:
    """The most that something can cost.

    Attributes:
        usd: In US dollars; None when nobody knows.
        why: Why nobody knows, as a part of a sentence; None when it is the price that is not known.
    """

    usd: Decimal | None = None
    why: str | None = None


FREE = Cost(usd=Decimal(0), source="free", version="")
"""The cost of an attempt that the provider does not charge."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """A price that overrides the public one.

    Attributes:
        input_per_million: US dollars for a million prompt tokens.
        output_per_million: US dollars for a million answer tokens.
        cached_input_per_million: US dollars for a million prompt tokens read from the provider's own cache; by default
            the input price.
    """

    input_per_million: Decimal
    output_per_million: Decimal
    cached_input_per_million: Decimal | None = None

    def __post_init__(self) -> None:
        """Refuse a price below zero.

        Raises:
            ConfigurationError: A price is negative or no number.
        """
        prices = (self.input_per_million, self.output_per_million, self.cached_input_per_million or Decimal(0))
        if not all(price.is_finite() and price >= 0 for price in prices):
            raise ConfigurationError("Each price of a Rate must be a number of US dollars, zero or more.")
