"""How long the answers of known models can be; for what a call can cost at most when it does not say itself.

From the providers' model pages, November 2026. pydantic-ai and genai-prices know context windows, the longest answer
only of some. A model that is not listed is taken to answer as long as the longest of all, unless its window is smaller.
"""

from __future__ import annotations

LONGEST_OUTPUT_TOKENS = 128_000
"""The most that any model of the providers below answers with."""

_PROVIDERS = ("openai", "azure", "anthropic", "google")

# By the beginning of the name, the first that fits; sources: platform.openai.com/docs/models, docs.anthropic.com
# (models overview) and ai.google.dev (Gemini models).
_LONGEST: tuple[tuple[str, int], ...] = (
    ("gpt-3.5", 4_096),
    ("gpt-4-turbo", 4_096),
    ("gpt-4.1", 32_768),
    ("gpt-4.5", 16_384),
    ("gpt-4o-64k", 65_536),
    ("gpt-4o:extended", 65_536),
    ("gpt-4o", 16_384),
    ("chatgpt-4o", 16_384),
    ("gpt-4-", 8_192),
    ("o1-preview", 32_768),
    ("o1-mini", 65_536),
    ("o1", 100_000),
    ("o3", 100_000),
    ("o4", 100_000),
    ("claude-3-5", 8_192),
    ("claude-3-haiku", 4_096),
    ("claude-3-opus", 4_096),
    ("claude-haiku-4", 64_000),
    ("claude-sonnet-4", 64_000),
    ("claude-opus-4-0", 32_000),
    ("claude-opus-4-1", 32_000),
    ("claude-opus-4-5", 64_000),
    ("gemini-1.5", 8_192),
    ("gemini-2.0", 8_192),
    ("gemini-2.5", 65_536),
    ("gemini-3", 65_536),
)


def longest_output(model: str, window: int | None) -> int:
    """Return the most tokens that a model answers with.

    Args:
        model: `provider:model`.
        window: How many tokens it reads at most, None when nobody knows.
    """
    provider, _, name = model.partition(":")
    short = name.rpartition("/")[2].lower()
    listed = next((tokens for start, tokens in _LONGEST if short.startswith(start)), None)
    if listed is not None:
        return listed
    if provider.startswith(_PROVIDERS):
        return min(LONGEST_OUTPUT_TOKENS, window or LONGEST_OUTPUT_TOKENS)
    # Of other providers only that no answer is longer than what the model can hold.
    return window or LONGEST_OUTPUT_TOKENS
