"""What people do to circuit breakers: look at them, force them, reset them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Protocol

from cognition.domain.breaker import BreakerKey, BreakerState
from cognition.domain.breaker_standing import Order, Standing, Transition
from cognition.errors import ConfigurationError
from cognition.events import BreakerChanged, Emit
from cognition.resilience.breaker_store import BreakerStore


class Forgetful(Protocol):
    """`SharedBreakers`, as far as an order concerns it."""

    def distrust(self, key: BreakerKey) -> None:
        """Drop what is known of a breaker."""
        ...


class BreakerControl:
    """The shared circuit breakers of one tenant; what is ordered here holds for all processes within a second."""

    def __init__(self, store: BreakerStore, circuits: Forgetful, emit: Emit) -> None:
        """Use a store.

        Args:
            store: The shared breakers.
            circuits: This process's use of them, which follows orders at once.
            emit: Told about transitions.
        """
        self._store = store
        self._circuits = circuits
        self._emit = emit

    def list(self) -> list[Standing]:
        """Return how every breaker stands that ever saw a failure, a cool-down or an order.

        Raises:
            CacheUnavailable: The store does not answer.
        """
        return self._store.standings()

    def force(self, key: BreakerKey | str, state: BreakerState | str, *, by: str, reason: str) -> Transition:
        """Set a state that only a person ends, for all processes.

        Args:
            key: Which breaker; it need not have been used.
            state: `forced_open` stops all calls, `disabled` lets all through, `metrics_only` does so and counts.
            by: Who orders it.
            reason: Why, for those who wonder.

        Raises:
            ConfigurationError: There is no such state, or nobody or no reason is named.
            CacheUnavailable: The store does not answer.
        """
        try:
            order = Order(BreakerState(state), by, reason)
        except ValueError:
            raise ConfigurationError(
                f"There is no state {state!r}; use {', '.join(one for one in BreakerState if one.is_forced)}."
            ) from None
        if not order.state.is_forced:
            raise ConfigurationError(
                f"A breaker cannot be forced to {order.state}; use"
                f" {', '.join(one for one in BreakerState if one.is_forced)}, or reset it."
            )
        return self._order(key, order)

    def reset(self, key: BreakerKey | str, *, by: str, reason: str = "reset") -> Transition:
        """Close a breaker, whatever it was, and forget its failures and its cool-down.

        Args:
            key: Which breaker.
            by: Who orders it.
            reason: Why, for those who wonder.

        Raises:
            ConfigurationError: Nobody or no reason is named.
            CacheUnavailable: The store does not answer.
        """
        return self._order(key, Order(BreakerState.CLOSED, by, reason))

    def history(self, key: BreakerKey | str | None = None, limit: int = 50) -> Sequence[Transition]:
        """Return the latest transitions of one breaker, or of all, newest first.

        Raises:
            CacheUnavailable: The store does not answer.
        """
        return self._store.history(None if key is None else _key_of(key), limit)

    def purge(self, older_than: timedelta = timedelta(days=90), limit: int = 10_000) -> int:
        """Delete old transitions from the history; return how many.

        Args:
            older_than: How old they must be.
            limit: Delete at most so many, so that no lock is held long.

        Raises:
            CacheUnavailable: The store does not answer.
        """
        return self._store.forget_history(older_than, limit)

    def _order(self, key: BreakerKey | str, order: Order) -> Transition:
        named = _key_of(key)
        transition = self._store.obey(named, order)
        self._circuits.distrust(named)
        self._emit(BreakerChanged(transition))
        return transition


def _key_of(key: BreakerKey | str) -> BreakerKey:
    return key if isinstance(key, BreakerKey) else BreakerKey.parse(key)
