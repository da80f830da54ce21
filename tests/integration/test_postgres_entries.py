"""L2 when several processes write, invalidate and clean up at the same time."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor, wait
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from cognition.adapters.postgres.connection import transaction
from cognition.adapters.postgres.entries import PostgresEntries
from cognition.adapters.postgres.entry_statements import removing
from cognition.adapters.postgres.invalidation import raising
from cognition.adapters.postgres.tables import cache_namespace, llm_cache
from cognition.domain.entry import Found, Selection
from cognition.testing.clock import FakeClock
from cognition.testing.contracts.samples import LIFE, NOON, an_address, an_entry

ADDRESS = an_address()
OF_ITS_NAMESPACE = Selection(tenant=ADDRESS.tenant, namespace=ADDRESS.namespace)
PATIENCE = 0.3  # seconds in which something that is not blocked would long have happened


@pytest.fixture
def store(engine: sa.Engine, clock: FakeClock) -> PostgresEntries:
    """Return an empty store."""
    return PostgresEntries(engine, clock)


def test_an_entry_that_meets_an_invalidation_is_refused(
    engine: sa.Engine, store: PostgresEntries, other: ThreadPoolExecutor
) -> None:
    """A writer waits for an invalidation that has begun, and then learns that it came too late."""
    store.put([(ADDRESS, an_entry(ADDRESS, "old"))])
    with transaction(engine) as invalidation:
        invalidation.execute(raising(OF_ITS_NAMESPACE))
        writing = other.submit(store.put, [(ADDRESS, an_entry(ADDRESS, "late"))])
        assert _is_blocked(writing)
    assert 0 == writing.result()


def test_a_copy_takes_the_place_of_what_is_past(store: PostgresEntries, clock: FakeClock) -> None:
    """The question's own answer was younger, but it may not answer any more."""
    store.put([(ADDRESS, an_entry(ADDRESS))])
    clock.advance(LIFE)
    copy = an_entry(
        ADDRESS,
        "copy",
        created_at=NOON - LIFE,
        expires_at=NOON + 2 * LIFE,
        origin=an_address("far").key.hex(),
        similarity=0.95,
    )
    assert 1 == store.put([(ADDRESS, copy)])
    assert copy == store.get(ADDRESS).entry


def test_an_invalidation_that_meets_an_entry_removes_it(
    engine: sa.Engine, store: PostgresEntries, other: ThreadPoolExecutor
) -> None:
    """An invalidation waits for a writer that has begun, and then removes what it wrote."""
    elsewhere = an_address(namespace="elsewhere")
    store.put([(ADDRESS, an_entry(ADDRESS)), (elsewhere, an_entry(elsewhere))])
    with transaction(engine) as writer:
        # What `put` does, held open.
        writer.execute(sa.select(cache_namespace).with_for_update(read=True))
        writer.execute(sa.update(llm_cache).values(model="written late"))
        invalidation = other.submit(store.invalidate, OF_ITS_NAMESPACE)
        assert _is_blocked(invalidation)
    assert [ADDRESS] == list(invalidation.result().addresses)
    assert [None, elsewhere.key.hex()] == [
        found.entry and found.entry.key for found in store.get_many([ADDRESS, elsewhere])
    ]


def test_nothing_invalidated_comes_back(store: PostgresEntries) -> None:
    """However look-ups, writes and invalidations mix: what is found was asked for after the last invalidation."""

    def ask_and_store(_: int) -> int:
        generation = store.get(ADDRESS).generation
        assert generation is not None
        store.put([(ADDRESS, an_entry(ADDRESS, str(generation), generation=generation))])
        return store.invalidate(OF_ITS_NAMESPACE).generations[ADDRESS.namespace] if generation % 3 else 0

    with ThreadPoolExecutor(max_workers=8) as threads:
        last = max(threads.map(ask_and_store, range(120)))
    entry = store.get(ADDRESS).entry
    assert entry is None or int(entry.response.text or 0) >= last


def test_writers_of_the_same_entries_do_not_block_each_other_for_ever(store: PostgresEntries) -> None:
    """Batches in opposite orders, in new namespaces, all come through."""
    addresses = [an_address(f"question {number}", namespace=f"namespace {number % 3}") for number in range(400)]
    items = [(address, an_entry(address)) for address in addresses]
    with ThreadPoolExecutor(max_workers=8) as threads:
        kept = list(threads.map(store.put, [items, items[::-1]] * 10))
    assert [400] * 20 == kept


def test_a_repaired_entry_is_not_removed(engine: sa.Engine, store: PostgresEntries) -> None:
    """Whoever found a damaged value removes only that, not the good one that replaced it meanwhile."""
    entry = an_entry(ADDRESS)
    store.put([(ADDRESS, entry)])
    with transaction(engine) as connection:
        connection.execute(removing(ADDRESS, b"damaged"))
    assert entry == store.get(ADDRESS).entry


def test_a_damaged_row_is_removed_from_the_table(engine: sa.Engine, store: PostgresEntries) -> None:
    """It is not only ignored: nobody would ever clean it up before it expires."""
    store.put([(ADDRESS, an_entry(ADDRESS))])
    with transaction(engine) as connection:
        connection.execute(sa.update(llm_cache).values(payload=b"damaged"))
    assert Found(None, 1, corrupt=True) == store.get(ADDRESS)
    with transaction(engine) as connection:
        assert 0 == connection.scalar(sa.select(sa.func.count()).select_from(llm_cache))


def test_a_new_database_learns_the_generation(store: PostgresEntries) -> None:
    """L1 may remember a later generation than a database that was made anew; they must not disagree for ever."""
    assert 1 == store.put([(ADDRESS, an_entry(ADDRESS, generation=7))])
    assert 7 == store.get(ADDRESS).generation


def test_a_purge_leaves_what_is_in_use(engine: sa.Engine, store: PostgresEntries) -> None:
    """A locked entry is left for the next purge instead of waited for."""
    addresses = [an_address(f"question {number}") for number in range(3)]
    store.put([(address, an_entry(address)) for address in addresses])
    with transaction(engine) as user:
        user.execute(sa.select(llm_cache.c.key).where(llm_cache.c.key == addresses[0].key).with_for_update())
        assert 2 == store.purge(NOON + LIFE, limit=10)
    assert 1 == store.purge(NOON + LIFE, limit=10)


def test_a_purge_in_several_parts_deletes_everything(store: PostgresEntries) -> None:
    """More entries than one statement deletes at once are all deleted by one call."""
    addresses = [an_address(f"question {number}") for number in range(2100)]
    store.put([(address, an_entry(address)) for address in addresses])
    assert 2100 == store.purge(NOON + LIFE, limit=5000)


def test_an_entry_past_its_end_is_not_kept(store: PostgresEntries, clock: FakeClock) -> None:
    """A copy that arrives late would be purged at once."""
    clock.advance(LIFE + timedelta(seconds=1))
    assert 0 == store.put([(ADDRESS, an_entry(ADDRESS))])


def _is_blocked(work: Future[Any]) -> bool:
    return not wait([work], timeout=PATIENCE).done
