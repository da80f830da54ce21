"""How code on an event loop uses what blocks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

T = TypeVar("T")


class InThread(Protocol):
    """Runs a blocking call in a worker thread."""

    async def __call__(self, use: Callable[[], T]) -> T:
        """Return what the blocking call returns."""
        ...
