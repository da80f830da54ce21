"""Which results of calls are news to the shared breakers."""

from __future__ import annotations

from dataclasses import replace

from cognition.domain.breaker import BreakerPolicy, BreakerVerdict
from cognition.domain.breaker_standing import BreakerResult
from cognition.resilience.breaker_copies import Copy
from cognition.resilience.own_breakers import OwnBreakers
from cognition.resilience.passage import Ticket


def is_routine(copy: Copy, ticket: Ticket, own: OwnBreakers) -> bool:
    """Whether a success is what everybody expects: nobody fails, nobody probes, nothing has changed."""
    standing = copy.standing
    is_same = standing.is_clean and standing.generation == ticket.generation
    return is_same and ticket.permit is None and not (ticket.alone or own.knows(standing.key))


def is_current(copy: Copy, result: BreakerResult) -> bool:
    """Whether the breaker has not changed its state since the call was admitted, as far as is known here."""
    return copy.standing.generation == result.generation


def is_news(copy: Copy | None, policy: BreakerPolicy, result: BreakerResult) -> bool:
    """Whether a result changes anything for others, now."""
    if result.permit is not None or result.verdict is BreakerVerdict.FAILURE:
        return True
    if copy is None or result.verdict is BreakerVerdict.IGNORED:
        return False
    is_too_slow = result.slow and policy.slow_call_rate is not None
    return is_too_slow or not (copy.standing.is_clean and is_current(copy, result))


def as_own(result: BreakerResult, ticket: Ticket) -> BreakerResult:
    """Return a result as this worker's own breaker admitted it."""
    return replace(result, generation=ticket.own_generation, permit=ticket.own_permit)
