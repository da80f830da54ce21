"""L3 on PostgreSQL and Valkey with the real local embedder: what users meet, and what outages leave of it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from cognition import Cognition, SemanticPolicy
from cognition.domain.entry import Layer
from cognition.errors import ConfigurationError
from cognition.events import Event, StoreFailed, StoreRecovered
from cognition.services.second_opinion import CHECK_TAG
from cognition.testing import Reply
from tests.integration.engine.servers import Servers
from tests.integration.engine.stage import Stage, stats_of, wait_until

EMBEDDER = "local:all-minilm-l6-v2"
CACHED = "How do I reset my password?"
ASKED = "How can I reset my password?"
ASKED_TOO = "How do I reset my password, please?"
NEGATED = "How do I not reset my password?"
FAR = "Which trains run to Lisbon on Sundays?"

# Lower than any score that tells these apart, and nothing is left to chance.
POLICY = SemanticPolicy(threshold=0.6, floor=0.6, check_share=0.0)


def near(stage: Stage, **settings: Any) -> Cognition:
    """Return an engine with a semantic layer, as another process would open it."""
    settings.setdefault("semantic", POLICY)
    return stage.open(embedder=EMBEDDER, **settings)


def _layer(stage: Stage, engine: Cognition, prompt: str, **options: Any) -> str:
    (layer,) = stage.layers(engine, prompt=prompt, **options)
    return layer


def test_the_life_of_a_paraphrase(stage: Stage) -> None:
    """Asked, answered from L3 and then from L1; what the guard refuses is asked."""
    engine = near(stage)
    layers = [_layer(stage, engine, prompt) for prompt in (CACHED, ASKED, ASKED, NEGATED, FAR)]
    assert ["provider", "l3", "l1", "provider", "provider"] == layers
    assert 3 == stage.provider.count
    l3 = stats_of(engine)["l3"]
    assert (1, 3, 1, 3) == (l3.hits, l3.misses, l3.refusals, l3.stores)
    assert 1 == sum(row["cache_layer"] == "l3" for row in stage.ledger("cache_layer"))


def test_a_semantic_hit_says_what_it_is(stage: Stage) -> None:
    """Its similarity is below 1, it costs nothing and saves what the call cost."""
    engine = near(stage)
    asked = stage.ask(engine, CACHED)
    hit = stage.ask(engine, ASKED)
    assert ("l3", asked.output, 0) == (hit.layer, hit.output, hit.cost_usd)
    assert hit.saved_usd == asked.cost_usd
    assert hit.similarity is not None
    assert 0.8 < hit.similarity < 1


def test_the_default_policy_answers_plain_rewordings(stage: Stage) -> None:
    """Out of the box, with the default threshold."""
    engine = near(stage, semantic=SemanticPolicy(check_share=0.0))
    assert ["provider", "l3"] == [_layer(stage, engine, prompt) for prompt in (CACHED, CACHED.lower())]
    assert "provider" == _layer(stage, engine, NEGATED)


def test_a_reported_hit_goes_to_the_provider_for_ever(stage: Stage) -> None:
    """In this process and in others, and after both copies are gone."""
    engine = near(stage)
    stage.ask(engine, CACHED)
    hit = stage.ask(engine, ASKED)
    done = engine.cache.report_bad_hit(hit.request_id)
    assert {Layer.L1: 1, Layer.L2: 1, Layer.L3: 0} == done.dropped
    assert done.pair is not None
    assert (ASKED, CACHED) == (done.pair.asked_text, done.pair.cached_text)
    assert "provider" == _layer(stage, near(stage), ASKED)
    engine.cache.invalidate(request=engine.request(ASKED, credentials=stage.credentials))
    assert "provider" == _layer(stage, engine, ASKED)
    (label,) = stage.sql("SELECT source, is_right FROM semantic_label")
    assert ("feedback", False) == (label["source"], label["is_right"])


@pytest.mark.parametrize("request_id", ["0" * 32, "", "no id", "\0", "\ud800", "x" * 10_000])
def test_an_unknown_call_cannot_be_reported(stage: Stage, request_id: str) -> None:
    """Whatever its id looks like."""
    with pytest.raises(ConfigurationError, match="stands in the ledger"):
        near(stage).cache.report_bad_hit(request_id)


def test_a_hit_before_closing_can_be_reported_by_another_process(stage: Stage) -> None:
    """Closing writes the pair; so does the end of a program."""
    first = near(stage)
    stage.ask(first, CACHED)
    hit = stage.ask(first, ASKED)
    first.close()
    done = near(stage).cache.report_bad_hit(hit.request_id)
    assert done.pair is not None


def test_another_process_finds_entries_and_vectors(stage: Stage) -> None:
    """After a restart nothing is asked again, and no text is embedded twice."""
    first = near(stage)
    stage.ask(first, CACHED)
    stage.ask(first, FAR)
    first.close()
    stage.flush_redis()
    assert 2 == stage.sql("SELECT count(*) AS held FROM semantic_vector")[0]["held"]
    second = near(stage)
    assert ["l3", "l2"] == [_layer(stage, second, prompt) for prompt in (ASKED, FAR)]
    assert 2 == stage.provider.count


def test_explain_names_the_neighbour_and_the_reason(stage: Stage) -> None:
    """And leaves no trace: the paraphrase is answered from L3 afterwards."""
    engine = near(stage)
    stage.ask(engine, CACHED)
    before = stage.sql("SELECT count(*) AS held FROM semantic_pair"), stage.ledger("status")
    yes, no = (engine.cache.explain(prompt, credentials=stage.credentials) for prompt in (ASKED, NEGATED))
    assert (Layer.L3, CACHED, True) == (yes.answered_by, yes.nearby[0].text, yes.nearby[0].answers)
    assert (Layer.PROVIDER, False) == (no.answered_by, no.nearby[0].answers)
    assert any("negation" in reason for reason in no.nearby[0].reasons)
    engine.ledger.flush()
    assert before == (stage.sql("SELECT count(*) AS held FROM semantic_pair"), stage.ledger("status"))
    assert "l3" == _layer(stage, engine, ASKED)


def test_copies_end_with_their_original(stage: Stage) -> None:
    """A copy that was made just before the end of a day does not answer after it."""
    engine = near(stage, cache=replace(stage.open().settings.cache, jitter=0.0))
    stage.ask(engine, CACHED)
    stage.clock.advance(timedelta(hours=23, minutes=59))
    assert ["l3", "l1"] == stage.layers(engine, 2, ASKED)
    stage.clock.advance(timedelta(minutes=1))
    assert "provider" == _layer(stage, engine, ASKED)


def test_what_is_similar_is_invalidated_everywhere(stage: Stage) -> None:
    """The question, its copies and L3, for another process as well."""
    here, there = near(stage), near(stage)
    for prompt in (CACHED, ASKED, FAR):
        stage.ask(here, prompt)
    dropped = there.cache.invalidate(similar_to=ASKED_TOO, above=0.8)
    assert (2, 1) == (dropped[Layer.L2], dropped[Layer.L3])
    assert ["provider", "l2"] == [_layer(stage, here, prompt) for prompt in (ASKED, FAR)]


def test_a_batch_asks_l3_once(stage: Stage) -> None:
    """Hits, refusals and duplicates side by side, in their order."""
    engine = near(stage)
    stage.ask(engine, CACHED)
    done = engine.complete_many([ASKED, FAR, ASKED_TOO, NEGATED, ASKED], credentials=stage.credentials)
    assert ["l3", "provider", "l3", "provider", "l3"] == [one.layer for one in done]
    assert "l1" == _layer(stage, engine, ASKED)


def test_async_callers_share_the_layer(stage: Stage) -> None:
    """Many at once, of which none blocks another's loop."""
    engine = near(stage)

    async def ask() -> list[str]:
        await engine.acomplete(CACHED, credentials=stage.credentials)
        asked = [engine.acomplete(f"{ASKED_TOO}{'!' * number}", credentials=stage.credentials) for number in range(8)]
        return [str(done.layer) for done in await asyncio.gather(*asked)]

    assert ["l3"] * 8 == asyncio.run(ask())
    assert 1 == stage.provider.count


def test_a_drawn_hit_is_checked_in_the_background(stage: Stage) -> None:
    """The provider is asked once more, the call is booked with a tag, and the verdict stands in PostgreSQL."""
    engine = near(stage)
    stage.ask(engine, CACHED)
    assert "l3" == _layer(stage, engine, ASKED, semantic=replace(POLICY, check_share=1.0))
    wait_until(lambda: stage.sql("SELECT * FROM semantic_label"))
    (label,) = stage.sql("SELECT source, is_right FROM semantic_label")
    assert ("shadow", True) == (label["source"], label["is_right"])
    assert 2 == stage.provider.count
    assert 1 == sum(CHECK_TAG in row["tags"] for row in stage.ledger("tags"))


def test_shadow_mode_tells_the_error_before_anybody_depends_on_it(stage: Stage) -> None:
    """Different answers are labels against the neighbour, and no call is made for them."""
    stage.provider.default = lambda _: Reply(text=f"{stage.provider.count} is the only right number.")
    engine = near(stage, semantic=replace(POLICY, mode="shadow"))
    assert ["provider", "provider"] == [_layer(stage, engine, prompt) for prompt in (CACHED, ASKED)]
    engine.ledger.flush()
    (pair,) = stage.sql("SELECT served FROM semantic_pair")
    assert not pair["served"]
    assert 2 == stage.provider.count


# -- outages ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def seen() -> list[Event]:
    """Return a list for events."""
    return []


DAMAGES: dict[str, str] = {
    "no-extension": "DROP EXTENSION vector CASCADE",
    "no-table": "ALTER TABLE llm_semantic_cache RENAME TO gone",
    "no-vectors": "ALTER TABLE semantic_vector RENAME TO gone",
    "no-labels": "ALTER TABLE semantic_label RENAME TO gone",
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_without_pgvector_the_other_layers_go_on(stage: Stage, seen: list[Event], damage: str) -> None:
    """No caller sees an error, L1 and L2 answer, and an event says what is missing."""
    engine = near(stage)
    engine.observers.add(seen.append)
    stage.ask(engine, CACHED)
    stage.sql(damage)
    # Of another namespace, about whose errors nothing has been read yet.
    assert ["provider", "l1"] == stage.layers(engine, 2, FAR, namespace="other")
    stage.flush_redis()
    assert ["l2", "l1"] == stage.layers(engine, 2, FAR, namespace="other")
    failed = {event.store for event in seen if isinstance(event, StoreFailed)}
    assert failed
    assert failed <= {"pgvector", "pairs"}


def test_l3_is_back_with_its_table(stage: Stage, seen: list[Event]) -> None:
    """Without a restart of the process."""
    engine = near(stage)
    engine.observers.add(seen.append)
    stage.ask(engine, CACHED)
    stage.sql("ALTER TABLE llm_semantic_cache RENAME TO gone")
    assert "provider" == _layer(stage, engine, FAR)
    stage.sql("ALTER TABLE gone RENAME TO llm_semantic_cache")
    wait_until(lambda: [event for event in seen if isinstance(event, StoreRecovered)])
    assert "l3" == _layer(stage, engine, ASKED)


def test_without_postgres_only_l1_is_left_and_all_come_back(
    own_stage: Stage, own_servers: Servers, seen: list[Event]
) -> None:
    """While it is away nothing fails; afterwards L3 answers with what it knew."""
    engine = near(own_stage)
    engine.observers.add(seen.append)
    own_stage.ask(engine, CACHED)
    # What is cached is not worth waiting for the disk, so a kill may lose the last moment of it.
    own_stage.sql("CHECKPOINT")
    own_servers.kill_postgres()
    assert "l1" == _layer(own_stage, engine, CACHED)
    assert ["provider", "l1"] == own_stage.layers(engine, 2, FAR)
    own_servers.start()
    wait_until(lambda: {"postgres", "pgvector"} <= {one.store for one in seen if isinstance(one, StoreRecovered)})
    assert "l3" == _layer(own_stage, engine, ASKED)


def test_without_redis_l3_answers_and_l2_keeps_the_copy(own_stage: Stage, own_servers: Servers) -> None:
    """Nothing but speed is lost."""
    engine = near(own_stage)
    own_stage.ask(engine, CACHED)
    own_servers.kill_redis()
    assert ["l3", "l2"] == own_stage.layers(engine, 2, ASKED)


def test_four_processes_ask_paraphrases_at_once(stage: Stage) -> None:
    """Each gets an answer; nothing is booked twice, and every call stands in the ledger."""
    program = """
from cognition import Cognition
with Cognition.open() as engine:
    for number in range(20):
        engine.complete("How do I reset my password" + "?" * (1 + number % 5))
        engine.complete(f"Which number comes after {number % 5}?")
"""
    variables = {"COGNITION_EMBEDDER": EMBEDDER, "COGNITION_SEMANTIC__CHECK_SHARE": "0"}
    with ThreadPoolExecutor(4) as pool:
        running = [pool.submit(stage.run, program, **variables) for _ in range(4)]
        ended = [one.result() for one in running]
    assert [(0, "")] * 4 == [(one.code, one.errors) for one in ended]
    rows = stage.ledger("status")
    assert 160 == len(rows)
    paid = sum(row["status"] == "ok" for row in rows)
    assert stage.provider.count == paid
    # Five numbers, and at most one spelling of the other question for each process that began with it.
    assert 6 <= paid <= 10


def test_closing_while_others_ask_harms_nobody(stage: Stage) -> None:
    """Hits that were given before are booked with their pairs."""
    engine = near(stage)
    stage.ask(engine, CACHED)
    hits: list[str] = []

    def ask() -> None:
        hits.extend(stage.ask(engine, f"{CACHED}{'?' * number}").request_id for number in range(1, 6))

    callers = [threading.Thread(target=ask) for _ in range(3)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    engine.close()
    pairs = {row["request_id"] for row in stage.sql("SELECT request_id FROM semantic_pair WHERE served")}
    booked = {row["request_id"].hex for row in stage.ledger("request_id, cache_layer") if row["cache_layer"] == "l3"}
    assert booked == pairs
    assert booked <= set(hits)
    assert 5 <= len(booked) <= 15


ENGINES: dict[str, Callable[[Stage], Cognition]] = {"other": near, "no-embedder": lambda stage: stage.open()}


@pytest.mark.parametrize("reporting", ENGINES.values(), ids=ENGINES)
def test_who_reports_needs_no_embedder(stage: Stage, reporting: Callable[[Stage], Cognition]) -> None:
    """The pair is known to the database."""
    engine = near(stage)
    stage.ask(engine, CACHED)
    hit = stage.ask(engine, ASKED)
    engine.ledger.flush()
    assert reporting(stage).cache.report_bad_hit(hit.request_id).pair is not None
    assert "provider" == _layer(stage, engine, ASKED)
