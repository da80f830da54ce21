"""What a process may spend while the budgets' store is away, by what it knew last."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from cognition.domain.budget import Budget
from cognition.domain.reservation import Reservation, Standing

# More counters than this are those of old flow runs.
_MOST = 10_000


@dataclass(slots=True)
class _Memory:
    standing: Standing
    seen: float
    since: Decimal = Decimal(0)


class LastKnown:
    """How counters stood when their store last answered, and what this process has let pass since; thread-safe."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        """Remember nothing yet.

        Args:
            monotonic: Returns seconds that never run backwards.
        """
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._seen: dict[tuple[UUID, str], _Memory] = {}

    def remember(self, reservation: Reservation) -> None:
        """Take in what the store has said just now."""
        now = self._monotonic()
        with self._lock:
            for share in reservation.shares:
                standing = share.standing
                key = (standing.budget_id, standing.subject)
                self._seen.pop(key, None)
                self._seen[key] = _Memory(standing, now, _just_held(reservation, share.estimate_usd))
            while len(self._seen) > _MOST:
                del self._seen[next(iter(self._seen))]

    def spend(self, counters: Sequence[tuple[Budget, str]], estimate_usd: Decimal | None) -> Budget | None:
        """Count an amount in the budgets that ask for `last_known`, or in none; return the first that objects.

        Args:
            counters: Budgets with the policy `last_known`, each with whose counter is used.
            estimate_usd: What the call may cost; None when nobody knows, which no budget lets pass.
        """
        with self._lock:
            found = [(budget, self._memory_of(budget, subject)) for budget, subject in counters]
            for budget, memory in found:
                if memory is None or estimate_usd is None or not _fits(memory, budget, estimate_usd):
                    return budget
            for _, memory in found:
                if memory is not None:
                    memory.since += estimate_usd or Decimal(0)
        return None

    def after_fork(self) -> None:
        """Go on in a child process: what was seen is true there too, and nobody is left who could open the lock."""
        self._lock = threading.Lock()

    def _memory_of(self, budget: Budget, subject: str) -> _Memory | None:
        """Return what is known of a counter, None when that is nothing or too old."""
        memory = self._seen.get((budget.budget_id, subject)) if budget.budget_id else None
        if memory is None or budget.last_known_max_age is None:
            return None
        age = self._monotonic() - memory.seen
        return memory if age <= budget.last_known_max_age.total_seconds() else None


def _just_held(reservation: Reservation, estimate_usd: Decimal | None) -> Decimal:
    """Return what a claim that was answered just now has set aside, which its standing is without."""
    return (estimate_usd or Decimal(0)) if reservation.admitted else Decimal(0)


def _fits(memory: _Memory, budget: Budget, estimate_usd: Decimal) -> bool:
    """Whether there is room by the limit that is known now, and the counters as they stood."""
    standing = memory.standing
    spoken_for = standing.used_usd + standing.reserved_usd + memory.since + estimate_usd
    return spoken_for <= budget.limit_usd + standing.credit_usd
