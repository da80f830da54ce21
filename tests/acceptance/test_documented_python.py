"""Every piece of Python in the documents runs as it stands there."""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator
from dataclasses import dataclass
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Final
from uuid import uuid4

import pytest

from cognition.runtime import open_engines
from cognition.testing import FakeOpenAI, temporary_home
from cognition_blocks import CognitionStore
from cognition_blocks.store import environment_settings, settings_of
from tests.acceptance.conftest import API_KEY
from tests.snippets import Snippet, blocks

PYTHON: Final = [one for one in blocks() if one.language == "python"]


@dataclass(frozen=True)
class Around:
    """What stands around a piece, in its module.

    Attributes:
        part: A part of the piece that no other has.
        before: What its reader has by then: names of earlier pieces, a saved block.
        after: What shows that it did what the document says. `provider` is the fake provider.
        embedder: The embedder that the document tells to set.
    """

    part: str
    before: str = ""
    after: str = ""
    embedder: str | None = None


SUPPORT: Final = """
from cognition_blocks import CachedLLM
CachedLLM(model="openai-chat:gpt-5-mini").save("support", overwrite=True)
prompt, prompts = "Is it open?", ["Is it open?", "Who opened it?"]
llm = CachedLLM.load("support")
"""

# A piece that is not here runs alone.
AROUND: Final = [
    Around(
        "def nightly(tickets: list[str])",
        after="""
tickets = ["The shop is down.", "Where is my invoice?"]
assert nightly(tickets) == nightly(tickets)
assert provider.count == 2, "the second run costs nothing"
assert {line.group["user"] for line in llm.engine.ledger.report(group_by=("user",))} == {"alice"}
""",
    ),
    Around(
        "class Triage(BaseModel)",
        after="""
import asyncio
from prefect import flow

@flow
async def asks() -> Triage:
    return await triage("The shop is down.")

assert isinstance(asyncio.run(asks()), Triage)
""",
    ),
    Around(
        "answers = llm.complete_many(prompts)",
        before=SUPPORT,
        # `run_sync` would leave its loop to the garbage collector.
        after="""
import asyncio
assert len(answers) == 2
assert asyncio.run(agent.run("What is a circuit breaker?")).output == answer.text
""",
    ),
    Around(
        'engine.complete("Hello"',
        after="""
with Cognition.open() as engine:
    (line,) = engine.ledger.report(("user",))
    assert (line.group["user"], line.calls) == ("alice", 1)
""",
    ),
    Around(
        'semantic="shadow"',
        before=SUPPORT
        + """
from tests.integration.engine.stage import wait_until
llm.complete("How do I reset my password?")
wait_until(lambda: llm.explain("How can I reset my password?").answered_by == "l3")
answer = llm.complete("How do I reset my password, please?")
""",
        after="""
assert {"l3": 2}.items() <= {one.layer: one.hits for one in llm.stats()}.items()
assert llm.explain("How do I reset my password?").answered_by == "provider", "invalidated"
""",
        embedder="local:all-minilm-l6-v2",
    ),
    Around(
        "fallbacks=[",
        before=SUPPORT
        + """
from cognition.testing import Fault
provider.script(Fault(status=429, error_code="insufficient_quota"))
""",
        after="""
assert (done.model, done.requested_model) == ("anthropic:claude-haiku-4-5", "openai-chat:gpt-5-mini")
""",
    ),
    Around(
        "@reschedule_on_retry_later",
        after="nightly([])",
    ),
    Around(
        "Budget.per_run",
        after="""
with Cognition.open() as engine:
    assert {budget.scope for budget in engine.budgets.list()} == {"workflow", "flow_run", "user"}
""",
    ),
    Around(
        "engine.reports.costs()",
        before="""
from cognition import Cognition
with Cognition.open() as engine:
    engine.complete("What is a circuit breaker?", model="openai-chat:gpt-5-mini")
""",
        after="""
with Cognition.open() as engine:
    assert engine.reports.hit_rate().total.calls == 1
""",
    ),
    Around("def jittered(", before="from datetime import timedelta"),
]


def around(snippet: Snippet) -> Around:
    """Return what stands around a piece."""
    found = [one for one in AROUND if one.part in snippet.text]
    assert len(found) <= 1, f"{[one.part for one in found]} name the same piece"
    return found[0] if found else Around("")


@pytest.fixture
def environment(store: CognitionStore, provider: FakeOpenAI, monkeypatch: pytest.MonkeyPatch) -> Generator[None]:
    """Set what a reader has set: his stores, and addresses and keys of providers."""
    assert store.database_url is not None
    assert store.redis_url is not None
    with temporary_home() as home:
        variables = {
            "COGNITION_DATABASE_URL": store.database_url.get_secret_value(),
            "COGNITION_REDIS_URL": store.redis_url.get_secret_value(),
            "COGNITION_HOME": str(home),
            "OPENAI_BASE_URL": provider.base_url,
            "OPENAI_API_KEY": API_KEY,
            "ANTHROPIC_BASE_URL": provider.url,
            "ANTHROPIC_API_KEY": API_KEY,
        }
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        forget_environment()
        yield
        for engine in open_engines():
            engine.close()
        forget_environment()


def forget_environment() -> None:
    """Let blocks read the environment anew, which they do once a process."""
    settings_of.cache_clear()
    environment_settings.cache_clear()


@pytest.fixture
def run(provider: FakeOpenAI, tmp_path: Path) -> Generator[Callable[[str], None]]:
    """Return a function that runs a program as a module of its own, whose `provider` is the fake one."""
    name = f"documented_{uuid4().hex}"

    def execute(program: str) -> None:
        path = tmp_path / f"{name}.py"
        path.write_text(program, encoding="utf-8")
        spec = spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        module = module_from_spec(spec)
        sys.modules[name] = module
        vars(module)["provider"] = provider
        spec.loader.exec_module(module)

    yield execute
    sys.modules.pop(name, None)


@pytest.mark.usefixtures("environment")
@pytest.mark.parametrize("snippet", PYTHON, ids=lambda one: one.place)
def test_it_runs(snippet: Snippet, run: Callable[[str], None], monkeypatch: pytest.MonkeyPatch) -> None:
    """With real stores, a Prefect server and a provider that speaks HTTP."""
    parts = around(snippet)
    if parts.embedder is not None:
        monkeypatch.setenv("COGNITION_EMBEDDER", parts.embedder)

    run(f"{parts.before}\n{snippet.text}\n{parts.after}")


def test_what_stands_around_a_piece_has_one() -> None:
    """A piece that is rewritten takes its preparation along."""
    orphans = [one.part for one in AROUND if 1 != sum(one.part in snippet.text for snippet in PYTHON)]

    assert [] == orphans
