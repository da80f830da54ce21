"""Which budgets there are is known for a second, and asked for in full only when one has changed."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from typing import Any

import pytest

from cognition.domain.budget import Budget
from cognition.domain.reservation import Reservation
from cognition.events import Event
from cognition.resilience.budget_store import Kept
from cognition.resilience.store_breaker import Guarded, StoreBreaker
from cognition.services import known_budgets
from cognition.services.known_budgets import KnownBudgets
from cognition.services.last_known import LastKnown
from cognition.testing import FakeClock
from tests.unit.memory_engine import FragileBudgets, MemoryLedger

EVERY_USER = Budget(scope="user", limit_usd="1", period="daily")
ALICE = replace(EVERY_USER, subject="alice", period="weekly")
NIGHTLY = Budget(scope="workflow", subject="nightly", limit_usd="1", period="daily")


class Counted(FragileBudgets):
    """Counts how often it is asked for all budgets."""

    asked = 0

    def budgets(self) -> list[Budget]:
        """Count, and tell."""
        self.asked += 1
        return super().budgets()


@pytest.fixture
def store(clock: FakeClock) -> Counted:
    """Return a store of three budgets."""
    store = Counted(clock, MemoryLedger())
    for budget in (EVERY_USER, ALICE, NIGHTLY):
        store.put(budget, "test")
    return store


@pytest.fixture
def known(store: Counted) -> KnownBudgets:
    """Return what knows nothing yet."""
    events: list[Event] = []
    breaker = StoreBreaker("budgets", store.ping, events.append)
    breaker.close()
    return KnownBudgets(Guarded(store, breaker))


def found(known: KnownBudgets) -> set[tuple[str, str]]:
    """Return which budgets limit a call of Alice in a flow."""
    applicable = known.applicable({"user": "alice", "workflow": "nightly", "team": "support"})
    return {(budget.period, subject) for budget, subject in applicable or ()}


def test_nothing_is_known_before_it_was_asked(known: KnownBudgets) -> None:
    """That is not the same as knowing that there are none."""
    assert known.applicable({"user": "alice"}) is None
    assert not known.is_fresh


def test_budgets_of_everyone_and_of_the_one_apply(known: KnownBudgets) -> None:
    """Each with the subject whose counter is used; one that is switched off does not."""
    known.refresh()

    assert {("daily", "alice"), ("weekly", "alice"), ("daily", "nightly")} == found(known)
    assert [] == known.applicable({"tenant": "acme"})


def test_an_inactive_budget_limits_nobody(known: KnownBudgets, store: Counted) -> None:
    """It keeps its counters, for whoever switches it on again."""
    store.put(replace(EVERY_USER, active=False), "test")
    known.refresh()

    assert {("weekly", "alice"), ("daily", "nightly")} == found(known)


def test_all_are_asked_for_only_after_a_change(
    known: KnownBudgets, store: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tenant may have thousands."""
    monkeypatch.setattr(known_budgets, "FRESH_SECONDS", 0.0)
    known.refresh()
    known.refresh()
    assert 1 == store.asked

    store.put(replace(NIGHTLY, limit_usd="2"), "test")
    known.refresh()

    assert 2 == store.asked


def test_what_is_fresh_is_not_asked_for(known: KnownBudgets, store: Counted) -> None:
    """Unless a budget was changed here."""
    known.refresh()
    store.outage.down = True
    known.refresh()
    assert known.is_fresh
    store.outage.down = False

    known.forget()
    store.put(replace(NIGHTLY, active=False), "test")
    known.refresh()

    assert {("daily", "alice"), ("weekly", "alice")} == found(known)


def test_a_change_counts_although_an_older_question_is_under_way(
    known: KnownBudgets, store: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its answer may be from before the change, and is not taken for fresh."""
    ask = store.version

    def interrupted() -> str:
        monkeypatch.setattr(store, "version", ask)
        version = ask()
        known.forget()
        return version

    monkeypatch.setattr(store, "version", interrupted)
    known.refresh()
    assert not known.is_fresh
    assert 3 == len(found(known))

    known.refresh()
    assert known.is_fresh


def test_who_has_a_budget_that_cannot_be_read_is_decided_about_by_the_store(
    known: KnownBudgets, store: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others spend as before."""
    readable = store.budgets()
    monkeypatch.setattr(store, "kept", lambda: Kept(readable, frozenset({("team", "support"), ("task", "*")})))
    known.refresh()

    assert {("daily", "bob")} == {
        (budget.period, subject) for budget, subject in known.applicable({"user": "bob", "team": "sales"}) or ()
    }
    assert known.applicable({"user": "bob", "team": "support"}) is None
    assert known.applicable({"task": "any"}) is None


def test_a_child_waits_for_nobody_who_exists_in_the_parent_alone(
    store: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thread that holds a lock at the fork will never open it there; what was known is still true."""
    locks: list[Any] = []
    make = threading.Lock
    monkeypatch.setattr(threading, "Lock", lambda: locks.append(make()) or locks[-1])
    known, last = KnownBudgets(Guarded(store, StoreBreaker("budgets", store.ping, lambda _: None))), LastKnown()
    known.refresh()
    for lock in locks:
        lock.acquire()

    def go_on() -> None:
        known.after_fork()
        last.after_fork()
        known.forget()
        last.remember(Reservation())

    child = threading.Thread(target=go_on, daemon=True)
    child.start()
    child.join(10)

    assert not child.is_alive()
    assert 3 == len(found(known))


def test_while_the_store_is_down_the_last_answer_counts(known: KnownBudgets, store: Counted) -> None:
    """A budget does not stop to count because nobody can look at it."""
    known.refresh()
    store.outage.down = True
    known.forget()
    known.refresh()

    assert 3 == len(found(known))
    assert not known.is_fresh


def test_a_slow_answer_does_not_replace_a_later_one(
    known: KnownBudgets, store: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two threads may ask at the same time, and be answered in the other order."""
    ask, begun = store.version, time.monotonic()

    def overtaken() -> str:
        monkeypatch.setattr(store, "version", ask)
        version = ask()
        store.put(replace(NIGHTLY, active=False), "test")
        known.refresh()
        return version

    monkeypatch.setattr(store, "version", overtaken)
    known.refresh()

    assert {("daily", "alice"), ("weekly", "alice")} == found(known)
    assert begun < time.monotonic()
