"""LLM providers and prices, through pydantic-ai and genai-prices."""

from cognition.adapters.providers.model_provider import ModelProvider
from cognition.adapters.providers.prices import GenaiPrices

__all__ = ["GenaiPrices", "ModelProvider"]
