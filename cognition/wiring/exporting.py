"""Builds what tells monitoring how a store stands."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version

from cognition.adapters.prometheus import MeasuredCollector
from cognition.domain.measured import Measured


def collector_of(read: Callable[[], Measured], tenant: str) -> MeasuredCollector:
    """Return what Prometheus collects.

    Args:
        read: Reads what monitoring sees.
        tenant: Whose figures they are.
    """
    return MeasuredCollector(read, version("prefect-cognition"), tenant)
