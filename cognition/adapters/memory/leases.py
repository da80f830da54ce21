"""Leases in memory."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from datetime import datetime, timedelta

from cognition.domain.entry import Address
from cognition.ports import Clock, LeaseView


@dataclass(frozen=True, slots=True)
class _Lease:
    token: str
    ends_at: datetime


@dataclass(frozen=True, slots=True)
class _Outcome:
    token: str
    value: bytes
    ends_at: datetime


class MemoryLeases:
    """Leases among the threads of one process."""

    name = "memory"

    def __init__(self, clock: Clock) -> None:
        """Start without leases.

        Args:
            clock: Decides when a lease ends.
        """
        self._clock = clock
        self._lock = threading.Lock()
        self._leases: dict[Address, _Lease] = {}
        self._outcomes: dict[Address, _Outcome] = {}

    def acquire(self, address: Address, token: str, seconds: float) -> str:
        """Take the lease if it is free; return the token of whoever holds it now."""
        with self._lock:
            held = self._held(address)
            if held is None:
                held = self._leases[address] = _Lease(token, self._after(seconds))
            return held.token

    def renew(self, address: Address, token: str, seconds: float) -> bool:
        """Prolong one's own lease; return whether it was still held."""
        with self._lock:
            if not self._is_held_by(address, token):
                return False
            self._leases[address] = _Lease(token, self._after(seconds))
            return True

    def release(self, address: Address, token: str, outcome: bytes | None, seconds: float) -> None:
        """Give one's own lease back, leaving an outcome for those who wait; a lease that was lost stays as it is."""
        with self._lock:
            if not self._is_held_by(address, token):
                return
            del self._leases[address]
            if outcome is not None:
                self._outcomes[address] = _Outcome(token, outcome, self._after(seconds))

    def view(self, address: Address) -> LeaseView:
        """Return who holds the lease and what was left."""
        with self._lock:
            held, left = self._held(address), self._outcomes.get(address)
            holder = held.token if held else None
            if left is None or left.ends_at <= self._clock():
                self._outcomes.pop(address, None)
                return LeaseView(holder)
            return LeaseView(holder, left.token, left.value)

    def ping(self) -> None:
        """Return; memory always answers."""

    def _held(self, address: Address) -> _Lease | None:
        lease = self._leases.get(address)
        return lease if lease is not None and lease.ends_at > self._clock() else None

    def _is_held_by(self, address: Address, token: str) -> bool:
        lease = self._held(address)
        return lease is not None and lease.token == token

    def _after(self, seconds: float) -> datetime:
        return self._clock() + timedelta(seconds=seconds)
