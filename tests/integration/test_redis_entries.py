"""What is particular to L1 in Redis."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
import redis
from redis.crc import key_slot

from cognition.adapters.redis import RedisEntries, RedisLeases, connect
from cognition.adapters.redis.connection import Server
from cognition.adapters.redis.keys import namespace_keys
from cognition.domain.entry import Found
from cognition.testing.clock import FakeClock
from cognition.testing.contracts.samples import LIFE, an_address, an_entry

ADDRESS = an_address("a confidential question", tenant="acme-tenant", namespace="support-namespace")
NAMES = namespace_keys(ADDRESS.tenant, ADDRESS.namespace)
ENTRY_KEY = NAMES.entry + ADDRESS.key.hex()


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    """Return a client of an empty server."""
    with connect(redis_url) as client:
        yield client


@pytest.fixture
def entries(client: redis.Redis, clock: FakeClock) -> RedisEntries:
    """Return an empty L1."""
    return RedisEntries(client, clock)


def test_redis_forgets_an_entry_when_it_expires(client: redis.Redis, entries: RedisEntries, clock: FakeClock) -> None:
    """The key lives as long as the entry has left by the engine's clock, to the millisecond."""
    clock.advance(timedelta(seconds=60))
    entries.put([(ADDRESS, an_entry(ADDRESS))])
    life = LIFE - timedelta(seconds=60)
    assert 0 <= life.total_seconds() * 1000 - milliseconds_left(client, ENTRY_KEY) < 5_000


@pytest.mark.parametrize("life", [LIFE, timedelta(days=30)])
def test_a_generation_outlives_its_entries(
    client: redis.Redis, entries: RedisEntries, clock: FakeClock, life: timedelta
) -> None:
    """Otherwise an answer that was invalidated could be accepted after its namespace's generation ran out."""
    entries.put([(ADDRESS, an_entry(ADDRESS, expires_at=clock() + life))])
    assert milliseconds_left(client, NAMES.generation) > milliseconds_left(client, ENTRY_KEY) + 24 * 3600 * 1000


def test_nothing_shortens_the_life_of_a_generation(
    client: redis.Redis, entries: RedisEntries, clock: FakeClock
) -> None:
    """A short-lived entry or an invalidation after a long-lived entry does not make that one unreachable early."""
    entries.put([(ADDRESS, an_entry(ADDRESS, expires_at=clock() + timedelta(days=30)))])
    entries.put([(ADDRESS, an_entry(ADDRESS))])
    entries.forget(ADDRESS.tenant, {ADDRESS.namespace: 2}, [])
    assert milliseconds_left(client, NAMES.generation) > timedelta(days=30).total_seconds() * 1000


def test_an_invalidation_is_remembered_for_a_day(client: redis.Redis, entries: RedisEntries) -> None:
    """Also in a namespace that holds nothing: an answer asked for before may still arrive."""
    entries.forget(ADDRESS.tenant, {ADDRESS.namespace: 2}, [])
    assert milliseconds_left(client, NAMES.generation) > 24 * 3600 * 1000


def test_without_its_generation_an_entry_is_unreachable(client: redis.Redis, entries: RedisEntries) -> None:
    """When Redis evicts the generation it can no longer be told whether the entry was invalidated."""
    entries.put([(ADDRESS, an_entry(ADDRESS))])
    client.delete(NAMES.generation)
    assert [Found(), Found()] == [entries.get(ADDRESS), *entries.get_many([ADDRESS])]


def test_a_foreign_generation_is_removed(client: redis.Redis, entries: RedisEntries) -> None:
    """A generation that is no number is reported as corrupt once, and the namespace can be used again."""
    client.set(NAMES.generation, b"not a number", px=60_000)
    assert [Found(corrupt=True), Found()] == [entries.get(ADDRESS), entries.get(ADDRESS)]
    client.set(NAMES.generation, b"not a number", px=60_000)
    entry = an_entry(ADDRESS)
    entries.put([(ADDRESS, entry)])
    assert entry == entries.get(ADDRESS).entry


def test_a_look_up_is_one_command(client: redis.Redis, entries: RedisEntries) -> None:
    """One for a single look-up, one for a batch of one namespace."""
    addresses = [an_address(f"question {number}") for number in range(100)]
    before = commands(client)
    entries.get(ADDRESS)
    entries.get_many(addresses)
    # INFO, which counts them, is one itself.
    assert 3 == commands(client) - before


def test_names_tell_nothing(client: redis.Redis, entries: RedisEntries) -> None:
    """Neither tenant nor namespace nor prompt can be read from what Redis shows in its logs."""
    entries.put([(ADDRESS, an_entry(ADDRESS))])
    RedisLeases(client).acquire(ADDRESS, "token", 60)
    names: list[bytes] = Server(client).call("KEYS", "*")
    assert 3 == len(names)
    assert not any(word in name for name in names for word in (b"acme", b"support", b"question"))


def test_a_namespace_lives_on_one_node_of_a_cluster() -> None:
    """A cluster refuses commands and scripts whose keys are on different nodes."""
    names = [NAMES.generation, ENTRY_KEY, NAMES.lease + ADDRESS.key.hex(), NAMES.outcome + ADDRESS.key.hex()]
    assert 1 == len({key_slot(name.encode()) for name in names})


def test_names_of_owners_do_not_run_together() -> None:
    """Tenant `ab` with namespace `c` is not tenant `a` with namespace `bc`."""
    assert namespace_keys("ab", "c") != namespace_keys("a", "bc")


def test_a_server_that_forgot_the_scripts_is_taught_again(client: redis.Redis, entries: RedisEntries) -> None:
    """After a restart or a fail-over the server does not know our scripts."""
    entries.put([(ADDRESS, an_entry(ADDRESS))])
    Server(client).call("FLUSHALL")
    Server(client).call("SCRIPT", "FLUSH")
    entry = an_entry(ADDRESS)
    assert 1 == entries.put([(ADDRESS, entry)])
    assert entry == entries.get(ADDRESS).entry


def test_names_without_generation_are_dropped_all_the_same(entries: RedisEntries) -> None:
    """Addresses of a namespace whose generation is not raised are dropped, and no generation is made up."""
    entries.put([(ADDRESS, an_entry(ADDRESS))])
    unused = an_address(namespace="unused")
    assert 1 == entries.forget(ADDRESS.tenant, {}, [ADDRESS, unused])
    assert [1, None] == [entries.get(address).generation for address in (ADDRESS, unused)]


def milliseconds_left(client: redis.Redis, key: str) -> int:
    """Return the time to live of a key."""
    left = client.pttl(key)
    assert isinstance(left, int)
    return left


def commands(client: redis.Redis) -> int:
    """Return how many commands the server has run."""
    return Server(client).call("INFO", "stats")["total_commands_processed"]
