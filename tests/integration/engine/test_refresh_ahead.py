"""What was asked often is asked anew before it expires, from what the ledger and the semantic layer keep."""

from __future__ import annotations

import json
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cognition import Attribution, Budget, CachePolicy, Cognition
from cognition.cli import app
from cognition.domain.warming import WARM_TAG, WarmPlan, Wish
from cognition.services.warming import FRESH, OTHER_REQUEST, RARE, UNKNOWN_PROMPT
from tests.integration.engine.stage import MODEL, Stage

EMBEDDER = "local:all-minilm-l6-v2"
STEADY = CachePolicy(jitter=0)  # L2 keeps an answer for an hour, to the second
SOON = timedelta(minutes=58)
OFTEN = ["What is a circuit breaker?", "How do I bake bread?"]


@pytest.fixture
def near(stage: Stage) -> Cognition:
    """Return an engine with a semantic layer."""
    return stage.open(embedder=EMBEDDER, cache=STEADY)


def test_frequent_requests_are_asked_anew(stage: Stage, near: Cognition) -> None:
    """Those that expire soon; afterwards each is a hit, when the old answers would have gone."""
    for prompt in OFTEN:
        stage.layers(near, 3, prompt, namespace="support")
    stage.layers(near, 1, "Asked once?", namespace="support")
    stage.clock.advance(SOON)
    before = stage.provider.count

    done = near.warming.frequent(credentials=stage.credentials)

    assert (2, 2, 2, {}) == (done.wishes, done.asked, done.refreshed, done.skipped)
    assert before + 2 == stage.provider.count
    stage.clock.advance(timedelta(minutes=30))
    assert {"l2"} == {layer for prompt in OFTEN for layer in stage.layers(near, 1, prompt, namespace="support")}


def test_what_cannot_be_rebuilt_is_left_and_told(stage: Stage, near: Cognition) -> None:
    """A key is no prompt: other instructions make another request, and without L3 there is no text."""
    stage.layers(near, 2, OFTEN[0], instructions="Be brief.")
    stage.layers(near, 2, OFTEN[1])
    without = stage.open()
    stage.layers(without, 2, "Without an embedder?")
    assert without.ledger.flush()
    stage.clock.advance(SOON)

    done = near.warming.frequent(credentials=stage.credentials)
    again = near.warming.frequent(credentials=stage.credentials, instructions="Be brief.")

    assert (1, {OTHER_REQUEST: 1, UNKNOWN_PROMPT: 1}) == (done.asked, done.skipped)
    assert (1, {OTHER_REQUEST: 1, UNKNOWN_PROMPT: 1}) == (again.asked, again.skipped)


def test_warming_does_not_feed_itself(stage: Stage, near: Cognition) -> None:
    """What nobody asks any more is left after the window, however often it was warmed."""
    stage.layers(near, 2)
    for _ in range(3):
        stage.clock.advance(SOON)
        assert 1 == near.warming.frequent(credentials=stage.credentials, window=timedelta(hours=4)).asked
    assert near.ledger.flush()
    assert 3 == sum(WARM_TAG in row["tags"] for row in stage.ledger())
    stage.clock.advance(2 * SOON)
    assert 0 == near.warming.frequent(credentials=stage.credentials, window=timedelta(hours=4)).wishes


def test_only_what_is_asked_often_of_a_catalogue(stage: Stage) -> None:
    """The file says the prompts, the ledger how often each was asked; no semantic layer is needed."""
    engine = stage.open(cache=STEADY)
    stage.layers(engine, 3, OFTEN[0])
    stage.layers(engine, 1, OFTEN[1])
    stage.clock.advance(SOON)
    wishes = [Wish(prompt) for prompt in (*OFTEN, "Never asked?")]

    done = engine.warming.wishes(wishes, least=2, credentials=stage.credentials)

    assert (1, 1, {RARE: 2}) == (done.asked, done.refreshed, done.skipped)
    stage.clock.advance(timedelta(minutes=30))
    assert ["l2"] == stage.layers(engine, 1, OFTEN[0])


def test_another_process_finds_what_was_warmed(stage: Stage) -> None:
    """All of it, also those stored through the other engine's write-behind."""
    prompts = [f"Question {number}?" for number in range(20)]
    done = stage.open().warming.wishes([Wish(prompt) for prompt in prompts], credentials=stage.credentials)
    assert (20, 0) == (done.asked, done.unkept)
    other = stage.open()
    assert {"l1"} == {str(one.layer) for one in other.complete_many(prompts, credentials=stage.credentials)}
    assert 20 == stage.provider.count
    assert {FRESH: 20} == other.warming.wishes([Wish(one) for one in prompts], credentials=stage.credentials).skipped


def test_a_spent_budget_ends_the_run(stage: Stage) -> None:
    """Cleanly: what was answered is cached and within the limit, the rest is left, and no reservation stays."""
    engine = stage.open()
    budget = Budget(scope="workflow", subject="warming", limit_usd="0.01", period="daily")
    engine.budgets.set(budget)
    wishes = [Wish(f"Question {number}?") for number in range(40)]
    who = Attribution(workflow="warming")
    settings = {"max_tokens": 1000}

    done = engine.warming.wishes(
        wishes, WarmPlan(concurrency=2), credentials=stage.credentials, attribution=who, settings=settings
    )

    assert done.stopped is not None
    assert done.stopped.startswith("BudgetExceeded: ")
    assert 0 < done.asked < len(wishes)
    assert done.asked == stage.provider.count
    assert (len(wishes) - done.asked) == sum(done.failed.values()) + sum(done.skipped.values())
    assert done.cost_usd <= Decimal("0.01")
    assert [] == stage.sql("SELECT 1 FROM budget_reservations WHERE state = 'held'")


# -- the command ------------------------------------------------------------------------------------------------------


@pytest.fixture
def cli(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> CliRunner:
    """Return what runs commands on the stage."""
    for name, value in stage.environment().items():
        monkeypatch.setenv(name, value)
    return CliRunner()


def test_a_file_is_warmed(cli: CliRunner, stage: Stage, tmp_path: Path) -> None:
    """Then the same prompts are hits, and a second run has nothing to do."""
    path = tmp_path / "prompts.jsonl"
    path.write_text("".join(json.dumps({"prompt": prompt}) + "\n" for prompt in OFTEN), encoding="utf-8")
    command = ["cache", "warm", str(path), "--model", MODEL, "--namespace", "support", "--max-cost-usd", "1"]

    done = json.loads(cli.invoke(app, [*command, "--json"]).stdout)
    again = cli.invoke(app, command)

    assert (2, "0.000900000", None) == (done["asked"], done["cost_usd"], done["stopped"])
    assert "0 of 2 prompts were asked for $0; 2 left: cached, and not about to expire.\n" == again.stdout
    # The command's endpoint is the environment's, which a caller without credentials has too.
    engine = stage.open()
    assert ["l1", "l1"] == [str(engine.complete(prompt, namespace="support").layer) for prompt in OFTEN]


def test_without_a_file_the_ledger_says_what(cli: CliRunner) -> None:
    """Of an empty one: nothing."""
    assert "0 of 0 prompts were asked for $0.\n" == cli.invoke(app, ["cache", "warm"]).stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("--max-cost-usd much", "is no amount"),
        ("--settings 1", "is no JSON object"),
        ("--model a:b", "leave out both"),
        ("/nowhere.jsonl", "/nowhere.jsonl cannot be read"),
    ],
)
def test_bad_input_is_one_sentence(cli: CliRunner, arguments: str, words: str) -> None:
    """Before anything is asked."""
    assert words in str(cli.invoke(app, ["cache", "warm", *arguments.split()]).exception)
