"""A store that is away costs an event, not an answer; when it is back it is used again."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from redis.connection import AbstractConnection

from cognition import Cognition
from cognition.errors import CacheUnavailable
from cognition.events import Event, StoreFailed, StoreRecovered
from cognition.testing import Reply
from tests.integration.engine.servers import Servers
from tests.integration.engine.stage import Stage, stats_of, wait_until


@pytest.fixture(params=["killed", "frozen"])
def stop_redis(request: pytest.FixtureRequest, own_servers: Servers) -> Callable[[], None]:
    """Return what takes Redis away: it is killed, or accepts connections and says nothing."""
    return own_servers.kill_redis if request.param == "killed" else own_servers.freeze_redis


@pytest.fixture
def seen(own_stage: Stage) -> tuple[Cognition, list[Event]]:
    """Return an engine and the events that it emits."""
    events: list[Event] = []
    engine = own_stage.open()
    engine.observers.add(events.append)
    return engine, events


def _of(events: list[Event], kind: type[Any]) -> list[Any]:
    return [event for event in events if isinstance(event, kind)]


def test_without_redis_l2_answers(
    own_stage: Stage, seen: tuple[Cognition, list[Event]], stop_redis: Callable[[], None]
) -> None:
    """Known questions are answered by L2, new ones by the provider and then by L2."""
    engine, events = seen
    own_stage.ask(engine)
    stop_redis()
    assert ["l2", "l2"] == own_stage.layers(engine, 2)
    assert ["provider", "l2"] == own_stage.layers(engine, 2, prompt="New?")
    assert ["redis"] == [event.store for event in _of(events, StoreFailed)]


def test_a_dead_redis_costs_callers_nothing(
    own_stage: Stage,
    seen: tuple[Cognition, list[Event]],
    stop_redis: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """After the first failure only the probe in the background still tries Redis."""
    engine, _ = seen
    own_stage.ask(engine)
    stop_redis()
    own_stage.ask(engine)
    talkers = _threads_that_talk_to_redis(monkeypatch)
    for number in range(20):
        own_stage.ask(engine)
        own_stage.ask(engine, f"New question {number}")
    wait_until(lambda: talkers)
    assert {"cognition-probe-redis"} == talkers


def test_redis_is_used_again(
    own_stage: Stage,
    own_servers: Servers,
    seen: tuple[Cognition, list[Event]],
    stop_redis: Callable[[], None],
) -> None:
    """Without a restart of the process, and with what L2 learned meanwhile."""
    engine, events = seen
    stop_redis()
    assert ["provider", "l2"] == own_stage.layers(engine, 2)
    own_servers.resume()
    own_servers.start()
    wait_until(lambda: _of(events, StoreRecovered))
    assert ["l2", "l1"] == own_stage.layers(engine, 2)


def test_without_postgres_l1_and_the_provider_answer(
    own_stage: Stage, own_servers: Servers, seen: tuple[Cognition, list[Event]]
) -> None:
    """Known questions are answered by L1, new ones by the provider and then by L1."""
    engine, events = seen
    own_stage.ask(engine)
    own_servers.kill_postgres()
    assert ["l1"] == own_stage.layers(engine)
    assert ["provider", "l1"] == own_stage.layers(engine, 2, prompt="New?")
    # Circuit breakers are kept there too, and are guarded on their own.
    assert {"postgres", "breakers"} >= {event.store for event in _of(events, StoreFailed)} >= {"postgres"}


def test_what_is_booked_meanwhile_is_written_later(
    own_stage: Stage, own_servers: Servers, seen: tuple[Cognition, list[Event]]
) -> None:
    """Every attempt and every hit of the time without PostgreSQL stands in the ledger when it is back, once."""
    engine, _ = seen
    own_stage.ask(engine)
    own_servers.kill_postgres()
    own_stage.layers(engine, 3)
    own_stage.layers(engine, 3, prompt="New?")
    assert not engine.ledger.flush()
    own_servers.start()
    wait_until(lambda: len(own_stage.ledger("status")) == 7)
    counts = [row["status"] for row in own_stage.ledger("status")]
    assert (2, 5) == (counts.count("ok"), counts.count("cache_hit"))
    assert 5 == stats_of(engine)["l1"].hits


def test_postgres_is_used_again(own_stage: Stage, own_servers: Servers, seen: tuple[Cognition, list[Event]]) -> None:
    """Without a restart of the process: new answers are kept there again."""
    engine, events = seen
    own_servers.kill_postgres()
    own_stage.ask(engine)
    own_servers.start()
    wait_until(lambda: "postgres" in {event.store for event in _of(events, StoreRecovered)})
    own_stage.ask(engine, "New?")
    own_stage.flush_redis()
    assert ["l2"] == own_stage.layers(engine, prompt="New?")


def test_without_both_the_provider_answers(own_stage: Stage, own_servers: Servers) -> None:
    """No store, no cache, but an answer to every call; and both are used again when they are back."""
    engine = own_stage.open()
    own_servers.kill_redis()
    own_servers.kill_postgres()
    assert ["provider", "provider"] == own_stage.layers(engine, 2)
    own_servers.start()

    def both_are_used() -> bool:
        own_stage.flush_redis()
        return ["l2", "l1"] == own_stage.layers(engine, 2)

    wait_until(both_are_used)


def test_within_one_process_calls_are_shared_without_any_store(own_stage: Stage, own_servers: Servers) -> None:
    """Single flight in the process needs no store."""
    engine = own_stage.open()
    own_servers.kill_redis()
    own_servers.kill_postgres()
    own_stage.ask(engine, "So that both are known to be away")
    own_stage.provider.default = Reply(delay_seconds=0.5)
    answers: list[str] = []
    threads = [threading.Thread(target=lambda: answers.extend(own_stage.layers(engine))) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 10 == len(answers)
    assert 2 == own_stage.provider.count


def test_an_engine_opens_without_redis(own_stage: Stage, own_servers: Servers) -> None:
    """Redis may be away from the start."""
    own_servers.kill_redis()
    assert ["provider", "l2"] == own_stage.layers(own_stage.open(), 2)


def test_without_postgres_reports_say_so(own_stage: Stage, own_servers: Servers) -> None:
    """A report cannot be answered from memory: one sentence says which store is away."""
    engine = own_stage.open()
    own_servers.kill_postgres()
    with pytest.raises(CacheUnavailable, match="The postgres store did not answer"):
        engine.ledger.report()


def _threads_that_talk_to_redis(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Return a set that collects the names of threads which connect to Redis or send it something."""
    names: set[str] = set()
    for method in ("connect", "send_packed_command"):
        original = getattr(AbstractConnection, method)

        def watched(*arguments: Any, _original: Any = original, **named: Any) -> Any:
            names.add(threading.current_thread().name)
            return _original(*arguments, **named)

        monkeypatch.setattr(AbstractConnection, method, watched)
    return names
