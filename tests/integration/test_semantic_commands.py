"""The semantic layer on the command line: explained, reported and invalidated, for people and machines."""

from __future__ import annotations

import json
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

import pytest
from pydantic import SecretStr

from cognition import Cognition, Credentials, SemanticPolicy, Settings
from cognition.adapters.postgres.connection import connect, fetch
from cognition.testing import FakeOpenAI, Reply, Usage
from tests.command_line import refusal, run

MODEL = "openai-chat:gpt-5-mini"
EMBEDDER = "local:all-minilm-l6-v2"
CACHED = "How do I reset my password?"
ASKED = "How can I reset my password?"
NEGATED = "How do I not reset my password?"


@dataclass(frozen=True)
class Asked:
    """What was asked before a command runs.

    Attributes:
        environment: The variables that lead to the stores and the embedder.
        request_ids: Of the first question, its paraphrase, and the paraphrase again.
    """

    environment: dict[str, str]
    request_ids: list[str]


@pytest.fixture
def asked(database_url: str, redis_url: str) -> Generator[Asked]:
    """Return what leads to the stores after a question, a paraphrase and the paraphrase again."""
    settings = Settings(
        database_url=SecretStr(database_url),
        redis_url=SecretStr(redis_url),
        model=MODEL,
        embedder=EMBEDDER,
        semantic=SemanticPolicy(threshold=0.6, floor=0.6, check_share=0.0),
    )
    with FakeOpenAI(default=Reply(text="In the settings.", usage=Usage(1000, 100))) as provider:
        environment = {
            "COGNITION_DATABASE_URL": database_url,
            "COGNITION_REDIS_URL": redis_url,
            "COGNITION_MODEL": MODEL,
            "COGNITION_EMBEDDER": EMBEDDER,
            "COGNITION_SEMANTIC__THRESHOLD": "0.6",
            "COGNITION_SEMANTIC__FLOOR": "0.6",
            # Of the server that answered: another one is another scope.
            "OPENAI_BASE_URL": provider.base_url,
        }
        with Cognition.open(settings) as engine:
            known = Credentials(api_key="any", base_url=provider.base_url)
            done = [engine.complete(prompt, credentials=known) for prompt in (CACHED, ASKED, ASKED)]
        assert ["provider", "l3", "l1"] == [one.layer for one in done]
        yield Asked(environment, [one.request_id for one in done])


def read(environment: dict[str, str], *arguments: str) -> Any:
    """Return what a command tells machines."""
    return json.loads(run(environment, *arguments, "--json").stdout)


def test_explain_names_layers_and_neighbours(asked: Asked) -> None:
    """A copy is told from an answer, and the neighbour that would answer is there."""
    explained = read(asked.environment, "cache", "explain", ASKED)
    assert "l1" == explained["answered_by"]
    assert [True, True] == [layer["held"] for layer in explained["layers"]]
    assert [True, True] == [layer["origin"] is not None for layer in explained["layers"]]
    (near,) = explained["nearby"]
    assert (CACHED, True, []) == (near["text"], near["answers"], near["reasons"])
    assert 64 == len(explained["exact_key"]) == len(explained["scope_key"])


def test_explain_gives_people_the_reason_of_a_refusal(asked: Asked) -> None:
    """In a table, with both figures."""
    printed = run(asked.environment, "cache", "explain", NEGATED).stdout
    assert printed.startswith("Would be answered by provider.")
    assert "l1  holds no answer" in printed
    assert "a score of 0.60 is needed, the default" in printed
    assert "negation" in printed
    assert CACHED in printed


def test_explain_keeps_scopes_apart(asked: Asked) -> None:
    """Another model, namespace or system prompt has no neighbours here."""
    scopes = (("--model", "openai-chat:gpt-5"), ("--namespace", "other"), ("--instructions", "Be brief."))
    for option in scopes:
        explained = read(asked.environment, "cache", "explain", ASKED, *option)
        assert ("provider", []) == (explained["answered_by"], explained["nearby"])
        assert "This scope holds no question" in explained["semantic"]


def test_explain_without_an_embedder_says_what_to_set(asked: Asked) -> None:
    """One variable."""
    environment = {name: value for name, value in asked.environment.items() if name != "COGNITION_EMBEDDER"}
    assert "no embedder is set; set COGNITION_EMBEDDER=" in run(environment, "cache", "explain", NEGATED).stdout


def test_explaining_is_not_counted(asked: Asked) -> None:
    """The statistics are those of the three calls: one hit in L3 and one in L1."""
    run(asked.environment, "cache", "explain", NEGATED)
    layers = {layer["layer"]: layer for layer in read(asked.environment, "stats")}
    assert (1, 1, 0, 1) == tuple(layers["l3"][name] for name in ("hits", "misses", "refusals", "stores"))
    assert (1, 2) == (layers["l1"]["hits"], layers["l1"]["misses"])
    assert layers["l3"]["saved_usd"] == layers["l1"]["saved_usd"] != "0"


def test_stats_show_l3_to_people(asked: Asked) -> None:
    """A row as for the other layers."""
    (row,) = [line for line in run(asked.environment, "stats").stdout.splitlines() if line.startswith("│ l3")]
    assert ["l3", "1", "1", "50.0%", "0"] == [cell.strip() for cell in row.strip("│").split("│")][:5]


@pytest.mark.parametrize("number", [1, 2], ids=["hit", "copy"])
@pytest.mark.parametrize("without", [[], ["COGNITION_EMBEDDER"]], ids=["embedder", "no-embedder"])
def test_a_bad_hit_is_reported(asked: Asked, number: int, without: list[str]) -> None:
    """The copies are dropped, and the pair is told to machines; afterwards it is no neighbour any more."""
    environment = {name: value for name, value in asked.environment.items() if name not in without}
    done = read(environment, "cache", "report-bad-hit", asked.request_ids[number])
    assert (1, 1) == (done["dropped"]["l1"], done["dropped"]["l2"])
    assert (ASKED, CACHED) == (done["pair"]["asked"], done["pair"]["cached"])
    explained = read(asked.environment, "cache", "explain", ASKED)
    assert ("provider", []) == (explained["answered_by"], explained["nearby"])


def test_people_are_told_what_never_meets_again(asked: Asked) -> None:
    """Both questions in one line."""
    printed = run(asked.environment, "cache", "report-bad-hit", asked.request_ids[1]).stdout
    assert "Dropped 1 in l1, 1 in l2, 0 in l3." in printed
    assert f"Never again one answer for: {ASKED} / {CACHED}" in printed


def test_a_reported_answer_of_the_provider_is_gone(asked: Asked) -> None:
    """With the copies that were made of it."""
    done = read(asked.environment, "cache", "report-bad-hit", asked.request_ids[0])
    assert (2, 1, None) == (done["dropped"]["l2"], done["dropped"]["l3"], done["pair"])


@pytest.mark.parametrize("request_id", ["0" * 32, "no id", ""])
def test_an_unknown_call_is_one_sentence(asked: Asked, request_id: str) -> None:
    """With exit code 1."""
    assert "stands in the ledger" in refusal(asked.environment, "cache", "report-bad-hit", request_id)


def test_what_is_similar_is_invalidated(asked: Asked) -> None:
    """In all layers; a higher bar drops nothing."""
    command = ("cache", "invalidate", "--similar-to", "how do i reset my password please")
    assert 0 == read(asked.environment, *command, "--above", "1")["dropped"]["l3"]
    assert {"l1": 2, "l2": 2, "l3": 1} == read(asked.environment, *command, "--above", "0.7")["dropped"]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["cache", "invalidate", "--similar-to", ""], 1, "empty or too long"),
        (["cache", "invalidate", "--similar-to", "x", "--above", "0"], 1, "above 0 and at most 1"),
        (["cache", "invalidate", "--similar-to", "x", "--above", "1.5"], 2, "--above"),
        (["cache", "invalidate", "--above", "0.9"], 1, "Say what to invalidate"),
        (["cache", "explain", ""], 1, "The prompt is empty"),
        (["cache", "explain", "x", "--model", "nobody"], 1, "names no provider"),
        (["cache", "explain"], 2, "prompt"),
        (["cache", "report-bad-hit"], 2, "request_id"),
    ],
)
def test_bad_input_is_refused(asked: Asked, arguments: list[str], code: int, words: str) -> None:
    """Exit code 1 and one sentence for what cannot be, 2 for wrong usage."""
    assert words in run(asked.environment, *arguments, code=code).stderr


def test_without_an_embedder_nothing_is_similar(asked: Asked) -> None:
    """The sentence says which variable to set."""
    environment = {name: value for name, value in asked.environment.items() if name != "COGNITION_EMBEDDER"}
    assert "COGNITION_EMBEDDER" in refusal(environment, "cache", "invalidate", "--similar-to", CACHED)


def test_a_wrong_setting_names_its_variable(asked: Asked) -> None:
    """Before anything is opened."""
    environment = asked.environment | {"COGNITION_SEMANTIC__MODE": "maybe"}
    assert "COGNITION_SEMANTIC__MODE" in refusal(environment, "cache", "explain", CACHED)


def test_another_embedder_finds_what_was_kept_before(asked: Asked) -> None:
    """As after a change of `COGNITION_EMBEDDER`: what was moved is found, and not moved again."""
    database = connect(asked.environment["COGNITION_DATABASE_URL"])
    old = "UPDATE llm_semantic_cache SET embedder_fingerprint = 'old@1/3/unit', embedding = '[1, 0, 0]' RETURNING 1"
    assert [(1,)] == fetch(database, old, {})
    database.dispose()
    assert [] == read(asked.environment, "cache", "explain", NEGATED)["nearby"]
    assert {"moved": 1, "left": 0, "done": True} == read(asked.environment, "cache", "reembed")
    assert [CACHED] == [near["text"] for near in read(asked.environment, "cache", "explain", NEGATED)["nearby"]]
    assert "Moved 0 answers to the present embedder.\n" == run(asked.environment, "cache", "reembed").stdout


def test_an_index_for_bulk_tables_is_refused_for_few_vectors(asked: Asked) -> None:
    """It would find less and save nothing."""
    assert "fewer than 100,000 vectors of 384 dimensions" in refusal(asked.environment, "cache", "build-index")


def test_upkeep_without_an_embedder_says_what_to_set(asked: Asked) -> None:
    """One variable."""
    environment = {name: value for name, value in asked.environment.items() if name != "COGNITION_EMBEDDER"}
    assert "set COGNITION_EMBEDDER=" in refusal(environment, "cache", "reembed")
