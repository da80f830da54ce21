"""Callers with event loops, many at a time; nothing blocks the loop on which providers are asked."""

from __future__ import annotations

import asyncio
import logging
import threading
from typing import Any

import pytest
from pydantic_ai.messages import ModelResponse
from typing_extensions import override

from cognition import Cognition
from cognition.adapters.providers import ModelProvider
from cognition.domain.completion import CompletionRequest
from cognition.errors import CognitionError
from cognition.testing import Fault, Hang, Reply
from tests.integration.engine.servers import Servers
from tests.integration.engine.stage import Stage, wait_until

# A frozen Redis blocks whoever asks it for half a second and more; a machine's own work rarely takes so long.
_SLOW_SECONDS = 0.4


class _WatchedProvider(ModelProvider):
    """The real one, which also tells its loop what is slow."""

    @override
    async def ask(self, request: CompletionRequest) -> ModelResponse:
        asyncio.get_running_loop().slow_callback_duration = _SLOW_SECONDS
        return await super().ask(request)


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """Let new event loops log callbacks that block them."""
    monkeypatch.setenv("PYTHONASYNCIODEBUG", "1")
    caplog.set_level(logging.WARNING, logger="asyncio")
    return caplog


def _slow_callbacks(slow: pytest.LogCaptureFixture) -> list[str]:
    return [line for line in slow.messages if line.startswith("Executing")]


def test_nothing_blocks_the_owner_loop(stage: Stage, slow: pytest.LogCaptureFixture) -> None:
    """Calls, retries, refusals and large prompts from many threads: no callback of the loop is slow."""
    engine = _open_watched(stage)
    stage.provider.default = lambda call: Fault(status=503) if 0 == call.index % 5 else Reply(text="x" * 100_000)
    prompts = [f"{number} " + "word " * 50_000 for number in range(12)]
    with_errors = [threading.Thread(target=_ask_quietly, args=(stage, engine, prompt)) for prompt in prompts]
    for thread in with_errors:
        thread.start()
    for thread in with_errors:
        thread.join()
    assert stage.provider.count >= 12
    assert [] == _slow_callbacks(slow)


def test_a_frozen_store_does_not_block_the_owner_loop(
    own_stage: Stage, own_servers: Servers, slow: pytest.LogCaptureFixture
) -> None:
    """What waits for a store that says nothing waits in a thread."""
    engine = _open_watched(own_stage)
    own_stage.ask(engine, "So that the loop runs")
    own_stage.provider.default = lambda _: _frozen(own_servers)
    own_stage.ask(engine)
    assert [] == _slow_callbacks(slow)


def test_the_watch_sees_what_is_slow(stage: Stage, slow: pytest.LogCaptureFixture) -> None:
    """The two tests before would fail if something blocked the loop."""

    class Blocking(_WatchedProvider):
        @override
        async def ask(self, request: CompletionRequest) -> ModelResponse:
            answer = await super().ask(request)
            stage.provider.pause(_SLOW_SECONDS + 0.2)
            return answer

    engine = Cognition.open(stage.open().settings, provider=Blocking())
    stage.opened.append(engine)
    stage.ask(engine)
    assert _slow_callbacks(slow)


def test_callers_on_several_loops_share_one_call(stage: Stage) -> None:
    """Prefect gives each submitted async task a loop of its own."""
    engine = stage.open()
    stage.provider.default = Reply(delay_seconds=0.5)
    layers: list[str] = []

    async def ask() -> None:
        asked = (engine.acomplete("Shared?", credentials=stage.credentials) for _ in range(5))
        layers.extend(one.layer for one in await asyncio.gather(*asked))

    threads = [threading.Thread(target=asyncio.run, args=(ask(),)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (20, 1, 1) == (len(layers), layers.count("provider"), stage.provider.count)


async def test_a_callers_loop_is_not_blocked(stage: Stage) -> None:
    """While a call waits for the provider, the caller's loop goes on."""
    engine = stage.open()
    held = threading.Event()
    stage.provider.script(lambda _: Reply() if held.wait(20) else Fault(status=500))
    call = asyncio.create_task(engine.acomplete("Slow?", credentials=stage.credentials))
    await asyncio.to_thread(stage.provider.wait_for_calls, 1)
    held.set()
    assert "provider" == (await call).layer


async def test_one_who_gives_up_takes_nothing_from_the_others(stage: Stage) -> None:
    """The call goes on as long as somebody waits for it."""
    engine = stage.open()
    held = threading.Event()
    stage.provider.script(lambda _: Reply(text="Here.") if held.wait(20) else Fault(status=500))
    calls = [asyncio.create_task(engine.acomplete("Slow?", credentials=stage.credentials)) for _ in range(3)]
    await asyncio.to_thread(stage.provider.wait_for_calls, 1)
    calls[0].cancel()
    with pytest.raises(asyncio.CancelledError):
        await calls[0]
    held.set()
    assert ["Here.", "Here."] == [done.text for done in await asyncio.gather(*calls[1:])]
    assert 1 == stage.provider.count


async def test_when_all_give_up_the_call_ends(stage: Stage) -> None:
    """The attempt is booked as cancelled, the lease is free, and the next caller asks anew."""
    engine = stage.open()
    stage.provider.script(Hang(), Reply(text="Now."))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.5):
            await engine.acomplete("Slow?", credentials=stage.credentials)
    done = await engine.acomplete("Slow?", credentials=stage.credentials)
    assert ("provider", "Now.") == (done.layer, done.text)
    wait_until(engine.ledger.flush)
    wait_until(lambda: {"cancelled", "ok"} == {row["status"] for row in stage.ledger()})


async def test_an_engine_is_used_sync_and_async(stage: Stage) -> None:
    """Both doors lead to the same cache, also from inside a running loop."""
    engine = stage.open()
    asked = await engine.acomplete("Same?", credentials=stage.credentials)
    assert ("provider", "l1") == (asked.layer, stage.ask(engine, "Same?").layer)


async def test_an_agent_is_cached(stage: Stage) -> None:
    """The engine as an Agent's model: the second run asks nobody."""
    from pydantic_ai import Agent  # noqa: PLC0415  takes a while, and only this test needs it

    from cognition.model import CompletionModel  # noqa: PLC0415  as above

    engine = stage.open()

    async def ask(prompt: Any, /, **options: Any) -> Any:
        return await engine.acomplete(prompt, credentials=stage.credentials, **options)

    for _ in range(2):
        agent = Agent(CompletionModel(ask, "openai-chat:gpt-5-mini"), instructions="Be brief.")
        answer = await agent.run("What is a circuit breaker?")
        assert "It stops calls to a service that is down." == answer.output
    assert 1 == stage.provider.count


def _open_watched(stage: Stage) -> Cognition:
    engine = Cognition.open(stage.open().settings, provider=_WatchedProvider())
    stage.opened.append(engine)
    return engine


def _ask_quietly(stage: Stage, engine: Cognition, prompt: str) -> None:
    try:
        stage.layers(engine, 2, prompt)
    except CognitionError:
        return


def _frozen(servers: Servers) -> Reply:
    servers.freeze_redis()
    return Reply()
