"""The doors of the engine: any thread, any loop, one prompt or many."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest

from cognition import CachePolicy, Credentials, ResiliencePolicy, Settings
from cognition.domain.cache_policy import CacheMode
from cognition.errors import ConfigurationError, OnlyCachedMiss, RequestRejected
from tests.unit.memory_engine import MODEL, GatedProvider, Rig, eventually

MakeRig = Callable[..., Rig]
REJECTED: dict[str, Any] = {"provider": "openai-chat", "model": MODEL, "status": 401}


def asked(rig: Rig) -> Counter[object]:
    """Return how often each prompt was asked."""
    assert isinstance(rig.provider, GatedProvider)
    return Counter(request.prompt for request in rig.provider.requests)


# -- one prompt -------------------------------------------------------------------------------------------------------


def test_many_threads_may_ask(open_rig: Rig) -> None:
    """Each prompt is asked once, whoever asks and however often."""

    def ask(number: int) -> str:
        return open_rig.engine.complete(f"Question {number % 10}").output

    with ThreadPoolExecutor(16) as threads:
        answers = list(threads.map(ask, range(200)))
    assert answers == [f"Answer to Question {number % 10}" for number in range(200)]
    assert asked(open_rig) == {f"Question {number}": 1 for number in range(10)}
    assert len(open_rig.rows) == 200


def test_many_loops_may_ask(open_rig: Rig) -> None:
    """Prefect gives each submitted async task a loop of its own."""

    def ask(number: int) -> str:
        return asyncio.run(open_rig.engine.acomplete(f"Question {number % 4}")).output

    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(ask, range(16)))
    assert answers == [f"Answer to Question {number % 4}" for number in range(16)]
    assert sum(asked(open_rig).values()) == 4


async def test_an_async_caller_does_not_block_its_loop(make_rig: MakeRig) -> None:
    """Other tasks of the caller's loop go on while the provider thinks."""
    provider = GatedProvider()
    rig = make_rig(provider=provider)
    call = asyncio.ensure_future(rig.engine.acomplete("Really?"))
    await asyncio.to_thread(eventually, lambda: bool(provider.requests))
    assert not call.done()
    provider.gate.set()
    assert (await call).output == "Answer to Really?"
    assert (await rig.engine.acomplete("Really?")).layer == "l1"


async def test_cancelling_reaches_the_provider(make_rig: MakeRig) -> None:
    """The HTTP call ends, the attempt is booked as cancelled, and the next caller asks anew."""
    provider = GatedProvider()
    rig = make_rig(provider=provider)
    call = asyncio.ensure_future(rig.engine.acomplete("Really?"))
    await asyncio.to_thread(eventually, lambda: bool(provider.requests))
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await asyncio.to_thread(eventually, lambda: bool(rig.rows))
    assert provider.cancelled == 1
    assert [row.status for row in rig.rows] == ["cancelled"]
    provider.gate.set()
    assert (await rig.engine.acomplete("Really?")).layer == "provider"


async def test_a_time_limit_of_the_caller_is_a_time_limit(make_rig: MakeRig) -> None:
    """`asyncio.timeout` around a call does what it says."""
    rig = make_rig(provider=GatedProvider())
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await rig.engine.acomplete("Really?")


def test_the_model_of_the_settings_is_the_default(open_rig: Rig) -> None:
    """A call may name another one; credentials may name another server."""
    assert open_rig.engine.complete("Really?").model == MODEL
    assert open_rig.engine.complete("Really?", model="openai-chat:other").model == "openai-chat:other"
    there = Credentials(base_url="http://127.0.0.1:1/v1")
    assert open_rig.engine.complete("Really?", credentials=there).layer == "provider"


def test_without_a_model_there_is_no_call(make_rig: MakeRig) -> None:
    """The sentence says what to pass or set."""
    rig = make_rig(settings=Settings())
    with pytest.raises(ConfigurationError, match="No model is named; pass model="):
        rig.engine.complete("Really?")


def test_a_misspelled_option_is_refused(rig: Rig) -> None:
    """It must not be ignored: an answer would be looked for in the wrong namespace."""
    wrong: dict[str, Any] = {"namepsace": "triage"}
    with pytest.raises(ConfigurationError, match=r"A call has no option namepsace; it has .*\bnamespace\b"):
        rig.engine.complete("Really?", **wrong)


@pytest.mark.parametrize("cache", ["never", None, 7])
def test_a_wrong_mode_is_refused(rig: Rig, cache: Any) -> None:
    """The sentence lists the modes."""
    with pytest.raises(ConfigurationError, match="write one of use, refresh, bypass, only"):
        rig.engine.complete("Really?", cache=cache)


# -- many prompts -----------------------------------------------------------------------------------------------------


def test_many_prompts_are_answered_in_order(open_rig: Rig) -> None:
    """Cached, new and doubled ones side by side; each is asked once."""
    open_rig.engine.complete("b")
    done = open_rig.engine.complete_many(["a", "b", "c", "a", "c"])
    assert [one.output for one in done] == [f"Answer to {letter}" for letter in "abcac"]
    assert Counter(one.layer for one in done) == {"provider": 2, "l1": 3}
    assert asked(open_rig) == {"a": 1, "b": 1, "c": 1}
    assert len({one.request_id for one in done}) == 5


async def test_many_prompts_of_an_async_caller(open_rig: Rig) -> None:
    """The same through the other door."""
    done = await open_rig.engine.acomplete_many(["a", "b", "a"])
    assert [one.output for one in done] == ["Answer to a", "Answer to b", "Answer to a"]
    assert [one.layer for one in await open_rig.engine.acomplete_many(["a", "b"])] == ["l1", "l1"]


async def test_no_prompts_no_answers(open_rig: Rig) -> None:
    """Nothing is looked up for nothing."""
    assert open_rig.engine.complete_many([]) == []
    assert await open_rig.engine.acomplete_many([]) == []
    assert open_rig.events == []


@pytest.mark.parametrize(("mode", "times"), [("use", 1), ("refresh", 1), ("bypass", 3)])
def test_doubled_prompts_are_asked_once(open_rig: Rig, mode: CacheMode, times: int) -> None:
    """Also when answers may not be looked up; who bypasses the cache wants an answer for each."""
    policy = ResiliencePolicy(attempts=1, max_concurrent=1)
    open_rig.engine.complete_many(list("abcabcabc"), cache=mode, resilience=policy)
    assert asked(open_rig) == dict.fromkeys("abc", times)


def test_no_more_than_max_concurrent_are_asked_at_once(make_rig: MakeRig) -> None:
    """A batch of a thousand must not become a thousand connections."""
    provider = GatedProvider()
    rig = make_rig(provider=provider)
    policy = ResiliencePolicy(attempts=1, max_concurrent=3)
    prompts = [f"Question {number}" for number in range(10)]
    caller = threading.Thread(target=lambda: rig.engine.complete_many(prompts, resilience=policy))
    caller.start()
    eventually(lambda: len(provider.requests) == 3)
    provider.gate.set()
    caller.join()
    assert (len(provider.requests), provider.most_at_once) == (10, 3)


def test_when_some_fail_the_others_are_kept(rig: Rig) -> None:
    """The first error is raised with a note; asking again asks only for what is missing."""
    policy = ResiliencePolicy(attempts=1, max_concurrent=1)
    rig.script.then("A", RequestRejected("Filtered.", **REJECTED), "C", RequestRejected("Filtered.", **REJECTED))
    with pytest.raises(RequestRejected) as caught:
        rig.engine.complete_many(["a", "b", "c", "d"], resilience=policy)
    assert caught.value.notes == ["2 of 4 prompts failed; the other 2 were answered."]
    rig.script.then("B", "D")
    done = rig.engine.complete_many(["a", "b", "c", "d"], resilience=policy)
    assert [one.output for one in done] == ["A", "B", "C", "D"]
    assert [one.layer for one in done] == ["l1", "provider", "l1", "provider"]


def test_many_prompts_from_the_cache_alone(rig: Rig) -> None:
    """One that is missing is an error for all, and nobody is asked."""
    rig.script.then("A")
    rig.engine.complete("a")
    assert [one.layer for one in rig.engine.complete_many(["a", "a"], cache="only")] == ["l1", "l1"]
    with pytest.raises(OnlyCachedMiss):
        rig.engine.complete_many(["a", "b"], cache="only")
    assert rig.script.calls == 1


def test_one_bad_prompt_stops_a_batch_before_it_costs(rig: Rig) -> None:
    """Half a batch is no use to anybody."""
    with pytest.raises(ConfigurationError, match="The prompt is empty"):
        rig.engine.complete_many(["a", " "])
    assert rig.script.calls == 0


# -- around a call ----------------------------------------------------------------------------------------------------


def test_an_observer_that_fails_disturbs_nobody(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    """It is logged, the call goes on, later observers still see the event."""

    def broken(event: object) -> None:
        raise ZeroDivisionError(str(event))

    rig.engine.observers.add(broken)
    rig.engine.observers.add(rig.events.append)
    rig.script.then("Yes.")
    assert rig.engine.complete("Really?").output == "Yes."
    assert "An observer failed" in caplog.text
    rig.engine.observers.remove(broken)
    caplog.clear()
    rig.engine.complete("Really?")
    assert caplog.text == ""


def test_nothing_blocks_the_owner_loop(open_rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that is slow holds up its own callers, not the loop on which all providers are asked."""
    monkeypatch.setattr(open_rig.durable, "put", _slowly(open_rig.durable.put))
    beats: list[float] = []
    done = threading.Event()

    async def beat() -> None:
        while not done.is_set():
            beats.append(time.monotonic())
            await asyncio.sleep(0.001)

    heart = threading.Thread(target=lambda: open_rig.machinery.loop.call(beat()))
    heart.start()
    eventually(lambda: len(beats) > 3)
    beats.clear()
    open_rig.engine.complete_many([f"Question {number}" for number in range(3)])
    done.set()
    heart.join()
    assert len(beats) > 10, "the loop beat on while three answers were stored slowly"


def _slowly(use: Callable[..., Any]) -> Callable[..., Any]:
    def slow(*arguments: Any) -> Any:
        time.sleep(0.05)
        return use(*arguments)

    return slow


def test_a_policy_applies_to_one_call(open_rig: Rig) -> None:
    """The engine's own policy stays as it is."""
    short = CachePolicy(l1_ttl=timedelta(seconds=1), l2_ttl=timedelta(seconds=1), jitter=0)
    open_rig.engine.complete("Short?", cache=short)
    open_rig.engine.complete("Long?")
    open_rig.clock.advance(timedelta(seconds=2))
    assert [open_rig.engine.complete(prompt).layer for prompt in ("Short?", "Long?")] == ["provider", "l1"]
