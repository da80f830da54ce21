"""The circuit breaker as a pure state machine: how it stands, what happens and the time go in, how it stands goes out.

Closed, open and half-open as Nygard describes them ("Release It!", 2007), with four additions:

- A result counts only in the generation in which its call was admitted, as in Polly and resilience4j.
- Probes hold numbered permits that are leases: one whose holder died is free again.
- One worker alone needs more failures than two, because the worker itself may be what is broken.
- Reopening doubles the open time.

The functions of `breaker_*_v1.sql` do the same on the database's clock, and one contract holds both to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

from cognition.domain.breaker import FORCED_STATES, BreakerPolicy, BreakerState, BreakerVerdict
from cognition.domain.breaker_standing import (
    Admission,
    BreakerResult,
    Forced,
    Order,
    Permit,
    Recorded,
    Standing,
    Tally,
    Transition,
    Window,
)
from cognition.errors import ConfigurationError

_ENOUGH_WORKERS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class _Move:
    """A transition that is about to happen."""

    to_state: BreakerState
    cause: str
    worker: str | None = None
    order: Order | None = None
    reason: str | None = None
    open_for: timedelta | None = None


def at(standing: Standing, now: datetime) -> Standing:
    """Return how a breaker stands later, if nothing happened but time; permits whose lease has ended are gone."""
    return replace(standing, as_of=now, permits=tuple(one for one in standing.permits if one.lease_until > now))


def admit(standing: Standing, policy: BreakerPolicy, worker: str, now: datetime, permit: UUID) -> Admission:
    """Say whether a call may be made.

    Args:
        standing: How the breaker stood.
        policy: Its numbers.
        worker: Who asks.
        now: The time of the store.
        permit: Identifies the permit, if one is needed.
    """
    standing = at(standing, now)
    state = standing.state
    if state.admits_all:
        return Admission(standing=standing, admitted=True)
    if state is BreakerState.FORCED_OPEN:
        return Admission(standing=standing, admitted=False)
    wait = max(standing.open_left, standing.cooldown_left)
    if wait > timedelta(0):
        return Admission(standing=standing, admitted=False, retry_after=wait)
    if state is BreakerState.CLOSED:
        return Admission(standing=standing, admitted=True)
    transition = None
    if state is BreakerState.OPEN:
        standing, transition = _moved(standing, _Move(to_state=BreakerState.HALF_OPEN, cause="time", worker=worker))
    taken = {one.slot for one in standing.permits}
    free = next((slot for slot in range(1, policy.half_open_permits + 1) if slot not in taken), None)
    if free is None:
        return Admission(standing=standing, admitted=False, transition=transition)
    granted = Permit(free, permit, worker, now + policy.permit_lease)
    standing = replace(standing, permits=(*standing.permits, granted))
    return Admission(standing=standing, admitted=True, permit=permit, transition=transition)


def record(
    standing: Standing, policy: BreakerPolicy, result: BreakerResult, now: datetime, draw: float = 0.0
) -> Recorded:
    """Take in how a call ended.

    Args:
        standing: How the breaker stood.
        policy: Its numbers.
        result: How the call ended, and what its worker had not told before.
        now: The time of the store.
        draw: A random number from 0 to 1, for jitter.
    """
    standing = _with_rejections(at(standing, now), result.before)
    state = standing.state
    if state is BreakerState.DISABLED:
        return Recorded(standing=standing)
    if result.generation != standing.generation or state in (BreakerState.OPEN, BreakerState.FORCED_OPEN):
        return Recorded(standing=_counted(standing, outdated=1) if _is_verdict(result) else standing)
    if state is BreakerState.HALF_OPEN:
        return _probed(standing, policy, result, draw)
    return _called(standing, policy, result, draw)


def cool_down(standing: Standing, duration: timedelta, reason: str, now: datetime) -> Standing:
    """Let nobody call for a while, or longer if that was agreed before; neutral for the state."""
    standing = at(standing, now)
    until = now + duration
    if standing.cooldown_until is not None and standing.cooldown_until >= until:
        return standing
    return replace(standing, cooldown_until=until, cooldown_reason=reason)


def obey(standing: Standing, order: Order, now: datetime) -> tuple[Standing, Transition]:
    """Set the state that a person orders; CLOSED resets everything but the totals.

    Raises:
        ConfigurationError: Nobody can order OPEN or HALF_OPEN.
    """
    check_order(order)
    cause = "forced" if order.state.is_forced else "reset"
    return _moved(at(standing, now), _Move(to_state=order.state, cause=cause, order=order))


def check_order(order: Order) -> None:
    """Refuse an order that makes no sense.

    Raises:
        ConfigurationError: The state is not one for people to set, or nobody or no reason is named.
    """
    if order.state is not BreakerState.CLOSED and order.state not in FORCED_STATES:
        raise ConfigurationError(
            f"A breaker cannot be forced to {order.state.value}; use {', '.join(FORCED_STATES)}, or reset it."
        )
    if not (order.actor.strip() and order.reason.strip()):
        raise ConfigurationError("Who forces or resets a breaker, and why, must be named for the others to read.")


def _probed(standing: Standing, policy: BreakerPolicy, result: BreakerResult, draw: float) -> Recorded:
    """Take in the result of a probe; one whose permit was lost to another holder no longer counts."""
    remaining = tuple(one for one in standing.permits if one.id != result.permit)
    lost = len(remaining) == len(standing.permits)
    standing = replace(standing, permits=remaining)
    if not _is_verdict(result):
        return Recorded(standing=standing)
    if lost:
        return Recorded(standing=_counted(standing, outdated=1))
    too_slow = policy.slow_call_rate is not None and result.slow
    if result.verdict is BreakerVerdict.FAILURE or too_slow:
        standing = _with_failure(standing, result)
        return _opened(standing, policy, result, "probe", draw)
    standing = _counted(standing, successes=1)
    standing = replace(standing, half_open_successes=standing.half_open_successes + 1)
    if standing.half_open_successes < policy.success_threshold:
        return Recorded(standing=standing)
    move = _Move(to_state=BreakerState.CLOSED, cause="probes", worker=result.worker)
    standing, transition = _moved(standing, move)
    return Recorded(standing=standing, transition=transition)


def _called(standing: Standing, policy: BreakerPolicy, result: BreakerResult, draw: float) -> Recorded:
    """Take in the result of an ordinary call."""
    standing = _with_earlier(standing, policy, result.before)
    if not _is_verdict(result):
        return Recorded(standing=standing)
    failed = result.verdict is BreakerVerdict.FAILURE
    standing = _with_failure(standing, result) if failed else _with_success(standing)
    standing = replace(standing, window=_window_with(standing.window, result))
    cause = _cause_to_open(standing, policy)
    if cause is None:
        return Recorded(standing=standing)
    if standing.state is BreakerState.METRICS_ONLY:
        would_open = replace(standing, opened_at=standing.opened_at or standing.as_of)
        return Recorded(standing=would_open, threshold_reached=standing.opened_at is None)
    return _opened(standing, policy, result, cause, draw)


def _cause_to_open(standing: Standing, policy: BreakerPolicy) -> str | None:
    """Return why a breaker must open, or None; what a single worker saw must weigh more."""
    alone, window = policy.lone_worker_factor, standing.window
    failures, workers = standing.consecutive_failures, len(standing.failures_by_worker)
    if failures >= policy.failure_threshold * (1 if workers >= _ENOUGH_WORKERS else alone):
        return "threshold"
    if window.calls < policy.minimum_calls * (1 if len(window.workers) >= _ENOUGH_WORKERS else alone):
        return None
    if policy.failure_rate is not None and window.failures >= policy.failure_rate * window.calls:
        return "failure rate"
    if policy.slow_call_rate is not None and window.slow_calls >= policy.slow_call_rate * window.calls:
        return "slow calls"
    return None


def _opened(standing: Standing, policy: BreakerPolicy, result: BreakerResult, cause: str, draw: float) -> Recorded:
    opens = standing.consecutive_opens + 1
    move = _Move(
        to_state=BreakerState.OPEN,
        cause=cause,
        worker=result.worker,
        reason=result.error,
        open_for=policy.open_time(opens, draw, result.retry_after),
    )
    standing, transition = _moved(standing, move)
    return Recorded(standing=standing, transition=transition)


def _moved(standing: Standing, move: _Move) -> tuple[Standing, Transition]:
    """Return how a breaker stands after a transition, and the transition; permits of the old state are void."""
    now, order = standing.as_of, move.order
    until = None if move.open_for is None else now + move.open_for
    transition = Transition(
        key=standing.key,
        from_state=standing.state,
        to_state=move.to_state,
        generation=standing.generation + 1,
        at=now,
        cause=move.cause,
        worker=move.worker,
        actor=order.actor if order else None,
        reason=order.reason if order else move.reason,
        consecutive_failures=standing.consecutive_failures,
        open_until=until,
    )
    opening = move.to_state is BreakerState.OPEN
    probing = move.to_state is BreakerState.HALF_OPEN
    reset = order is not None and not order.state.is_forced
    return (
        replace(
            standing,
            state=move.to_state,
            generation=transition.generation,
            consecutive_failures=standing.consecutive_failures if opening or probing else 0,
            failures_by_worker=standing.failures_by_worker if opening or probing else {},
            half_open_successes=0,
            consecutive_opens=standing.consecutive_opens + opening if opening or probing else 0,
            opened_at=now if opening else standing.opened_at if probing else None,
            open_until=until,
            window=Window(),
            cooldown_until=None if reset else standing.cooldown_until,
            cooldown_reason=None if reset else standing.cooldown_reason,
            forced=Forced(order.actor, order.reason, now) if order and order.state.is_forced else None,
            permits=(),
        ),
        transition,
    )


def _is_verdict(result: BreakerResult) -> bool:
    return result.verdict is not BreakerVerdict.IGNORED


def _with_rejections(standing: Standing, before: Tally) -> Standing:
    return _counted(standing, rejections=before.rejections) if before.rejections else standing


def _with_earlier(standing: Standing, policy: BreakerPolicy, before: Tally) -> Standing:
    """Take in what a worker counted for itself; a success after the last failure ends the run of failures."""
    window = standing.window
    if window.started_at is None or standing.as_of >= window.started_at + policy.window:
        window = Window(started_at=standing.as_of)
    window = replace(window, calls=window.calls + before.successes)
    standing = replace(_counted(standing, successes=before.successes), window=window)
    return _without_run(standing) if _was_followed_by_success(standing, before) else standing


def _was_followed_by_success(standing: Standing, before: Tally) -> bool:
    if before.since_success is None or standing.last_failure_at is None:
        return False
    return standing.as_of - before.since_success > standing.last_failure_at


def _without_run(standing: Standing) -> Standing:
    return replace(standing, consecutive_failures=0, failures_by_worker={})


def _with_success(standing: Standing) -> Standing:
    return _without_run(_counted(standing, successes=1))


def _with_failure(standing: Standing, result: BreakerResult) -> Standing:
    by_worker: Mapping[str, int] = standing.failures_by_worker
    return replace(
        _counted(standing, failures=1),
        consecutive_failures=standing.consecutive_failures + 1,
        failures_by_worker={**by_worker, result.worker: by_worker.get(result.worker, 0) + 1},
        last_failure=result.error,
        last_failure_at=standing.as_of,
    )


def _window_with(window: Window, result: BreakerResult) -> Window:
    failed = result.verdict is BreakerVerdict.FAILURE
    workers = window.workers
    if (failed or result.slow) and result.worker not in workers and len(workers) < _ENOUGH_WORKERS:
        workers = (*workers, result.worker)
    return replace(
        window,
        calls=window.calls + 1,
        failures=window.failures + failed,
        slow_calls=window.slow_calls + result.slow,
        workers=workers,
    )


def _counted(standing: Standing, **more: int) -> Standing:
    counts: dict[str, int] = {name: getattr(standing.totals, name) + number for name, number in more.items()}
    return replace(standing, totals=replace(standing.totals, **counts))
