"""`llm_task` in every way in which Prefect runs a task, on a real engine and stores, with a provider on loopback."""

import asyncio
from collections.abc import Generator
from typing import Any, cast

import pytest
from prefect import flow, task
from pydantic import BaseModel, SecretStr

from cognition import Completion
from cognition.errors import ConfigurationError, QuotaExhausted, RateLimited
from cognition.testing import FakeOpenAI, Fault, Reply
from cognition_blocks import CachedLLM, llm_task
from cognition_blocks.llm_reference import DOCUMENT_LIFE_SECONDS, resolve
from cognition_blocks.store import environment_settings


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> Generator[pytest.MonkeyPatch]:
    """Let a test set variables that are otherwise read once a process."""
    environment_settings.cache_clear()
    yield monkeypatch
    environment_settings.cache_clear()


class Triage(BaseModel):
    """An answer with a shape."""

    urgent: bool


def test_the_second_call_is_answered_by_the_cache(llm: CachedLLM, provider: FakeOpenAI) -> None:
    """Two identical calls in one flow cost one provider call."""
    ask = llm_task(llm=llm, returns="completion")(prompt_about)

    @flow
    def twice() -> list[str]:
        return [ask("circuits").layer, ask("circuits").layer]

    assert ["provider", "l1"] == twice()
    assert 1 == provider.count


def test_a_later_run_is_answered_by_the_cache(llm: CachedLLM, provider: FakeOpenAI) -> None:
    """Unlike Prefect's default cache policy, answers are shared between flow runs."""
    ask = llm_task(llm=llm, returns="completion")(prompt_about)

    @flow
    def once() -> str:
        return ask("circuits").layer

    assert ("provider", "l1") == (once(), once())
    assert 1 == provider.count


def test_the_answer_has_the_shape_asked_for(llm: CachedLLM, provider: FakeOpenAI) -> None:
    """The task returns the model, built from the provider's answer and again from the cache."""
    provider.script(Reply(text='{"urgent": true}'))
    ask = llm_task(llm=llm, output=Triage)(prompt_about)

    @flow
    def twice() -> list[Triage]:
        return [ask("fire"), ask("fire")]

    assert [Triage(urgent=True), Triage(urgent=True)] == twice()
    assert 1 == provider.count


def test_submit(llm: CachedLLM) -> None:
    """A submitted task's future holds the answer."""
    ask = llm_task(llm=llm, returns="completion")(prompt_about)

    @flow
    def submits() -> Completion:
        return ask.submit("circuits").result()  # pyright: ignore[reportUnknownMemberType]

    assert submits().text


def test_map(llm: CachedLLM, provider: FakeOpenAI) -> None:
    """A mapped task asks once for each different prompt."""
    ask = llm_task(llm=llm, returns="completion")(prompt_about)

    @flow
    def maps() -> list[Completion]:
        return ask.map(["a", "b", "a", "b"]).result()

    completions = maps()

    assert 4 == len(completions)
    assert 2 == provider.count


def test_with_options_keeps_the_behaviour(llm: CachedLLM) -> None:
    """A renamed copy still returns the answer, and is booked under its new name."""
    ask = llm_task(llm=llm, returns="completion")(prompt_about).with_options(name="renamed")

    @flow
    def once() -> Completion:
        return ask("circuits")

    assert once().text
    assert ["renamed"] == [line.group["task"] for line in llm.engine.ledger.report(group_by=("task",))]


async def test_async_tasks_in_an_async_flow(llm: CachedLLM, provider: FakeOpenAI) -> None:
    """Concurrent identical calls share one provider call."""

    @llm_task(llm=llm)
    async def ask(topic: str) -> str:
        return f"What is {topic}?"

    @flow
    async def gathers() -> list[str]:
        return await asyncio.gather(*(ask("circuits") for _ in range(5)))

    assert 1 == len(set(await gathers()))
    assert 1 == provider.count


def test_submitted_async_tasks_have_loops_of_their_own(llm: CachedLLM, provider: FakeOpenAI) -> None:
    """Prefect runs each in a thread with its own event loop; the engine's clients belong to none of them."""

    @llm_task(llm=llm)
    async def ask(topic: str) -> str:
        return f"What is {topic}?"

    @flow
    def maps() -> list[Any]:
        return ask.map([f"topic {number}" for number in range(4)]).result()

    assert 4 == len(maps())
    assert 4 == provider.count


async def test_a_sync_task_in_an_async_flow(llm: CachedLLM) -> None:
    """A sync task may be called where a loop is running."""
    ask = llm_task(llm=llm, returns="completion")(prompt_about)

    @flow
    async def once() -> Completion:
        return ask("circuits")

    assert (await once()).text


def test_outside_a_flow(llm: CachedLLM) -> None:
    """A task may be called on its own; it is booked to its task run and no flow run."""
    ask = llm_task(llm=llm)(prompt_about)

    assert ask("circuits")

    (line,) = llm.engine.ledger.report(group_by=("flow_run", "task"))
    assert {"flow_run": None, "task": "prompt_about"} == line.group


def test_a_document_is_named(llm: CachedLLM) -> None:
    """`llm="name"` loads the saved block, here in an async task too, where Prefect would return a coroutine."""
    llm.save("by-name", overwrite=True)

    @llm_task(llm="by-name")
    async def ask(topic: str) -> str:
        return f"What is {topic}?"

    @flow
    async def once() -> str:
        return await ask("circuits")

    assert asyncio.run(once())


def test_a_changed_document_is_noticed(llm: CachedLLM) -> None:
    """A new key reaches workers that run on, once a minute; until then the document is not read again."""
    llm.save("changing", overwrite=True)
    first = resolve("changing", clock=lambda: 0.0)
    llm.model_copy(update={"api_key": SecretStr("sk-new")}).save("changing", overwrite=True)

    assert first is resolve("changing", clock=lambda: DOCUMENT_LIFE_SECONDS - 1)
    assert SecretStr("sk-new") == cast("CachedLLM", resolve("changing", clock=lambda: DOCUMENT_LIFE_SECONDS)).api_key


def test_nothing_is_named(llm: CachedLLM, provider: FakeOpenAI, environment: pytest.MonkeyPatch) -> None:
    """A bare `@llm_task` takes model, key and stores from the environment."""
    store, api_key = llm.store, llm.api_key
    assert store is not None and store.database_url is not None and store.redis_url is not None  # noqa: PT018
    assert api_key is not None
    environment.setenv("COGNITION_MODEL", "openai-chat:gpt-5-mini")
    environment.setenv("COGNITION_DATABASE_URL", store.database_url.get_secret_value())
    environment.setenv("COGNITION_REDIS_URL", store.redis_url.get_secret_value())
    environment.setenv("OPENAI_API_KEY", api_key.get_secret_value())
    environment.setenv("OPENAI_BASE_URL", provider.base_url)
    ask = llm_task(prompt_about)

    @flow
    def once() -> str:
        return ask("circuits")

    assert once()
    assert 1 == provider.count
    assert "l1" == llm.complete("What is circuits?").layer


def test_a_missing_document_is_named_in_the_error() -> None:
    """The sentence says how to make it."""
    ask = llm_task(llm="nobody-saved-this")(prompt_about)

    with pytest.raises(ConfigurationError, match=r"no block document 'nobody-saved-this'.*save"):
        ask.fn("circuits")


def test_prefect_retries_what_may_pass(llm: CachedLLM, provider: FakeOpenAI) -> None:
    """An overload that outlasts the engine's attempts is tried again by Prefect, and booked as the second start."""
    provider.script(Fault(status=429, headers={"retry-after": "0"}), Reply(text="at last"))
    impatient = llm.model_copy(update={"attempts": 1})
    ask = llm_task(llm=impatient, retries=1)(prompt_about)

    @flow
    def once() -> str:
        return ask("circuits")

    assert "at last" == once()
    assert 2 == provider.count


def test_prefect_does_not_retry_what_cannot_pass(llm: CachedLLM, provider: FakeOpenAI) -> None:
    """A wrong key stays wrong, however many retries the task has."""
    ask = llm_task(llm=llm.model_copy(update={"api_key": None, "base_url": provider.base_url}), retries=3)(prompt_about)

    @flow
    def once() -> str:
        return ask("circuits")

    with pytest.raises(Exception, match="key") as raised:
        once()

    assert not isinstance(raised.value, RateLimited | QuotaExhausted)
    assert provider.count <= 1


def test_a_prompt_function_that_returns_none_fails_with_one_sentence(llm: CachedLLM, provider: FakeOpenAI) -> None:
    """The sentence names the function; nothing is asked and nothing is retried."""

    @llm_task(llm=llm, retries=2)
    def forgetful(topic: str) -> str:
        print(f"What is {topic}?")  # noqa: T201 - instead of returning it
        return None  # pyright: ignore[reportReturnType]

    @flow
    def once() -> str:
        return forgetful("circuits")

    with pytest.raises(ConfigurationError, match=r"forgetful.* returned is NoneType"):
        once()
    assert 0 == provider.count


def test_a_block_in_a_plain_task_is_booked_to_that_task(llm: CachedLLM) -> None:
    """`complete_many` inside an ordinary Prefect task is the fast way for many small prompts."""

    @task
    def summarise(topics: list[str]) -> list[str]:
        return [done.text for done in llm.complete_many([f"What is {topic}?" for topic in topics])]

    @flow
    def once() -> list[str]:
        return summarise(["a", "b", "c"])

    assert 3 == len(once())
    (line,) = llm.engine.ledger.report(group_by=("task",))
    assert ("summarise", 3) == (line.group["task"], line.calls)


def prompt_about(topic: str) -> str:
    """Return a prompt."""
    return f"What is {topic}?"
