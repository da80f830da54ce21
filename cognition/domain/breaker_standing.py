"""How a breaker stands, what calls tell it, and what it answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from cognition.domain.breaker import BreakerKey, BreakerState, BreakerVerdict

_ZERO = timedelta(0)
_COUNTING = (BreakerState.CLOSED, BreakerState.METRICS_ONLY)


@dataclass(frozen=True, slots=True)
class Permit:
    """Leave for one probe, until its lease ends.

    Attributes:
        slot: Its number, from 1.
        id: Identifies it.
        holder: The worker that probes.
        lease_until: When it is free again, should its holder have died.
    """

    slot: int
    id: UUID
    holder: str
    lease_until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Calls counted for shares of failures and of slow calls.

    Attributes:
        started_at: When counting began; None before the first call.
        calls: How many calls ended.
        failures: How many of them failed.
        slow_calls: How many of them were slow.
        workers: Who saw failures or slow calls; no more than two names, which are evidence enough.
    """

    started_at: datetime | None = None
    calls: int = 0
    failures: int = 0
    slow_calls: int = 0
    workers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """Results since the breaker exists; for people, nothing is decided by them.

    Attributes:
        successes: Successes that were told; while all is well most are not.
        failures: Failures that counted.
        rejections: Calls that were refused, as far as workers told.
        outdated: Results that came after the state they were admitted in had ended.
    """

    successes: int = 0
    failures: int = 0
    rejections: int = 0
    outdated: int = 0


@dataclass(frozen=True, slots=True)
class Forced:
    """Who set a state, why and when."""

    actor: str
    reason: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Everything that is known of one breaker at one moment.

    Attributes:
        key: Which breaker.
        as_of: The moment, by the clock of the store that it comes from.
        state: Its state.
        generation: Grows with each transition; results of calls admitted in an older one no longer count.
        consecutive_failures: Failures since the last success.
        failures_by_worker: The same by worker.
        half_open_successes: Successful probes.
        consecutive_opens: How often it opened since it was last closed.
        opened_at: When it opened; in METRICS_ONLY, when it would have.
        open_until: When it may be probed.
        window: Counts for shares.
        cooldown_until: Until when the provider asked for no calls at all; this does not touch the state.
        cooldown_reason: Why.
        forced: Who set the state, if a person did.
        totals: Counts for people.
        last_failure: Name of the last error.
        last_failure_at: When it was.
        permits: Probes that run.
    """

    key: BreakerKey
    as_of: datetime
    state: BreakerState = BreakerState.CLOSED
    generation: int = 1
    consecutive_failures: int = 0
    failures_by_worker: Mapping[str, int] = field(default_factory=dict[str, int])
    half_open_successes: int = 0
    consecutive_opens: int = 0
    opened_at: datetime | None = None
    open_until: datetime | None = None
    window: Window = Window()
    cooldown_until: datetime | None = None
    cooldown_reason: str | None = None
    forced: Forced | None = None
    totals: Totals = Totals()
    last_failure: str | None = None
    last_failure_at: datetime | None = None
    permits: tuple[Permit, ...] = ()

    @property
    def open_left(self) -> timedelta:
        """How long it stays open from `as_of` on; zero when it is not open."""
        if self.state is not BreakerState.OPEN or self.open_until is None:
            return _ZERO
        return max(self.open_until - self.as_of, _ZERO)

    @property
    def cooldown_left(self) -> timedelta:
        """How long nobody should call from `as_of` on."""
        return _ZERO if self.cooldown_until is None else max(self.cooldown_until - self.as_of, _ZERO)

    @property
    def is_clean(self) -> bool:
        """Whether a further success would change nothing."""
        return self.state in _COUNTING and self.consecutive_failures == 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Transition:
    """One change of state, as it stands in the history.

    Attributes:
        key: Which breaker.
        from_state: The state before.
        to_state: The state after.
        generation: That of the new state.
        at: When.
        cause: `threshold`, `failure rate`, `slow calls`, `probe`, `probes`, `time`, `forced` or `reset`.
        worker: Whose call caused it, if a call did.
        actor: Who ordered it, if a person did.
        reason: Why that person did; otherwise the name of the error.
        consecutive_failures: Failures since the last success, before the change.
        open_until: When it may be probed, if it opened.
    """

    key: BreakerKey
    from_state: BreakerState
    to_state: BreakerState
    generation: int
    at: datetime
    cause: str
    worker: str | None = None
    actor: str | None = None
    reason: str | None = None
    consecutive_failures: int = 0
    open_until: datetime | None = None

    @property
    def open_seconds(self) -> float | None:
        """How long it stays open, in seconds; None when it did not open."""
        return None if self.open_until is None else (self.open_until - self.at).total_seconds()


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """What a breaker answers to a call.

    Attributes:
        standing: How it stands now.
        admitted: Whether the call may be made.
        permit: Of a probe: to be given back with its result.
        retry_after: Of a refusal: how long to wait at least, None when nobody can tell.
        transition: What this question changed.
    """

    standing: Standing
    admitted: bool
    permit: UUID | None = None
    retry_after: timedelta | None = None
    transition: Transition | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """What a worker counted for itself since it last told.

    Attributes:
        successes: Calls that succeeded, in time, while all was well.
        rejections: Calls refused from the local copy.
        since_success: How long ago the last one succeeded; None when none did.
    """

    successes: int = 0
    rejections: int = 0
    since_success: timedelta | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerResult:
    """How one call ended.

    Attributes:
        verdict: What it says about the provider.
        generation: That in which it was admitted.
        worker: Who made it.
        permit: Of a probe.
        slow: Whether it took too long.
        error: Name of the error of a failure.
        retry_after: How long the provider asked to be left alone.
        before: What the worker has not told yet.
    """

    verdict: BreakerVerdict
    generation: int
    worker: str
    permit: UUID | None = None
    slow: bool = False
    error: str | None = None
    retry_after: timedelta | None = None
    before: Tally = Tally()


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """What a result changed.

    Attributes:
        standing: How the breaker stands now.
        transition: The change of state that this result caused.
        threshold_reached: In METRICS_ONLY, whether it would have opened now, told once.
    """

    standing: Standing
    transition: Transition | None = None
    threshold_reached: bool = False


@dataclass(frozen=True, slots=True)
class Order:
    """A person's word on a breaker; CLOSED means that it is reset.

    Attributes:
        state: CLOSED, FORCED_OPEN, DISABLED or METRICS_ONLY.
        actor: Who says so.
        reason: Why.
    """

    state: BreakerState
    actor: str
    reason: str
