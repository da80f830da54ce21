"""What a caller declares wrong is never given again: in every layer, for every process, whatever was on its way."""

from __future__ import annotations

import threading
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest

from cognition import Attribution, Cognition
from cognition.domain.entry import Layer
from cognition.domain.fingerprint import address_of
from cognition.errors import CacheUnavailable, ConfigurationError
from cognition.testing import Reply
from tests.integration.engine.servers import Servers
from tests.integration.engine.stage import MODEL, QUESTION, Stage

OTHER_MODEL = "openai-chat:gpt-5-nano"


@pytest.fixture
def workers() -> Generator[ThreadPoolExecutor]:
    """Return threads for calls that have to wait."""
    with ThreadPoolExecutor(4) as pool:
        yield pool


@pytest.fixture
def engines(stage: Stage) -> tuple[Cognition, Cognition]:
    """Return two engines on the same stores, as two processes have them."""
    return stage.open(), stage.open()


def test_one_request(stage: Stage, engines: tuple[Cognition, Cognition]) -> None:
    """The answer to one request goes from both layers, the others of its namespace answer on from L2."""
    here, there = engines
    stage.ask(here)
    stage.ask(here, "Another question")
    request = there.request(QUESTION, credentials=stage.credentials)
    assert {"l1": 1, "l2": 1} == there.cache.invalidate(request=request)
    assert ["provider", "l1"] == stage.layers(here, 2)
    assert ["l2", "l1"] == stage.layers(here, 2, "Another question")


def test_a_namespace(stage: Stage, engines: tuple[Cognition, Cognition]) -> None:
    """All answers of a namespace go, those of others stay."""
    here, there = engines
    for prompt in ("One", "Two"):
        stage.ask(here, prompt, namespace="triage")
    stage.ask(here, namespace="other")
    assert {"l1": 2, "l2": 2} == there.cache.invalidate(namespace="triage")
    assert ["provider"] == stage.layers(here, prompt="One", namespace="triage")
    assert ["l1"] == stage.layers(here, namespace="other")


def test_a_model(stage: Stage, engines: tuple[Cognition, Cognition]) -> None:
    """All answers that were asked of a model go, in every namespace."""
    here, there = engines
    for namespace in ("one", "two"):
        stage.ask(here, namespace=namespace)
        stage.ask(here, namespace=namespace, model=OTHER_MODEL)
    assert {"l1": 2, "l2": 2} == there.cache.invalidate(model=MODEL)
    assert ["provider"] == stage.layers(here, namespace="one")
    assert ["l2"] == stage.layers(here, namespace="one", model=OTHER_MODEL)


def test_a_tag(stage: Stage, engines: tuple[Cognition, Cognition]) -> None:
    """All answers that carry a tag go, whatever other tags they carry."""
    here, there = engines
    stage.ask(here, "One", attribution=Attribution(tags=("team:support", "release:1")))
    stage.ask(here, "Two", attribution=Attribution(tags=("team:sales",)))
    assert {"l1": 1, "l2": 1} == there.cache.invalidate(tag="team:support")
    assert ["provider"] == stage.layers(here, prompt="One")
    assert ["l2"] == stage.layers(here, prompt="Two")


def test_an_age(stage: Stage, engines: tuple[Cognition, Cognition]) -> None:
    """All answers older than an age go, younger ones stay."""
    here, there = engines
    stage.ask(here, "Old")
    stage.clock.advance(timedelta(minutes=2))
    stage.ask(here, "Young")
    stage.clock.advance(timedelta(minutes=1))
    assert {"l1": 1, "l2": 1} == there.cache.invalidate(older_than=timedelta(minutes=2))
    assert ["provider"] == stage.layers(here, prompt="Old")
    assert ["l2"] == stage.layers(here, prompt="Young")


def test_conditions_must_all_hold(stage: Stage, engines: tuple[Cognition, Cognition]) -> None:
    """A namespace and a model together mean the answers of that model in that namespace."""
    here, there = engines
    for namespace, model in (("one", MODEL), ("one", OTHER_MODEL), ("two", MODEL)):
        stage.ask(here, namespace=namespace, model=model)
    assert 1 == there.cache.invalidate(namespace="one", model=MODEL)[Layer.L2]
    assert ["provider"] == stage.layers(here, namespace="one", model=MODEL)
    assert ["l2"] == stage.layers(here, namespace="one", model=OTHER_MODEL)
    assert ["l1"] == stage.layers(here, namespace="two", model=MODEL)


def test_without_conditions_nothing_is_invalidated(stage: Stage) -> None:
    """A forgotten argument must not empty the cache."""
    engine = stage.open()
    stage.ask(engine)
    with pytest.raises(ConfigurationError, match="Say what to invalidate"):
        engine.cache.invalidate()
    assert ["l1"] == stage.layers(engine)


def test_other_tenants_are_left_alone(stage: Stage) -> None:
    """A tenant can only invalidate what is its own."""
    mine, theirs = stage.open(tenant="acme"), stage.open(tenant="umbrella")
    for engine in (mine, theirs):
        stage.ask(engine)
    assert {"l1": 1, "l2": 1} == mine.cache.invalidate(model=MODEL)
    assert ["l1"] == stage.layers(theirs)


@pytest.mark.parametrize(
    "conditions",
    [{"namespace": "default"}, {"model": MODEL}, {"tag": "release:1"}, {"older_than": timedelta(0)}],
    ids="-".join,
)
def test_an_answer_that_was_asked_for_before_is_not_kept(
    stage: Stage, engines: tuple[Cognition, Cognition], workers: ThreadPoolExecutor, conditions: dict[str, Any]
) -> None:
    """The provider's reply to a question from before the invalidation reaches its caller, but no later one."""
    here, there = engines
    stage.ask(here, "So that the namespace exists")
    held = threading.Event()
    stage.provider.script(lambda _: Reply(text="Old.") if held.wait(20) else Reply())
    asked = workers.submit(stage.ask, here, attribution=Attribution(tags=("release:1",)))
    stage.provider.wait_for_calls(2)
    there.cache.invalidate(**conditions)
    held.set()
    assert "Old." == asked.result().text
    stage.provider.script(Reply(text="New."))
    assert ["New.", "New."] == [stage.ask(engine).text for engine in engines]


def test_an_answer_on_its_way_up_is_not_resurrected(stage: Stage, engines: tuple[Cognition, Cognition]) -> None:
    """Processes that copy answers from L2 to L1 all the time never bring one back that was invalidated."""
    here, there = engines
    stage.provider.default = lambda call: Reply(text=f"Answer {call.index}")
    request = here.request(QUESTION, credentials=stage.credentials)
    for round_ in range(15):
        before = stage.ask(here).text
        stop = threading.Event()
        readers = [threading.Thread(target=_read_through, args=(stage, here, stop)) for _ in range(3)]
        for reader in readers:
            reader.start()
        there.cache.invalidate(request=request)
        after = {stage.ask(engine).text for engine in (here, there, here)}
        stop.set()
        for reader in readers:
            reader.join()
        after |= {stage.ask(here).text}
        assert before not in after, f"in round {round_}"


def test_without_redis_invalidating_fails_loudly(own_stage: Stage, own_servers: Servers) -> None:
    """L1 cannot be told, so the caller is; and L2 does not bring the answer back."""
    engine = own_stage.open()
    own_stage.ask(engine)
    own_servers.kill_redis()
    with pytest.raises(CacheUnavailable, match="redis"):
        engine.cache.invalidate(namespace="default")
    own_servers.start()
    assert ["provider"] == own_stage.layers(own_stage.open())


def _read_through(stage: Stage, engine: Cognition, stop: threading.Event) -> None:
    address = address_of(engine.request(QUESTION, credentials=stage.credentials))
    while not stop.is_set():
        engine.cache.evict_from_l1([address])
        stage.ask(engine)
