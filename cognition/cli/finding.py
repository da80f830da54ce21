"""What `cognition doctor` finds."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found.

    Attributes:
        check: What was checked.
        ok: Whether it is as it should be.
        detail: What was found, or what to do.
    """

    check: str
    ok: bool
    detail: str
