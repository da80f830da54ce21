"""LLM providers and prices, through pydantic-ai and genai-prices."""
