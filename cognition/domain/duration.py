"""Lengths of time as people write them."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from pydantic import BeforeValidator


def _seconds(value: object) -> object:
    """Read a bare number as seconds; everything else is left to pydantic, which knows ISO 8601 (`PT10M`)."""
    if isinstance(value, str):
        try:
            return timedelta(seconds=float(value))
        except (ValueError, OverflowError):
            return value
    return value


Duration = Annotated[timedelta, BeforeValidator(_seconds)]
"""A length of time; where it comes from the environment, a number means seconds."""
