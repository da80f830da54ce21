"""A dead store is left alone from its first failure until it answers again."""

from __future__ import annotations

import threading

import pytest

from cognition.errors import CacheUnavailable
from cognition.events import Event, StoreFailed, StoreRecovered
from cognition.resilience.store_breaker import StoreBreaker
from tests.unit.memory_engine import eventually


class Store:
    """A store that can be taken down."""

    def __init__(self) -> None:
        self.down = False
        self.pings = 0
        self.uses = 0

    def ping(self) -> None:
        """Fail while the store is down."""
        self.pings += 1
        if self.down:
            raise CacheUnavailable.of("redis", "no connection")

    def use(self) -> str:
        """Answer, or fail while the store is down."""
        self.uses += 1
        if self.down:
            raise CacheUnavailable.of("redis", "no connection")
        return "answer"


@pytest.fixture
def store() -> Store:
    """Return a store that answers."""
    return Store()


@pytest.fixture
def events() -> list[Event]:
    """Return what the breaker emitted."""
    return []


@pytest.fixture
def breaker(store: Store, events: list[Event], monkeypatch: pytest.MonkeyPatch) -> StoreBreaker:
    """Return a breaker that probes every millisecond."""
    monkeypatch.setattr("cognition.resilience.store_breaker._FIRST_PROBE_SECONDS", 0.001)
    monkeypatch.setattr("cognition.resilience.store_breaker._LONGEST_PROBE_SECONDS", 0.002)
    return StoreBreaker("redis", store.ping, events.append)


def test_a_store_that_answers_is_asked(breaker: StoreBreaker, store: Store) -> None:
    """Nothing stands in the way, nothing is probed."""
    assert breaker.call(store.use, "default") == "answer"
    assert not breaker.is_open
    assert store.pings == 0


def test_a_store_that_fails_is_left_alone(breaker: StoreBreaker, store: Store, events: list[Event]) -> None:
    """Only the first caller meets the failure; all get the default; one event tells it."""
    store.down = True
    assert [breaker.call(store.use, "default") for _ in range(5)] == ["default"] * 5
    assert store.uses == 1
    assert [type(event) for event in events] == [StoreFailed]
    assert "no connection" in str(events[0])
    breaker.close()


def test_a_store_that_is_back_is_used_again(breaker: StoreBreaker, store: Store, events: list[Event]) -> None:
    """Probes go on until one succeeds; no caller is needed for that."""
    store.down = True
    breaker.call(store.use, "default")
    eventually(lambda: store.pings >= 3)
    assert breaker.is_open
    store.down = False
    eventually(lambda: not breaker.is_open)
    eventually(lambda: len(events) == 2)
    assert breaker.call(store.use, "default") == "answer"
    assert events[1:] == [StoreRecovered("redis")]


def test_it_can_fail_again(breaker: StoreBreaker, store: Store, events: list[Event]) -> None:
    """A second outage is told and probed like the first."""
    for _ in range(2):
        store.down = True
        breaker.call(store.use, "default")
        store.down = False
        eventually(lambda: not breaker.is_open)
    eventually(lambda: len(events) == 4)
    assert [type(event) for event in events] == [StoreFailed, StoreRecovered] * 2


def test_many_threads_that_fail_together_open_it_once(breaker: StoreBreaker, store: Store, events: list[Event]) -> None:
    """However many calls were under way, there is one event and one probing thread."""
    store.down = True
    before = set(threading.enumerate())
    together = threading.Barrier(8)

    def fail() -> None:
        together.wait()
        breaker.trip(CacheUnavailable.of("redis", "no connection"))

    threads = [threading.Thread(target=fail) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [type(event) for event in events] == [StoreFailed]
    assert [thread.name for thread in set(threading.enumerate()) - before] == ["cognition-probe-redis"]
    breaker.close()


def test_closing_ends_the_probe(breaker: StoreBreaker, store: Store) -> None:
    """A closed engine leaves no thread behind and starts none."""
    store.down = True
    others = set(threading.enumerate())
    breaker.call(store.use, "default")
    (probe,) = set(threading.enumerate()) - others
    breaker.close()
    probe.join(10)
    assert not probe.is_alive()
    breaker.forget()
    breaker.close()
    breaker.trip(CacheUnavailable.of("redis", "no connection"))
    assert not set(threading.enumerate()) - others


def test_other_errors_are_not_the_stores(breaker: StoreBreaker) -> None:
    """A fault of ours must not look like an outage."""

    def broken() -> str:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        breaker.call(broken, "default")
    assert not breaker.is_open


def test_a_child_process_starts_closed(breaker: StoreBreaker, store: Store) -> None:
    """The thread that would notice the recovery stays in the parent, so the child finds out anew."""
    store.down = True
    breaker.call(store.use, "default")
    breaker.close()
    breaker.forget()
    assert not breaker.is_open
    store.down = False
    assert breaker.call(store.use, "default") == "answer"
