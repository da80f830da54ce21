"""Money is kept for as long as attempts run, whatever happens to the thread that sees to it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

import pytest

from cognition.domain.reservation import CallAttempt
from cognition.events import Event
from cognition.resilience.store_breaker import Guarded, StoreBreaker
from cognition.services.lease_renewal import LeaseRenewal
from cognition.testing import FakeClock
from tests.unit.memory_engine import FragileBudgets, MemoryLedger, eventually

ATTEMPT = CallAttempt(UUID(int=1))


class Faulty(FragileBudgets):
    """Fails once, as no store should."""

    faults = 1

    def renew(self, attempts: Sequence[CallAttempt], lease: timedelta) -> set[CallAttempt]:
        """Fail, and prolong from then on."""
        if self.faults:
            self.faults -= 1
            raise ValueError("nobody expects this")
        return super().renew(attempts, lease)


def test_leases_are_prolonged_after_an_unforeseen_error(clock: FakeClock, caplog: pytest.LogCaptureFixture) -> None:
    """One fault must not let the money of all later calls go."""
    store = Faulty(clock, MemoryLedger())
    events: list[Event] = []
    renewal = LeaseRenewal(Guarded(store, StoreBreaker("budgets", store.ping, events.append)), timedelta(seconds=0.03))

    renewal.add(ATTEMPT)
    eventually(lambda: bool(store.renewed))
    renewal.close()

    assert "Leases could not be prolonged" in caplog.text
