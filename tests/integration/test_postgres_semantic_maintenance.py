"""Looking after L3: another embedder, an index for bulk tables, purging, sizes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor, wait
from datetime import timedelta

import numpy as np
import pytest
import sqlalchemy as sa

from cognition.adapters.postgres.connection import connected, fetch, transaction
from cognition.adapters.postgres.invalidation import raising
from cognition.adapters.postgres.maintenance_statements import IS_BUILDING
from cognition.adapters.postgres.pairs import PostgresPairs
from cognition.adapters.postgres.semantic_entries import PostgresSemanticEntries
from cognition.adapters.postgres.semantic_maintenance import SemanticMaintenance
from cognition.adapters.postgres.tables import llm_semantic_cache
from cognition.domain.entry import Selection
from cognition.domain.semantic import Label, Question, Vector, hash_of
from cognition.errors import CacheUnavailable, ConfigurationError
from cognition.testing.clock import FakeClock
from cognition.testing.contracts.questions import EMBEDDER, a_pair, a_question, a_vector, an_answer_to
from cognition.testing.contracts.samples import LIFE, NOON
from tests.integration.engine.stage import wait_until

NEW = "local:better@2/8/unit"
PATIENCE = 0.3  # seconds in which something that is not blocked would long have happened
DAY = timedelta(days=1)
SHORT = 8  # dimensions, without an index of their own
MANY = 1000

_IS_READ = "SELECT pg_stat_get_numscans(%(name)s::regclass) + pg_stat_get_xact_numscans(%(name)s::regclass) > 0"


@pytest.fixture
def store(engine: sa.Engine, clock: FakeClock) -> PostgresSemanticEntries:
    """Return an empty store."""
    return PostgresSemanticEntries(engine, clock)


@pytest.fixture
def maintenance(engine: sa.Engine, clock: FakeClock) -> SemanticMaintenance:
    """Return what is tested."""
    return SemanticMaintenance(engine, clock)


@pytest.fixture
def few_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let fewer rows count as bulk."""
    monkeypatch.setattr("cognition.domain.upkeep.BULK_ROWS", MANY)


def test_rows_move_to_another_embedder(store: PostgresSemanticEntries, maintenance: SemanticMaintenance) -> None:
    """In batches, with their texts; answers stay the same, and are found by the new vectors alone."""
    questions = [a_question(f"{number}", a_vector(number), tenant=f"tenant {number}") for number in range(3)]
    answers = [an_answer_to(question, f"answer {question.text}", tags=("a", "b")) for question in questions]
    for answer in answers:
        store.put(EMBEDDER, [answer])
    moved: list[str] = []
    while rows := maintenance.foreign(NEW, limit=2):
        moved += [f"{row.tenant}: {row.text}" for row in rows]
        assert len(rows) == maintenance.replace(NEW, {row.id: _short(int(row.text)) for row in rows})
    assert [f"tenant {number}: {number}" for number in range(3)] == moved
    asked = [Question(address=one.address, text=one.text, vector=_short(int(one.text))) for one in questions]
    assert [[entry] for _, entry in answers] == [
        [one.entry for one in nearby.neighbours] for nearby in store.nearest(NEW, asked, 3)
    ]
    assert [0, 0, 0] == [len(nearby.neighbours) for nearby in store.nearest(EMBEDDER, questions, 3)]


def test_what_the_new_embedder_cannot_take_is_passed(
    store: PostgresSemanticEntries, maintenance: SemanticMaintenance
) -> None:
    """Rows before a given one are not told again."""
    _put_three(store)
    first = maintenance.foreign(NEW, limit=1)[-1]
    assert ["1", "2"] == [row.text for row in maintenance.foreign(NEW, limit=9, after=first.id)]


def test_rows_that_need_no_moving_are_left_out(
    store: PostgresSemanticEntries, maintenance: SemanticMaintenance, clock: FakeClock
) -> None:
    """What is expired, of the new embedder, or stored anew by it already."""
    both, new, past = (a_question(text) for text in ("both", "new", "past"))
    store.put(EMBEDDER, [an_answer_to(both, expires_at=NOON + 2 * LIFE), an_answer_to(past)])
    store.put(NEW, [an_answer_to(both, expires_at=NOON + 2 * LIFE), an_answer_to(new)])
    clock.advance(LIFE)
    assert [] == maintenance.foreign(NEW, limit=9)


def test_a_damaged_text_is_removed(
    engine: sa.Engine, store: PostgresSemanticEntries, maintenance: SemanticMaintenance
) -> None:
    """It can never be embedded again; and a batch of nothing else does not look like the end."""
    _put_three(store)
    with transaction(engine) as connection:
        first = sa.select(sa.func.min(llm_semantic_cache.c.id)).scalar_subquery()
        damage = sa.update(llm_semantic_cache).where(llm_semantic_cache.c.id <= first + 1).values(prompt=b"damaged")
        connection.execute(damage)
    assert ["2"] == [row.text for row in maintenance.foreign(NEW, limit=2)]
    assert {EMBEDDER: 1} == maintenance.sizes().rows


def test_a_row_invalidated_meanwhile_stays_gone(
    engine: sa.Engine, store: PostgresSemanticEntries, maintenance: SemanticMaintenance
) -> None:
    """Its text was read before and its vector comes after."""
    store.put(EMBEDDER, [an_answer_to(a_question())])
    (row,) = maintenance.foreign(NEW, limit=9)
    with ThreadPoolExecutor(max_workers=1) as other:
        with transaction(engine) as invalidation:
            invalidation.execute(raising(Selection(tenant="acme", namespace="support")))
            invalidation.execute(sa.delete(llm_semantic_cache))
            moving = other.submit(maintenance.replace, NEW, {row.id: _short(1)})
            assert not wait([moving], timeout=PATIENCE).done
        assert 0 == moving.result()
    assert {} == maintenance.sizes().rows


def test_a_row_stored_anew_meanwhile_stays_as_it_is(
    store: PostgresSemanticEntries, maintenance: SemanticMaintenance
) -> None:
    """The answer that is newer wins, and the old row goes."""
    question = a_question(vector=_short(1))
    store.put(EMBEDDER, [an_answer_to(question, "old")])
    (row,) = maintenance.foreign(NEW, limit=9)
    store.put(NEW, [an_answer_to(question, "new")])
    assert 1 == maintenance.replace(NEW, {row.id: _short(1)})
    assert ["new"] == [one.entry.response.text for one in store.nearest(NEW, [question], 3)[0].neighbours]
    assert {NEW: 1} == maintenance.sizes().rows


def test_nothing_to_move_is_nothing_done(maintenance: SemanticMaintenance) -> None:
    """An empty batch is fine."""
    assert 0 == maintenance.replace(NEW, {})


def test_an_index_for_few_vectors_is_refused(maintenance: SemanticMaintenance, store: PostgresSemanticEntries) -> None:
    """Its lists would be made of nothing; the sentence says what to do instead."""
    store.put(EMBEDDER, [an_answer_to(a_question())])
    with pytest.raises(ConfigurationError, match="fewer than 100,000 vectors of 384 dimensions"):
        maintenance.build_ivfflat(384)


@pytest.mark.parametrize(("dimensions", "lists"), [(0, 10), (4001, 10), (8, 0), (8, 40_000)])
def test_what_pgvector_cannot_build_is_refused(maintenance: SemanticMaintenance, dimensions: int, lists: int) -> None:
    """Before anything is read."""
    with pytest.raises(ConfigurationError, match="1 to 32768 lists of vectors of 1 to 4000 dimensions"):
        maintenance.build_ivfflat(dimensions, lists)


@pytest.mark.usefixtures("few_are_many")
def test_a_bulk_table_is_searched_with_its_index(
    engine: sa.Engine, store: PostgresSemanticEntries, maintenance: SemanticMaintenance, clock: FakeClock
) -> None:
    """Built, built again, read by look-ups, which find what they found without it, and dropped."""
    question = _bulk(engine, store)
    store = PostgresSemanticEntries(engine, clock, exact_rows=0)
    before = store.nearest(NEW, [question], 5)
    names = [maintenance.build_ivfflat(SHORT, lists=50) for _ in range(2)]
    assert {*names} <= maintenance.sizes().index_bytes.keys()
    assert before == store.nearest(NEW, [question], 5)
    assert [(True,)] == fetch(engine, _IS_READ, {"name": names[0]})
    maintenance.drop_ivfflat(SHORT)
    assert names[0] not in maintenance.sizes().index_bytes


@pytest.mark.usefixtures("few_are_many")
def test_an_index_is_due_after_a_bulk_load_and_when_there_is_twice_as_much(
    engine: sa.Engine, store: PostgresSemanticEntries, maintenance: SemanticMaintenance
) -> None:
    """Not beside one that is as good; its lists are as many as the rows then ask for."""
    assert (0, False) == _rows_and_due(maintenance)
    _bulk(engine, store)
    assert (MANY, True) == _rows_and_due(maintenance)
    maintenance.build_ivfflat(SHORT)
    assert (MANY, False) == _rows_and_due(maintenance)
    _bulk(engine, store, since=MANY)
    assert (2 * MANY, True) == _rows_and_due(maintenance)
    maintenance.build_ivfflat(SHORT)
    assert (2, False) == (maintenance.vector_index(SHORT).lists, maintenance.vector_index(SHORT).is_due)


@pytest.mark.usefixtures("few_are_many")
@pytest.mark.parametrize("method", ["hnsw", "ivfflat"])
def test_an_index_that_a_person_built_is_enough(
    engine: sa.Engine, store: PostgresSemanticEntries, maintenance: SemanticMaintenance, method: str
) -> None:
    """Whatever it is called; an unfinished one of ours is none."""
    _bulk(engine, store)
    maintenance.build_ivfflat(SHORT)
    with connected(engine) as connection:
        unfinished = "UPDATE pg_index SET indisvalid = false WHERE indexrelid = %(name)s::regclass"
        connection.exec_driver_sql(unfinished, {"name": "ix_llm_semantic_cache_ivfflat_8"})
        assert (None, True) == (maintenance.vector_index(SHORT).lists, maintenance.vector_index(SHORT).is_due)
        connection.exec_driver_sql(
            f"CREATE INDEX mine ON llm_semantic_cache USING {method} ((embedding::halfvec(8)) halfvec_cosine_ops)"
            " WHERE dimensions = 8"
        )
    assert ("mine", False) == (maintenance.vector_index(SHORT).other, maintenance.vector_index(SHORT).is_due)


def test_common_lengths_have_an_index_from_the_start(maintenance: SemanticMaintenance) -> None:
    """HNSW, so that no other one is ever due for them."""
    others = [maintenance.vector_index(dimensions).other for dimensions in (384, 1536, 768)]
    assert ["ix_llm_semantic_cache_embedding_384", "ix_llm_semantic_cache_embedding_1536", None] == others


@pytest.mark.usefixtures("few_are_many")
def test_too_little_memory_is_explained(
    engine: sa.Engine, store: PostgresSemanticEntries, maintenance: SemanticMaintenance
) -> None:
    """The sentence says what the server needs and how to give it; the index that was there is the only one."""
    _bulk(engine, store)
    kept = maintenance.build_ivfflat(SHORT, lists=2)
    with connected(engine) as connection:
        connection.exec_driver_sql(f"ALTER DATABASE {engine.url.database} SET maintenance_work_mem = '1MB'")
    engine.dispose()
    with pytest.raises(ConfigurationError, match=r"memory required is \d+ MB.*maintenance_work_mem"):
        maintenance.build_ivfflat(SHORT, lists=200)
    assert [kept] == [name for name in maintenance.sizes().index_bytes if "ivfflat" in name]
    assert 2 == maintenance.vector_index(SHORT).lists


@pytest.mark.usefixtures("few_are_many")
def test_builds_at_the_same_time_leave_an_index(
    engine: sa.Engine, store: PostgresSemanticEntries, maintenance: SemanticMaintenance
) -> None:
    """Whoever comes second is told so, or loses to the first; the index that was there is lost to nobody."""
    _bulk(engine, store)
    maintenance.build_ivfflat(SHORT, lists=1)

    def build(lists: int) -> bool:
        try:
            maintenance.build_ivfflat(SHORT, lists=lists)
        except (ConfigurationError, CacheUnavailable):
            return False
        return True

    with ThreadPoolExecutor(3) as pool:
        built = dict(zip((2, 3, 4), pool.map(build, (2, 3, 4)), strict=True))
    assert maintenance.vector_index(SHORT).lists in {1, *(lists for lists, done in built.items() if done)}
    assert maintenance.build_ivfflat(SHORT, lists=5)
    assert 5 == maintenance.vector_index(SHORT).lists


@pytest.mark.usefixtures("few_are_many")
def test_nobody_touches_a_build_under_way(
    engine: sa.Engine, store: PostgresSemanticEntries, maintenance: SemanticMaintenance
) -> None:
    """It waits for a writer that is not done; whoever comes meanwhile is told so, and it ends as if nobody had come."""
    _bulk(engine, store)
    with ThreadPoolExecutor(1) as pool:
        with transaction(engine) as writer:
            writer.exec_driver_sql("UPDATE llm_semantic_cache SET access_count = access_count + 1")
            building = pool.submit(maintenance.build_ivfflat, SHORT, 2)
            wait_until(lambda: [(True,)] == fetch(engine, IS_BUILDING, {}))
            with pytest.raises(ConfigurationError, match="being built already"):
                maintenance.build_ivfflat(SHORT, lists=3)
        assert building.result() in maintenance.sizes().index_bytes
    assert 2 == maintenance.vector_index(SHORT).lists


@pytest.mark.usefixtures("few_are_many")
def test_a_killed_build_is_cleared_away(
    engine: sa.Engine, store: PostgresSemanticEntries, maintenance: SemanticMaintenance
) -> None:
    """What it left would be written to and never read; a finished one counts as ours until the next build."""
    _bulk(engine, store)
    name = maintenance.build_ivfflat(SHORT, lists=2)
    with connected(engine) as connection:
        connection.exec_driver_sql(f"ALTER INDEX {name} RENAME TO {name}_new")
        assert 2 == maintenance.vector_index(SHORT).lists
        unfinished = "UPDATE pg_index SET indisvalid = false WHERE indexrelid = %(name)s::regclass"
        connection.exec_driver_sql(unfinished, {"name": f"{name}_new"})
    maintenance.build_ivfflat(SHORT, lists=3)
    assert [name] == [one for one in maintenance.sizes().index_bytes if "ivfflat" in one]


def test_old_vectors_and_pairs_are_purged(
    engine: sa.Engine, store: PostgresSemanticEntries, maintenance: SemanticMaintenance, clock: FakeClock
) -> None:
    """Up to a limit; verdicts and blocks stay, and so does what is as old as that."""
    pairs = PostgresPairs(engine)
    asked, cached = a_question("asked"), a_question("cached")
    for day in range(3):
        store.keep_vectors("acme", EMBEDDER, {hash_of(f"text {day}"): a_vector()})
        pairs.note([a_pair(asked, cached, NOON + day * DAY, request_id=f"call {day}")])
        clock.advance(DAY)
    pairs.judge(a_pair(asked, cached), Label(score=0.9, right=False, source="feedback", at=NOON))
    pairs.block(a_pair(asked, cached))
    assert [3, 1, 0] == [maintenance.purge(NOON + 2 * DAY, limit=3) for _ in range(3)]
    counts = "SELECT (SELECT count(*) FROM {}), (SELECT count(*) FROM {})"
    assert [(1, 1)] == fetch(engine, counts.format("semantic_label", "semantic_block"), {})
    assert [(1, 1)] == fetch(engine, counts.format("semantic_vector", "semantic_pair"), {})


def test_sizes_are_told(store: PostgresSemanticEntries, maintenance: SemanticMaintenance) -> None:
    """Rows by embedder, and bytes of the table and each index."""
    _put_three(store)
    store.put(NEW, [an_answer_to(a_question(vector=_short(1)))])
    sizes = maintenance.sizes()
    assert {EMBEDDER: 3, NEW: 1} == sizes.rows
    assert sizes.table_bytes > 0
    assert sizes.index_bytes["ix_llm_semantic_cache_embedding_384"] > 0


def _put_three(store: PostgresSemanticEntries) -> None:
    """Store three answers, one after the other."""
    for number in range(3):
        store.put(EMBEDDER, [an_answer_to(a_question(f"{number}", a_vector(number)))])


def _short(seed: int) -> Vector:
    vector = np.random.default_rng(seed).standard_normal(SHORT).astype(np.float32)
    return vector / np.float32(np.linalg.norm(vector))


def _rows_and_due(maintenance: SemanticMaintenance) -> tuple[int, bool]:
    index = maintenance.vector_index(SHORT)
    return index.rows, index.is_due


def _bulk(engine: sa.Engine, store: PostgresSemanticEntries, since: int = 0) -> Question:
    """Store many answers; return the question of one."""
    questions = [a_question(f"{number}", _short(number)) for number in range(since, since + MANY)]
    store.put(NEW, [an_answer_to(question) for question in questions])
    with connected(engine) as connection:
        connection.exec_driver_sql("ANALYZE llm_semantic_cache")
    return questions[0]
