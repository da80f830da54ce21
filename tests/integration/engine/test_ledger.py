"""The ledger says what happened: every attempt, every hit, and sums that agree with its rows."""

from __future__ import annotations

from decimal import Decimal

import pytest

from cognition import Attribution, Cognition
from cognition.domain.ledger import Dimension
from cognition.domain.pricing import Rate
from cognition.errors import ProviderUnavailable, RequestRejected
from cognition.testing import CutConnection, Fault, MalformedJson, Reply, Usage
from tests.integration.engine.stage import MODEL, Stage, stats_of

# 1000 tokens in and 100 out cost 0.002 + 0.001 dollars.
PRICES = {MODEL: Rate(input_per_million=Decimal(2), output_per_million=Decimal(10))}
PRICE = Decimal("0.003")


@pytest.fixture
def engine(stage: Stage) -> Cognition:
    """Return an engine for which a call of the fake provider's usual usage costs `PRICE`."""
    return stage.open(prices=PRICES)


def test_an_attempt_costs_and_a_hit_saves(stage: Stage, engine: Cognition) -> None:
    """One row each, with tokens, cost and what the cost would have been."""
    stage.layers(engine, 3)
    (line,) = engine.ledger.report()
    assert (3, 2, 1) == (line.calls, line.hits, line.attempts)
    assert (PRICE, 2 * PRICE, 0) == (line.cost_usd, line.saved_usd, line.unpriced)
    assert (1000, 100) == (line.input_tokens, line.output_tokens)


def test_each_layer_books_its_hits(stage: Stage, engine: Cognition) -> None:
    """A report by layer tells which one answered, and the counts by layer agree."""
    stage.layers(engine, 3)
    stage.flush_redis()
    stage.layers(engine, 3)
    lines = {line.group["layer"]: line for line in engine.ledger.report(["layer"])}
    assert {"provider": 1, "l1": 4, "l2": 1} == {layer: line.calls for layer, line in lines.items()}
    stats = stats_of(engine)
    assert (4, 2, 1) == (stats["l1"].hits, stats["l1"].misses, stats["l1"].stores)
    assert (1, 1, 1) == (stats["l2"].hits, stats["l2"].misses, stats["l2"].stores)
    assert (4 * PRICE, PRICE) == (stats["l1"].saved_usd, stats["l2"].saved_usd)


def test_sums_agree_with_rows(stage: Stage, engine: Cognition) -> None:
    """Whatever it groups by, a report's totals are those of the rows in the table."""
    for number in range(12):
        stage.provider.script(Reply(usage=Usage(100 + 7 * number, 10 + number)))
        who = Attribution(workflow=f"flow-{number % 3}", user=f"user-{number % 2}", team="support")
        stage.layers(engine, 1 + number % 4, f"Question {number}", attribution=who)
    assert engine.ledger.flush()
    (rows,) = stage.sql(
        "SELECT sum(cost_usd) AS cost, sum(saved_usd) AS saved, count(*) AS calls,"
        " count(*) FILTER (WHERE cache_hit) AS hits FROM llm_cost_tracking"
    )
    groupings: list[list[Dimension]] = [["workflow", "model"], ["user"], ["team", "layer"], [], ["namespace", "day"]]
    for dimensions in groupings:
        lines = engine.ledger.report(dimensions)
        assert (rows["cost"], rows["saved"], rows["calls"], rows["hits"]) == (
            sum(line.cost_usd for line in lines),
            sum(line.saved_usd for line in lines),
            sum(line.calls for line in lines),
            sum(line.hits for line in lines),
        )


def test_each_attempt_is_a_row_of_one_call(stage: Stage, engine: Cognition) -> None:
    """Retries are booked with what they cost and why they failed."""
    stage.provider.script(Fault(status=503), Fault(status=429), Reply(usage=Usage(1000, 100)))
    done = stage.ask(engine)
    assert engine.ledger.flush()
    assert [(1, "failed_free", "ProviderUnavailable"), (2, "failed_free", "RateLimited"), (3, "ok", None)] == [
        (row["attempt"], row["status"], row["error"]) for row in stage.ledger()
    ]
    (line,) = engine.ledger.report()
    assert (3, 1, 3, PRICE) == (done.attempts, line.calls, line.attempts, line.cost_usd)


@pytest.mark.parametrize(
    "fault", [CutConnection(), CutConnection(after_bytes=20), MalformedJson(), Fault(status=500)], ids=repr
)
def test_attempts_that_broke_off_are_booked(
    stage: Stage, engine: Cognition, fault: CutConnection | MalformedJson | Fault
) -> None:
    """Three attempts, three rows, no cost."""
    stage.provider.default = fault
    with pytest.raises(ProviderUnavailable) as caught:
        stage.ask(engine)
    assert ["This was attempt 3 of at most 3."] == caught.value.__notes__
    (line,) = engine.ledger.report()
    assert (1, 3, 0) == (line.calls, line.attempts, line.cost_usd)


def test_two_processes_write_one_ledger(stage: Stage, engine: Cognition) -> None:
    """Rows and counts of both add up, and either can report them."""
    other = stage.open(prices=PRICES)
    stage.layers(engine, 2)
    stage.layers(other, 3)
    stage.layers(other, 1, "Another question")
    assert other.ledger.flush()
    (line,) = engine.ledger.report()
    assert (6, 4, 2, 2 * PRICE) == (line.calls, line.hits, line.attempts, line.cost_usd)
    assert (4, 2) == (stats_of(other)["l1"].hits, stats_of(other)["l1"].misses)


def test_waiting_callers_are_booked_as_hits(stage: Stage, engine: Cognition) -> None:
    """Who shares another caller's attempt pays nothing and saves its price."""
    engine.complete_many(["Same?"] * 5, credentials=stage.credentials)
    (line,) = engine.ledger.report()
    assert (5, 4, 1, PRICE, 4 * PRICE) == (line.calls, line.hits, line.attempts, line.cost_usd, line.saved_usd)


def test_an_unknown_price_is_not_zero(stage: Stage) -> None:
    """A call of a model without a price is counted as unpriced, and its cost is unknown."""
    engine = stage.open()
    done = [stage.ask(engine, model="openai-chat:house-model-7b") for _ in range(2)]
    assert [(None, 0), (0, None)] == [(one.cost_usd, one.saved_usd) for one in done]
    (line,) = engine.ledger.report()
    assert (1, 0, 0) == (line.unpriced, line.cost_usd, line.saved_usd)


def test_everything_a_call_is_attributed_to_is_kept(stage: Stage, engine: Cognition) -> None:
    """Names in every script come back as they went in."""
    who = Attribution(
        user="אליס 🦊",
        team="Größe",
        workflow="nächtlich",
        flow_run_id="f",
        root_flow_run_id="r",
        deployment_id="d",
        task_run_id="t",
        task_name="triage",
        tags=("a", "b,c", '{"d"}', "NULL", ""),
    )
    stage.ask(engine, attribution=who)
    assert engine.ledger.flush()
    (row,) = stage.ledger()
    assert (who.user, who.team, who.workflow, list(who.tags)) == (
        row["user_id"],
        row["team"],
        row["workflow_id"],
        row["tags"],
    )
    assert ("f", "r", "d", "t", "triage") == (
        row["flow_run_id"],
        row["root_flow_run_id"],
        row["deployment_id"],
        row["task_run_id"],
        row["task_name"],
    )


def test_text_that_postgres_cannot_keep_loses_no_row(stage: Stage, engine: Cognition) -> None:
    """NUL and half characters in names become U+FFFD; the money stays."""
    who = Attribution(user="a\0b", team="\ud800", workflow="w\0", tags=("t\0", "\udfff"))
    stage.layers(engine, 2, attribution=who)
    (line,) = engine.ledger.report(["user", "team", "workflow"])
    assert (2, PRICE) == (line.calls, line.cost_usd)
    assert ["a�b", "�", "w�"] == list(line.group.values())


def test_a_refusal_costs_nothing(stage: Stage, engine: Cognition) -> None:
    """A request that the provider refused is an attempt without cost, and is not tried again."""
    stage.provider.default = Fault(status=400)
    with pytest.raises(RequestRejected):
        stage.ask(engine)
    (line,) = engine.ledger.report(["status"])
    assert ({"status": "failed_free"}, 1, 0) == (line.group, line.attempts, line.cost_usd)
