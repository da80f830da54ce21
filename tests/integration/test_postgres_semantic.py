"""L3 in PostgreSQL: which plan it takes, how much it finds, and what it does when others write at the same time."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import sqlalchemy as sa

from cognition.adapters.embedded import ensure_running, status
from cognition.adapters.postgres import migrate
from cognition.adapters.postgres.connection import connect, connected, fetch, transaction
from cognition.adapters.postgres.entries import PostgresEntries
from cognition.adapters.postgres.invalidation import raising
from cognition.adapters.postgres.rows import vector_text
from cognition.adapters.postgres.scope_sizes import Search
from cognition.adapters.postgres.semantic_entries import PostgresSemanticEntries
from cognition.adapters.postgres.semantic_statements import nearest
from cognition.adapters.postgres.tables import cache_namespace, llm_semantic_cache, semantic_vector
from cognition.domain.entry import Selection
from cognition.domain.semantic import Question, Vectors, hash_of
from cognition.errors import CacheUnavailable, ConfigurationError
from cognition.testing import temporary_home
from cognition.testing.clock import FakeClock
from cognition.testing.contracts.questions import DIMENSIONS, EMBEDDER, a_question, a_vector, an_answer_to
from cognition.testing.contracts.samples import NOON

ROWS = 2000
TOPICS = 100
NEIGHBOURS = 10
PATIENCE = 0.3  # seconds in which something that is not blocked would long have happened


@pytest.fixture
def store(engine: sa.Engine, clock: FakeClock) -> PostgresSemanticEntries:
    """Return an empty store."""
    return PostgresSemanticEntries(engine, clock)


@pytest.mark.parametrize("exact_rows", [0, 2000])
@pytest.mark.parametrize("scopes", [1, 10, 200])
def test_nearly_everything_near_is_found(engine: sa.Engine, clock: FakeClock, scopes: int, exact_rows: int) -> None:
    """At least 99 of 100 of the nearest that brute force finds, however few rows belong to the question's scope."""
    store = PostgresSemanticEntries(engine, clock, exact_rows)
    vectors = _clustered(ROWS)
    where = a_question()
    keys = [number.to_bytes(32) for number in range(ROWS)]
    owners = np.arange(ROWS) % scopes
    held = [
        replace(where, vector=vector, address=replace(where.address, key=key, scope_key=bytes([1, owner] * 16)))
        for key, vector, owner in zip(keys, vectors, owners.tolist(), strict=True)
    ]
    store.put(EMBEDDER, [an_answer_to(question) for question in held])
    with connected(engine) as connection:
        connection.exec_driver_sql("ANALYZE llm_semantic_cache")

    asked = held[:: ROWS // 100]
    found = store.nearest(EMBEDDER, asked, NEIGHBOURS)
    right = total = 0
    for number, nearby in zip(range(0, ROWS, ROWS // 100), found, strict=True):
        own = np.flatnonzero(owners == owners[number])
        best: list[int] = own[np.argsort(-(vectors[own] @ vectors[number]))[:NEIGHBOURS]].tolist()
        wanted = {keys[row].hex() for row in best}
        right += len(wanted & {one.entry.key for one in nearby.neighbours})
        total += len(wanted)
    assert right / total >= (0.99 if exact_rows == 0 else 1.0)


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("large", [False, True])
def test_the_size_of_the_scope_decides_the_plan(
    engine: sa.Engine, store: PostgresSemanticEntries, *, large: bool, known: bool
) -> None:
    """Whatever the planner believes: in a table of one large scope it still reads a small one by its own index."""
    scope, vectors = "ix_llm_semantic_cache_scope", "ix_llm_semantic_cache_embedding_384"
    questions = [a_question(f"{number}", a_vector(number)) for number in range(300)]
    store.put(EMBEDDER, [an_answer_to(question) for question in questions])
    small = a_question("small", system="Be brief.")
    store.put(EMBEDDER, [an_answer_to(small)])
    with connected(engine) as connection:
        connection.exec_driver_sql("ANALYZE llm_semantic_cache")
    asked = questions[0] if large else small
    search: Search | None = ("index" if large else "exact") if known else None
    plan = _executed(engine, asked, exact_rows=100, search=search)
    assert any((vectors if large else scope) in line for line in plan)
    # Without knowing the size, the rows of a large scope are counted by its own index.
    assert not any((scope if large else vectors) in line for line in plan) or (large and not known)
    assert not any("Seq Scan on llm_semantic_cache" in line for line in plan)


def test_a_scope_that_outgrows_its_search_is_still_found(engine: sa.Engine) -> None:
    """What a look-up remembers about a scope's size is a matter of speed: new rows are found all the same."""
    store = PostgresSemanticEntries(engine, lambda: NOON, exact_rows=4)
    questions = [a_question(f"{number}", a_vector(number)) for number in range(20)]
    store.put(EMBEDDER, [an_answer_to(questions[0])])
    assert 1 == len(store.nearest(EMBEDDER, [questions[0]], 3)[0].neighbours)
    store.put(EMBEDDER, [an_answer_to(question) for question in questions[1:]])
    for question in questions:
        assert question.text == store.nearest(EMBEDDER, [question], 3)[0].neighbours[0].text


def test_no_session_state_is_left_behind(engine: sa.Engine, store: PostgresSemanticEntries) -> None:
    """Behind pgBouncer the next statement on the same server connection may be another client's."""
    names = ("enable_sort", "jit", "hnsw.iterative_scan", "hnsw.ef_search", "ivfflat.probes", "synchronous_commit")
    show = "SELECT " + ", ".join(f"current_setting('{name}', true)" for name in names)
    fetch(engine, "SELECT '[1]'::vector", {})  # loads the library, which knows the defaults
    before = fetch(engine, show, {})
    question = a_question()
    store.put(EMBEDDER, [an_answer_to(question)])
    store.nearest(EMBEDDER, [question], 3)
    store.keep_vectors("acme", EMBEDDER, {question.text_hash: question.vector})
    assert before == fetch(engine, show, {})


def test_the_first_look_up_of_a_connection_finds_everything(
    database_url: str, store: PostgresSemanticEntries, clock: FakeClock
) -> None:
    """The library of pgvector is loaded by the very statement that sets its options."""
    question = a_question()
    store.put(EMBEDDER, [an_answer_to(question)])
    fresh = connect(database_url)
    assert 1 == len(PostgresSemanticEntries(fresh, clock).nearest(EMBEDDER, [question], 3)[0].neighbours)
    fresh.dispose()


def test_other_dimensions_are_kept_apart(store: PostgresSemanticEntries) -> None:
    """An embedder without an index of its own works, beside others in the same scope, and whatever it is called."""
    short = a_question("short", np.array([0.6, 0.8], np.float32))
    long = a_question("long", a_vector())
    for question in (short, long):
        store.put(EMBEDDER, [an_answer_to(question)])
    assert ["short", "long"] == [
        one.text for question in (short, long) for one in store.nearest(EMBEDDER, [question], 3)[0].neighbours
    ]


def test_an_answer_that_meets_an_invalidation_is_refused(
    engine: sa.Engine, store: PostgresSemanticEntries, other: ThreadPoolExecutor
) -> None:
    """A writer waits for an invalidation that has begun, and then learns that it came too late."""
    question = a_question()
    store.put(EMBEDDER, [an_answer_to(question, "old")])
    with transaction(engine) as invalidation:
        invalidation.execute(raising(Selection(tenant="acme", namespace="support")))
        writing = other.submit(store.put, EMBEDDER, [an_answer_to(question, "late")])
        assert _is_blocked(writing)
    assert 0 == writing.result()


def test_an_invalidation_that_meets_an_answer_removes_it(
    engine: sa.Engine, store: PostgresSemanticEntries, clock: FakeClock, other: ThreadPoolExecutor
) -> None:
    """An invalidation waits for a writer that has begun, and then removes what it wrote."""
    question = a_question()
    store.put(EMBEDDER, [an_answer_to(question)])
    with transaction(engine) as writer:
        # What `put` does, held open.
        writer.execute(sa.select(cache_namespace).with_for_update(read=True))
        writer.execute(sa.update(llm_semantic_cache).values(model="written late"))
        invalidation = other.submit(
            PostgresEntries(engine, clock).invalidate, Selection(tenant="acme", model="written late")
        )
        assert _is_blocked(invalidation)
    assert 1 == invalidation.result().semantic
    assert not store.nearest(EMBEDDER, [question], 3)[0].neighbours


def test_writers_of_the_same_answers_do_not_block_each_other_for_ever(store: PostgresSemanticEntries) -> None:
    """Batches in opposite orders, in new namespaces, all come through, while others look up."""
    questions = [a_question(f"{number}", a_vector(number), namespace=f"{number % 3}") for number in range(60)]
    items = [an_answer_to(question) for question in questions]

    def put_and_look_up(ordered: list[Any]) -> tuple[int, int]:
        kept = store.put(EMBEDDER, ordered)
        found = store.nearest(EMBEDDER, questions, 1)
        return kept, sum(one.neighbours[0].text == asked.text for one, asked in zip(found, questions, strict=True))

    with ThreadPoolExecutor(max_workers=6) as threads:
        assert [(60, 60)] * 12 == list(threads.map(put_and_look_up, [items, items[::-1]] * 6))


@pytest.mark.parametrize("flaw", ["payload", "prompt", "prompt_hash"])
def test_a_damaged_row_is_removed_from_the_table(engine: sa.Engine, store: PostgresSemanticEntries, flaw: str) -> None:
    """It is not only left out: it would take a neighbour's place until it expires."""
    question = a_question()
    store.put(EMBEDDER, [an_answer_to(question)])
    with transaction(engine) as connection:
        connection.execute(sa.update(llm_semantic_cache).values({flaw: b"\x01damaged"}))
    assert not store.nearest(EMBEDDER, [question], 3)[0].neighbours
    with transaction(engine) as connection:
        assert 0 == connection.scalar(sa.select(sa.func.count()).select_from(llm_semantic_cache))


def test_use_of_a_vector_is_noted_once_a_day(
    engine: sa.Engine, store: PostgresSemanticEntries, clock: FakeClock
) -> None:
    """So that it is not purged, and reading it is hardly ever writing."""
    text = hash_of("text")
    store.keep_vectors("acme", EMBEDDER, {text: a_vector()})
    seen: list[timedelta] = []
    for hours in (1, 24, 1):
        clock.advance(timedelta(hours=hours))
        store.vectors("acme", EMBEDDER, [text])
        ((used_at,),) = fetch(engine, "SELECT used_at FROM semantic_vector", {})
        seen.append(used_at - NOON)
    assert [timedelta(0), timedelta(hours=25), timedelta(hours=25)] == seen


def test_a_vector_in_use_is_read_all_the_same(
    engine: sa.Engine, store: PostgresSemanticEntries, clock: FakeClock
) -> None:
    """Nobody waits to note a use that another notes."""
    text = hash_of("text")
    store.keep_vectors("acme", EMBEDDER, {text: a_vector()})
    clock.advance(timedelta(days=2))
    with transaction(engine) as user:
        user.execute(sa.select(semantic_vector).with_for_update())
        assert {text} == store.vectors("acme", EMBEDDER, [text]).keys()


def test_without_pgvector_the_sentence_says_so(engine: sa.Engine, store: PostgresSemanticEntries) -> None:
    """Whoever dropped the extension reads what to do."""
    with connected(engine) as connection:
        connection.exec_driver_sql("DROP EXTENSION vector CASCADE")
    with pytest.raises(ConfigurationError, match="lacks the extension pgvector"):
        store.nearest(EMBEDDER, [a_question()], 3)


def test_an_option_that_an_older_pgvector_lacks_is_explained(engine: sa.Engine) -> None:
    """Scans that go on until enough rows are found came with 0.8."""
    fetch(engine, "SELECT '[1]'::vector", {})
    with pytest.raises(ConfigurationError, match=r"older than 0\.8"):
        fetch(engine, "SET LOCAL hnsw.of_the_future = on; SELECT 1", {})


def test_an_old_schema_is_explained(engine: sa.Engine, store: PostgresSemanticEntries) -> None:
    """The tables of the revision before are not enough."""
    migrate.downgrade(engine, "0003")
    with pytest.raises(ConfigurationError, match="run 'cognition db upgrade'"):
        store.nearest(EMBEDDER, [a_question()], 3)


def test_a_downgrade_with_answers_can_be_undone(engine: sa.Engine, store: PostgresSemanticEntries) -> None:
    """They are lost, but nothing stands in the way of the next upgrade."""
    question = a_question()
    store.put(EMBEDDER, [an_answer_to(question)])
    migrate.downgrade(engine, "0003")
    migrate.upgrade(engine)
    assert not store.nearest(EMBEDDER, [question], 3)[0].neighbours


def test_a_killed_server_is_unavailable(clock: FakeClock) -> None:
    """Every way in says so, and works again when the server does."""
    with temporary_home() as home:
        engine = connect(ensure_running(home).database_url)
        migrate.upgrade(engine)
        store = PostgresSemanticEntries(engine, clock)
        question = a_question()
        store.put(EMBEDDER, [an_answer_to(question)])
        _kill(home)
        for _ in range(2):
            with pytest.raises(CacheUnavailable):
                store.nearest(EMBEDDER, [question], 3)
            with pytest.raises(CacheUnavailable):
                store.put(EMBEDDER, [an_answer_to(question)])
            with pytest.raises(CacheUnavailable):
                store.vectors("acme", EMBEDDER, [question.text_hash])
        ensure_running(home)
        store.put(EMBEDDER, [an_answer_to(question)])
        assert 1 == len(store.nearest(EMBEDDER, [question], 3)[0].neighbours)
        engine.dispose()


def _clustered(rows: int) -> Vectors:
    """Return unit vectors that lie in groups, as sentences do by their topic."""
    draw = np.random.default_rng(1)
    topics = draw.standard_normal((TOPICS, DIMENSIONS))
    vectors = topics[draw.integers(0, TOPICS, rows)] + 0.7 * draw.standard_normal((rows, DIMENSIONS))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def _executed(engine: sa.Engine, question: Question, exact_rows: int, search: Search | None) -> list[str]:
    """Return the lines of the plan of a look-up that were executed."""
    parameters = {
        "tenant": [question.address.tenant],
        "namespace": [question.address.namespace],
        "scope_key": [question.address.scope_key],
        "text_hash": [question.text_hash],
        "vector": [vector_text(question.vector)],
        "fingerprint": EMBEDDER,
        "neighbours": 3,
        "exact_rows": exact_rows,
        "now": NOON,
    }
    settings, query = nearest(DIMENSIONS, 3, search).split("WITH item", 1)
    plan = fetch(engine, f"{settings} EXPLAIN (ANALYZE) WITH item {query}", parameters)
    return [line for (line,) in plan if "Scan" in line and "never executed" not in line]


def _is_blocked(work: Future[Any]) -> bool:
    return not wait([work], timeout=PATIENCE).done


def _kill(home: Path) -> None:
    pid = next(server.pid for server in status(home) if server.name == "postgresql")
    process = psutil.Process(pid)
    process.kill()
    psutil.wait_procs([process])
