"""A spool in memory: it outlives an outage, not its process."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

from cognition.adapters.spool.lines import line_of, settlement_of
from cognition.domain.settlement import Settlement, SpoolState
from cognition.errors import CacheUnavailable, LedgerFull
from cognition.resilience.spool import Take

_PLENTY = 256_000_000
_FOR_NEW_ATTEMPTS = 7 / 8


@dataclass(slots=True)
class SpoolPlace:
    """What several spools share, as processes share a folder.

    Attributes:
        parts: What waits, by who wrote it.
        rejected: What was kept aside.
        lock: Held by whoever uses it.
    """

    parts: list[list[bytes]] = field(default_factory=list[list[bytes]])
    rejected: list[bytes] = field(default_factory=list[bytes])
    lock: threading.RLock = field(default_factory=threading.RLock)


class MemorySpool:
    """Keeps settlements in memory, in the very form in which files hold them."""

    def __init__(self, limit_bytes: int = _PLENTY, place: SpoolPlace | None = None) -> None:
        """Start empty.

        Args:
            limit_bytes: How much may wait.
            place: Where it waits; one of its own unless given.
        """
        self._place = place or SpoolPlace()
        self._limit = limit_bytes
        self._own: list[bytes] = []

    @property
    def waits(self) -> bool:
        """Whether anything waits."""
        return bool(self._used())

    def append(self, settlements: Sequence[Settlement]) -> None:
        """Keep settlements.

        Raises:
            CacheUnavailable: The limit is reached.
        """
        lines = [line_of(one) for one in settlements]
        with self._place.lock:
            if self._used() + sum(map(len, lines)) > self._limit:
                raise CacheUnavailable.of("spool", "it has reached its limit")
            if not self._own:
                self._place.parts.append(self._own)
            self._own += lines

    def require_room(self) -> None:
        """Return while there is room for what a new attempt may have to leave here.

        Raises:
            LedgerFull: There is none.
        """
        if self._used() >= self._limit * _FOR_NEW_ATTEMPTS:
            raise LedgerFull.of("memory", self._limit)

    def replay(self, take: Take) -> bool:
        """Hand over what waits, oldest first, except what others write."""
        with self._place.lock:
            left_behind = [part for part in self._place.parts if isinstance(part, _LeftBehind)]
            if not all(self._replayed(part, take) for part in left_behind):
                return False
            self.close()
            return all(self._replayed(part, take) for part in self._place.parts if isinstance(part, _LeftBehind))

    def reject(self, settlements: Sequence[Settlement]) -> None:
        """Keep aside what can never be booked."""
        known = self._place.rejected
        known += [line for line in map(line_of, settlements) if line not in known]

    def state(self) -> SpoolState:
        """Return what waits."""
        with self._place.lock:
            return SpoolState(
                place="memory",
                rows=sum(map(len, self._place.parts)),
                rejected=len(self._place.rejected),
                used_bytes=self._used(),
                limit_bytes=self._limit,
            )

    def close(self) -> None:
        """Leave what waits to others."""
        with self._place.lock:
            parts = self._place.parts
            parts[:] = [_LeftBehind(part) if part is self._own else part for part in parts]
            self._own = []

    def forget(self) -> None:
        """Start anew after a fork, whose child has a copy of what is the parent's."""
        self._place, self._own = SpoolPlace(), []

    def _used(self) -> int:
        with self._place.lock:
            return sum(len(line) for part in self._place.parts for line in part)

    def _replayed(self, part: list[bytes], take: Take) -> bool:
        settlements = [one for one in map(settlement_of, part) if one is not None]
        if not take(settlements):
            return False
        self._place.parts = [one for one in self._place.parts if one is not part]
        return True


class _LeftBehind(list[bytes]):
    """What nobody writes any more."""
