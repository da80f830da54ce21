"""The block's own methods, saved and loaded through Prefect."""

import asyncio
import re
from collections.abc import Generator
from datetime import timedelta
from typing import Any, cast
from uuid import UUID

import pytest
from prefect import flow, get_client
from prefect.blocks.core import Block
from prefect.client.schemas.actions import BlockDocumentUpdate
from pydantic import BaseModel
from pydantic_ai import Agent

from cognition.domain.entry import Layer
from cognition.errors import CognitionError, ConfigurationError, OnlyCachedMiss
from cognition.testing import FakeOpenAI, Reply
from cognition_blocks import CachedLLM, CognitionStore, LLMBudget

PROMPTS = ["What is a fuse?", "What is a relay?"]


class City(BaseModel):
    """An answer with a shape."""

    name: str


@pytest.fixture
def loop_of_agents() -> Generator[None]:
    """Give `Agent.run_sync` an event loop that is closed: pydantic-ai never closes one that it makes itself."""
    with asyncio.Runner() as runner:
        asyncio.set_event_loop(runner.get_loop())
        yield
    asyncio.set_event_loop(None)


def test_a_saved_block_answers_like_the_original(llm: CachedLLM, provider: FakeOpenAI) -> None:
    """Every field survives Prefect's server, the nested store and the secrets too."""
    llm.save("round-trip", overwrite=True)

    loaded = cast("CachedLLM", CachedLLM.load("round-trip"))

    assert llm.to_config() == loaded.to_config()
    assert llm.to_settings() == loaded.to_settings()
    assert ("provider", "l1") == (llm.complete("Hello").layer, loaded.complete("Hello").layer)
    assert 1 == provider.count


@pytest.mark.parametrize("block", [CachedLLM, CognitionStore])
def test_the_code_example_runs(
    block: type[Block], llm: CachedLLM, provider: FakeOpenAI, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the Prefect UI shows for copying works as it stands."""
    assert llm.store is not None
    assert llm.api_key is not None
    monkeypatch.setenv("OPENAI_API_KEY", llm.api_key.get_secret_value())
    monkeypatch.setenv("OPENAI_BASE_URL", provider.base_url)

    run_example(llm if block is CachedLLM else llm.store)

    assert 1 == provider.count


def test_the_code_example_of_a_budget_runs(llm: CachedLLM) -> None:
    """After it the budget counts."""
    run_example(LLMBudget(subject="nightly", limit_usd="5.00", store=llm.store))

    assert [("workflow", "nightly", "daily")] == [
        (budget.scope, budget.subject, budget.period) for budget in llm.engine.budgets.list()
    ]


def run_example(block: Block) -> None:
    """Save a block and run its code example as a user would who copies it from the page of the block."""
    block.save("code-example", overwrite=True)
    example = re.search(r"```python\n(.*)```", str(block.get_code_example()), re.DOTALL)
    assert example is not None
    exec(example[1].replace("BLOCK_NAME", "code-example"), {})  # noqa: S102 - the example is ours


def test_many_prompts_keep_their_order(llm: CachedLLM, provider: FakeOpenAI) -> None:
    """Hits and misses come back where they were asked."""
    llm.complete(PROMPTS[1])

    answers = llm.complete_many(PROMPTS)

    assert ["provider", "l1"] == [done.layer for done in answers]
    assert 2 == provider.count


async def test_the_async_doors(llm: CachedLLM, provider: FakeOpenAI) -> None:
    """They answer from the same cache as the others."""
    one = await llm.acomplete(PROMPTS[0])
    many = await llm.acomplete_many(PROMPTS)

    assert ("provider", ["l1", "provider"]) == (one.layer, [done.layer for done in many])
    assert 2 == provider.count


def test_warming_asks_only_for_what_is_missing(llm: CachedLLM, provider: FakeOpenAI) -> None:
    """It says how many answers it had to ask for."""
    assert (2, 0) == (llm.warm(PROMPTS), llm.warm(PROMPTS))
    assert 2 == provider.count


def test_invalidating_one_answer_leaves_the_others(llm: CachedLLM) -> None:
    """The request is built from the same arguments as the call was."""
    llm.warm(PROMPTS)

    llm.invalidate(request=llm.request(PROMPTS[0]))

    # L1 forgets the whole namespace and gets its copies back from L2.
    assert ["provider", "l2"] == [done.layer for done in llm.complete_many(PROMPTS)]


def test_invalidating_touches_the_blocks_namespace_only(llm: CachedLLM) -> None:
    """Another block on the same store keeps its answers."""
    other = llm.model_copy(update={"namespace": "other"})
    llm.complete("Hello")
    other.complete("Hello")

    llm.invalidate()

    assert ("provider", "l1") == (llm.complete("Hello").layer, other.complete("Hello").layer)


def test_stats_count_look_ups(llm: CachedLLM) -> None:
    """One miss and one hit in L1 are a rate of one half."""
    llm.complete("Hello")
    llm.complete("Hello")

    l1 = next(stats for stats in llm.stats(timedelta(hours=1)) if stats.layer is Layer.L1)

    assert (1, 1, 0.5) == (l1.hits, l1.misses, l1.hit_rate)


def test_a_tenant_sees_only_its_own(llm: CachedLLM, provider: FakeOpenAI) -> None:
    """The same prompt under another tenant is asked again."""
    assert llm.store is not None
    other = llm.model_copy(update={"store": llm.store.model_copy(update={"tenant": "other"})})

    assert ("provider", "provider") == (llm.complete("Hello").layer, other.complete("Hello").layer)
    assert 2 == provider.count


def test_only_cached_answers(llm: CachedLLM, provider: FakeOpenAI) -> None:
    """`cache="only"` asks nobody and says so."""
    with pytest.raises(OnlyCachedMiss):
        llm.complete("Hello", cache="only")

    assert 0 == provider.count


@pytest.mark.usefixtures("loop_of_agents")
def test_an_agent_is_cached_and_booked(llm: CachedLLM, provider: FakeOpenAI) -> None:
    """Two runs of an Agent with a shaped output cost one provider call and are booked to their flow."""
    provider.script(Reply(text='{"name": "Paris"}'))
    agent = Agent(llm.model(), output_type=City, instructions="Be brief.")

    @flow(name="agency")
    def body() -> list[City]:
        return [agent.run_sync("Capital of France?").output for _ in range(2)]

    assert [City(name="Paris"), City(name="Paris")] == body()
    assert 1 == provider.count
    (line,) = llm.engine.ledger.report(group_by=("workflow",))
    assert ("agency", 2, 1) == (line.group["workflow"], line.calls, line.hits)


@pytest.mark.usefixtures("loop_of_agents")
def test_an_agents_tools_are_part_of_the_question(llm: CachedLLM, provider: FakeOpenAI) -> None:
    """The same prompt with another tool is another request."""

    def weather(city: str) -> str:
        """Tell the weather."""
        return f"{city}: rain"

    Agent(llm.model()).run_sync("Hello")
    Agent(llm.model(), tools=[weather]).run_sync("Hello")

    assert 2 == provider.count
    assert ["weather"] == [tool["function"]["name"] for tool in provider.calls[1].body["tools"]]


@pytest.mark.parametrize(
    ("door", "options", "sentence"),
    [
        ("complete_many", {}, "pass a list of prompts"),
        ("warm", {}, "pass a list of prompts"),
        ("complete", {"attribution": "alice"}, "The attribution is a str"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_anything_is_asked(
    llm: CachedLLM, provider: FakeOpenAI, door: str, options: dict[str, Any], sentence: str
) -> None:
    """One sentence, and no bill."""
    with pytest.raises(ConfigurationError, match=sentence):
        getattr(llm, door)("Hello", **options)

    assert 0 == provider.count


def test_a_document_of_a_newer_version_is_loaded(llm: CachedLLM) -> None:
    """It has fields that this version does not know, in its store too, and still answers."""
    saved = cast("UUID", llm.save("newer", overwrite=True))
    with get_client(sync_client=True) as client:
        document = client.read_block_document(saved, include_secrets=True)
        store = document.data["store"] | {"zone": "eu"}
        newer = BlockDocumentUpdate(block_schema_id=document.block_schema_id, data={"store": store, "fallbacks": []})
        client.update_block_document(document.id, newer)

    loaded = cast("CachedLLM", CachedLLM.load("newer"))

    assert llm.to_config() == loaded.to_config()
    assert llm.to_settings() == loaded.to_settings()


def test_a_block_without_a_model_says_what_to_write(store: CognitionStore) -> None:
    """One sentence, before anything is asked."""
    with pytest.raises(CognitionError, match="COGNITION_MODEL"):
        CachedLLM(store=store).complete("Hello")
