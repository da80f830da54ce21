"""What `cognition demo` says when it cannot do what it is asked: one sentence, and nothing is kept."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import pytest
import sqlalchemy as sa
from prefect.settings import PREFECT_API_URL

from cognition.testing import FakeOpenAI
from tests.acceptance.conftest import API_KEY
from tests.command_line import refusal

MODEL = "openai-chat:gpt-5-mini"
NOBODY = "http://127.0.0.1:1/v1"
TOO_MUCH = "sk-mistyped-7c1d"


@pytest.fixture
def environment(database_url: str, redis_url: str, provider: FakeOpenAI) -> Generator[dict[str, str]]:
    """Return the variables of a working demo; after the test no answer may have been kept and nothing been paid."""
    yield {
        "COGNITION_DATABASE_URL": database_url,
        "COGNITION_REDIS_URL": redis_url,
        "COGNITION_RESILIENCE__ATTEMPTS": "1",
        "OPENAI_API_KEY": API_KEY,
        "OPENAI_BASE_URL": provider.base_url,
        "PREFECT_API_URL": str(PREFECT_API_URL.value()),
    }
    with sa.create_engine(database_url, poolclass=sa.NullPool).connect() as connection:
        assert 0 == connection.scalar(sa.text("SELECT count(*) FROM llm_cache"))
        assert 0 == connection.scalar(sa.text("SELECT coalesce(sum(cost_usd), 0) FROM llm_cost_tracking"))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"OPENAI_API_KEY": TOO_MUCH}, "key"),
        ({"OPENAI_API_KEY": ""}, "OPENAI_API_KEY"),
        ({"OPENAI_BASE_URL": NOBODY}, "could not be reached"),
    ],
    ids=["wrong key", "no key", "no server"],
)
def test_a_provider_that_cannot_be_asked_is_explained(
    environment: dict[str, str], changes: dict[str, str], words: str
) -> None:
    """The sentence names the cause, not the key."""
    demo = ("demo", "--model", MODEL, "--count", "1", "--json")

    said = refusal(environment | changes, *demo, secret=TOO_MUCH, alone=True)

    assert words in said


@pytest.mark.parametrize("model", ["gpt-5-mini", "nobody:model", "openai-chat:"])
def test_a_model_that_is_none_is_named(environment: dict[str, str], provider: FakeOpenAI, model: str) -> None:
    """Before any call is made."""
    said = refusal(environment, "demo", "--model", model, "--count", "1", "--json", alone=True)

    assert model.removesuffix(":model") in said
    assert 0 == provider.count


@pytest.mark.parametrize(("name", "contents"), [("empty.txt", " \n\n "), ("broken.jsonl", "{"), ("missing.csv", None)])
def test_a_file_without_texts_is_named(
    environment: dict[str, str], tmp_path: Path, name: str, contents: str | None
) -> None:
    """No server is needed to see that."""
    source = tmp_path / name
    if contents is not None:
        source.write_text(contents, encoding="utf-8")

    said = refusal(environment, "demo", "--model", MODEL, "--input", str(source), "--json", alone=True)

    assert said.startswith(str(source))
