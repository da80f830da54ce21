"""What this process knows of shared breakers, and how old that is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from cognition.domain.breaker import BreakerKey, BreakerPolicy, BreakerState
from cognition.domain.breaker_standing import Standing, Tally
from cognition.resilience import circuit_breaker

_COMMIT = timedelta(seconds=1)
_REJECTIONS_SECONDS = 5.0  # a row that all workers write must not be written by each of them twice a second


@dataclass(slots=True)
class Copy:
    """How a shared breaker stood when it was last looked at, and what this worker has not told it yet.

    Attributes:
        standing: How it stood.
        policy: The numbers of the last call.
        taken_at: When the look began, by the monotonic clock: it is at least as new.
        used_at: When a call last needed it.
        full_until: No probe is asked for before; all permits were taken a moment ago.
        successes: Calls that succeeded since the worker last told.
        rejections: Calls refused since then.
        last_success_at: When the last call succeeded, by the monotonic clock.
        told_at: When the worker last told.
    """

    standing: Standing
    policy: BreakerPolicy
    taken_at: float
    used_at: float
    full_until: float = 0.0
    successes: int = 0
    rejections: int = 0
    last_success_at: float | None = None
    told_at: float = 0.0

    @property
    def is_well(self) -> bool:
        """Whether it lets all calls through, and the provider asked for no pause."""
        return self.standing.state is BreakerState.CLOSED and self.standing.cooldown_until is None

    @property
    def is_worrying(self) -> bool:
        """Whether the latest calls failed, so that another worker may be opening it right now."""
        return self.standing.state is BreakerState.CLOSED and self.standing.consecutive_failures > 0

    def worry(self) -> None:
        """Count a failure that is on its way to the store, for the calls that come meanwhile."""
        self.standing = replace(self.standing, consecutive_failures=self.standing.consecutive_failures + 1)

    def now(self, monotonic: float) -> datetime:
        """Return the time of the store that the copy comes from, at a time of the monotonic clock."""
        return self.standing.as_of + timedelta(seconds=monotonic - self.taken_at)

    def count_success(self, monotonic: float) -> None:
        """Count a call that went as everybody expects; it is told with the next one that does not."""
        self.successes += 1
        self.last_success_at = monotonic

    def take_tally(self, monotonic: float) -> Tally:
        """Return what was not told yet, and count anew."""
        since = None if self.last_success_at is None else timedelta(seconds=monotonic - self.last_success_at)
        tally = Tally(successes=self.successes, rejections=self.rejections, since_success=since)
        self.successes = self.rejections = 0
        self.told_at = monotonic
        return tally

    def cool_down(self, duration: timedelta, reason: str, now: datetime) -> None:
        """Let this worker not call for a while, before the store knows; `now` is its time."""
        agreed = circuit_breaker.cool_down(self.standing, duration, reason, now)
        self.standing = replace(
            self.standing, cooldown_until=agreed.cooldown_until, cooldown_reason=agreed.cooldown_reason
        )

    def must_tell(self, monotonic: float) -> bool:
        """Whether others wait for what was counted: shares need successes too, and people want to see rejections."""
        waiting = self.rejections > 0 and monotonic - self.told_at >= _REJECTIONS_SECONDS
        return waiting or (self.successes > 0 and self.policy.counts_shares)

    def prefer(self, standing: Standing, taken_at: float) -> bool:
        """Take a newer standing over; return whether the breaker has changed its state since.

        An answer that was overtaken by a later one is left aside, for both carry the time of the one store.
        """
        known = self.standing
        newer = standing.as_of - known.as_of
        # A look may carry a later time and yet not see what was just being committed. Much later it does: then an older
        # generation means that the store itself was restored.
        if newer < timedelta(0) or (standing.generation < known.generation and newer < _COMMIT):
            return False
        moved = standing.generation != known.generation
        if moved:
            self.successes, self.full_until = 0, 0.0
        elif (known.cooldown_until or standing.as_of) > (standing.cooldown_until or standing.as_of):
            # Agreed here a moment ago, and still on its way to the store.
            standing = replace(standing, cooldown_until=known.cooldown_until, cooldown_reason=known.cooldown_reason)
        self.standing, self.taken_at = standing, taken_at
        return moved


class BreakerCopies:
    """One copy for each breaker in use."""

    def __init__(self, idle_seconds: float, moved: Callable[[BreakerKey], None]) -> None:
        """Know nothing yet.

        Args:
            idle_seconds: Copies that nobody used for so long are dropped.
            moved: Told when a breaker has changed its state since it was last looked at.
        """
        self._idle_seconds = idle_seconds
        self._moved = moved
        self._copies: dict[BreakerKey, Copy] = {}

    def get(self, key: BreakerKey) -> Copy | None:
        """Return a copy of any age."""
        return self._copies.get(key)

    def put(self, standing: Standing, policy: BreakerPolicy, taken_at: float) -> Copy:
        """Keep how a breaker stands, as of a time of the monotonic clock."""
        copy = self._copies.get(standing.key)
        if copy is None:
            copy = self._copies[standing.key] = Copy(standing, policy, taken_at, taken_at)
        elif copy.prefer(standing, taken_at):
            self._moved(standing.key)
        return copy

    def refresh(self, standings: Sequence[Standing], taken_at: float) -> None:
        """Keep how some breakers stand, unless they were dropped meanwhile."""
        for standing in standings:
            copy = self._copies.get(standing.key)
            if copy is not None:
                self.put(standing, copy.policy, taken_at)

    def in_use(self, monotonic: float) -> list[Copy]:
        """Return the copies in use, and drop those that nobody used lately."""
        for copy in list(self._copies.values()):
            if monotonic - copy.used_at > self._idle_seconds:
                del self._copies[copy.standing.key]
        return list(self._copies.values())

    def drop(self, key: BreakerKey) -> None:
        """Know nothing of a breaker any more."""
        self._copies.pop(key, None)

    def drop_all(self) -> list[Copy]:
        """Know nothing any more; return what was known."""
        copies, self._copies = list(self._copies.values()), {}
        return copies
