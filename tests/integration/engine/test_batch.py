"""Many prompts in one call: one round trip a layer, duplicates once, order kept, failures apart."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import psycopg2.extensions
import pytest
from sqlalchemy import event
from sqlalchemy.pool import Pool

from cognition import ResiliencePolicy
from cognition.domain.cache_policy import CacheMode
from cognition.errors import CognitionError, OnlyCachedMiss, RequestRejected
from cognition.testing import Fault, ReceivedCall, Reply
from cognition.testing.fake_script import Step
from tests.integration.engine.stage import Stage

PROMPTS = [f"Question {number}" for number in range(50)]


def _echo(call: ReceivedCall) -> Step:
    return Reply(text=f"Answer to {call.body['messages'][-1]['content']}")


@pytest.fixture
def statements() -> Generator[list[str]]:
    """Return a list that collects the statements of connections which are opened from now on."""
    seen: list[str] = []

    class Recording(psycopg2.extensions.cursor):
        def execute(self, query: Any, vars: Any = None) -> None:  # noqa: A002  psycopg2's own name
            seen.append(str(query))
            super().execute(query, vars)

    def record(connection: Any, _: object) -> None:
        connection.cursor_factory = Recording

    event.listen(Pool, "connect", record)
    yield seen
    event.remove(Pool, "connect", record)


def test_answers_come_in_the_order_of_the_prompts(stage: Stage) -> None:
    """Cold, from L1, from L2, and mixed."""
    stage.provider.default = _echo
    engine = stage.open()
    expected = [f"Answer to {prompt}" for prompt in PROMPTS]
    for layers in ({"provider"}, {"l1"}):
        done = engine.complete_many(PROMPTS, credentials=stage.credentials)
        assert (expected, layers) == ([one.text for one in done], {one.layer for one in done})
    stage.flush_redis()
    done = engine.complete_many(PROMPTS[10:30], credentials=stage.credentials)
    assert (expected[10:30], {"l2"}) == ([one.text for one in done], {one.layer for one in done})
    mixed = ["New?", *PROMPTS[5:15], "Newer?"]
    done = engine.complete_many(mixed, credentials=stage.credentials)
    assert [f"Answer to {prompt}" for prompt in mixed] == [one.text for one in done]
    assert ["provider"] + ["l2"] * 5 + ["l1"] * 5 + ["provider"] == [one.layer for one in done]


def test_l1_is_asked_once(stage: Stage) -> None:
    """All hits of L1 cost one MGET and nothing else."""
    engine = stage.open()
    engine.complete_many(PROMPTS, credentials=stage.credentials)
    before = _commands(stage)
    engine.complete_many(PROMPTS, credentials=stage.credentials)
    after = _commands(stage) - before
    assert {"mget": 1} == {name: count for name, count in after.items() if name not in _OF_THIS_TEST}


def test_l2_is_asked_once(stage: Stage, statements: list[str]) -> None:
    """All hits of L2 cost one MGET, one statement and one script; after a flush one more, about the generation."""
    engine = stage.open()
    engine.complete_many(PROMPTS, credentials=stage.credentials)
    assert engine.ledger.flush()
    stage.flush_redis()
    before = _commands(stage)
    statements.clear()
    done = engine.complete_many(PROMPTS, credentials=stage.credentials)
    about_entries = [statement for statement in statements if "llm_cache." in statement]
    assert {"l2"} == {one.layer for one in done}
    assert (2, 1) == (len(about_entries), (_commands(stage) - before)["mget"])
    assert 1 == (_commands(stage) - before)["evalsha"]


@pytest.mark.parametrize("cache", ["use", "refresh"])
@pytest.mark.parametrize("answer", [Reply(), Reply(text="Cut", finish_reason="length")], ids=["good", "cut"])
def test_duplicates_are_asked_once(stage: Stage, cache: CacheMode, answer: Reply) -> None:
    """A prompt that stands there forty times is asked once, also when its answer may not be kept."""
    stage.provider.default = answer
    done = stage.open().complete_many(["Same?"] * 40, cache=cache, credentials=stage.credentials)
    assert (40, 1) == (len(done), stage.provider.count)
    assert 1 == sum(one.layer == "provider" for one in done)


def test_a_batch_asks_no_more_at_a_time_than_it_may(stage: Stage) -> None:
    """Of many misses only `max_concurrent` are at the provider at the same time."""
    present, most = [0], [0]

    def count(_: ReceivedCall) -> Step:
        present[0] += 1
        most[0] = max(most[0], present[0])
        stage.provider.pause(0.05)
        present[0] -= 1
        return Reply()

    stage.provider.default = count
    few = ResiliencePolicy(max_concurrent=8)
    stage.open().complete_many(PROMPTS[:24], credentials=stage.credentials, resilience=few)
    assert 2 <= most[0] <= 8


def test_failures_do_not_take_the_others_with_them(stage: Stage) -> None:
    """The first error is raised with a note that counts; what succeeded is cached."""
    stage.provider.default = lambda call: Fault(status=400) if "7" in str(call.body["messages"]) else Reply()
    engine = stage.open()
    with pytest.raises(RequestRejected) as caught:
        engine.complete_many(PROMPTS[:20], credentials=stage.credentials)
    assert any("2 of 20 prompts failed" in note for note in caught.value.__notes__)
    stage.provider.default = Reply()
    done = engine.complete_many(PROMPTS[:20], credentials=stage.credentials)
    assert [7, 17] == [position for position, one in enumerate(done) if one.layer == "provider"]


def test_only_refuses_a_batch_with_a_miss(stage: Stage) -> None:
    """One miss is enough, and nobody is asked."""
    engine = stage.open()
    stage.ask(engine, PROMPTS[0])
    with pytest.raises(OnlyCachedMiss):
        engine.complete_many(PROMPTS[:3], cache="only", credentials=stage.credentials)
    assert 1 == stage.provider.count


def test_no_prompts_are_no_work(stage: Stage) -> None:
    """An empty list is answered by an empty list."""
    assert [] == stage.open().complete_many([])


def test_one_bad_prompt_spoils_nothing(stage: Stage) -> None:
    """An empty prompt is refused before anybody is asked, so that nothing is half done."""
    with pytest.raises(CognitionError, match="The prompt is empty"):
        stage.open().complete_many(["Good?", " "], credentials=stage.credentials)
    assert 0 == stage.provider.count
    assert [] == stage.ledger()


async def test_async_batches_are_the_same(stage: Stage) -> None:
    """Order and duplicates hold for callers with an event loop too."""
    stage.provider.default = _echo
    engine = stage.open()
    prompts = ["One?", "Two?", "One?"]
    for layers in (["provider", "provider", "l1"], ["l1", "l1", "l1"]):
        done = await engine.acomplete_many(prompts, credentials=stage.credentials)
        assert ["Answer to One?", "Answer to Two?", "Answer to One?"] == [one.text for one in done]
        assert layers == [one.layer for one in done]
    assert 2 == stage.provider.count


_OF_THIS_TEST = {"info", "hello", "client|setinfo"}


class _Counts(dict[str, int]):
    """Commands that Redis has carried out."""

    def __missing__(self, name: str) -> int:
        return 0

    def __sub__(self, before: _Counts) -> _Counts:
        return _Counts({name: count - before[name] for name, count in self.items() if count > before[name]})


def _commands(stage: Stage) -> _Counts:
    with stage.redis() as client:
        stats: dict[str, dict[str, int]] = client.info("commandstats")
    return _Counts({name.removeprefix("cmdstat_"): fields["calls"] for name, fields in stats.items()})
