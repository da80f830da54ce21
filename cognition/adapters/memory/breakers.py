"""Shared breakers in memory."""

from __future__ import annotations

from cognition.resilience.local_breakers import LocalBreakers


class MemoryBreakers(LocalBreakers):
    """A store of breakers that several engines of one process can share: the state machine, and nothing else."""
