"""Models that turn texts into vectors."""

from cognition.adapters.embedders.local import LocalEmbedder

__all__ = ["LocalEmbedder"]
