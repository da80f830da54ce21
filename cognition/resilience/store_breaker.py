"""Leaves a store alone from its first failure until it answers again."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from cognition.errors import CacheUnavailable, ConfigurationError
from cognition.events import Emit, StoreFailed, StoreRecovered

T = TypeVar("T")

_FIRST_PROBE_SECONDS = 0.1
_LONGEST_PROBE_SECONDS = 2.0


class StoreBreaker:
    """Guards one store, so that a dead one costs no time per call.

    The first failure opens the breaker. From then on calls are answered with a default at once, while a background
    thread asks the store until it answers; no caller ever waits for a probe.
    """

    def __init__(self, name: str, ping: Callable[[], None], emit: Emit) -> None:
        """Start closed.

        Args:
            name: Name of the store in events.
            ping: Returns when the store answers, raises `CacheUnavailable` when it does not.
            emit: Told when the store fails and when it is back.
        """
        self._name = name
        self._ping = ping
        self._emit = emit
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._open = False

    @property
    def name(self) -> str:
        """Name of the store in events."""
        return self._name

    @property
    def is_open(self) -> bool:
        """Whether the store is being left alone."""
        return self._open

    def call(self, use: Callable[[], T], default: T) -> T:
        """Return what the store says, or the default while it is down.

        Args:
            use: Asks the store.
            default: The answer that makes the caller go on without the store.
        """
        if self._open:
            return default
        try:
            return use()
        except CacheUnavailable as error:
            self.trip(error)
            return default

    def trip(self, error: CacheUnavailable) -> None:
        """Open the breaker and start probing, unless that has happened already."""
        with self._lock:
            if self._open:
                return
            self._open = True
        self._emit(StoreFailed(self._name, str(error)))
        if not self._stop.is_set():
            threading.Thread(target=self._probe, name=f"cognition-probe-{self._name}", daemon=True).start()

    def close(self) -> None:
        """Stop probing for good; the store is about to be closed."""
        self._stop.set()

    def forget(self) -> None:
        """Start anew after a fork: the thread that probes belongs to the parent."""
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._open = False

    def _probe(self) -> None:
        wait = _FIRST_PROBE_SECONDS
        while not self._stop.wait(wait):
            try:
                self._ping()
            except Exception:  # noqa: BLE001  whatever is wrong with the store, it is asked again; or it is being closed
                wait = min(wait * 2, _LONGEST_PROBE_SECONDS)
                continue
            self._open = False
            self._emit(StoreRecovered(self._name))
            return


StoreT_co = TypeVar("StoreT_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Guarded(Generic[StoreT_co]):
    """A store and the breaker that leaves it alone while it is down."""

    store: StoreT_co
    breaker: StoreBreaker

    def call(self, use: Callable[[], T], default: T) -> T:
        """Return what the store says, or the default while it is down or cannot be used as it is configured.

        For stores that calls can do without, such as those of L3: a key that was revoked, a file that was damaged or a
        table that is missing stops them, not the calls. The exact layers use the breaker alone: who configured those
        wrongly must hear it.
        """
        try:
            return self.breaker.call(use, default)
        except ConfigurationError as error:
            self.breaker.trip(CacheUnavailable(str(error), store=self.breaker.name))
            return default
