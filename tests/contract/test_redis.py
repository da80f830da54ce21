"""The Redis adapters keep the contracts on a real server, and leave no key without a time to live."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
import redis

from cognition.adapters.redis import RedisEntries, RedisLeases, connect
from cognition.adapters.redis.keys import namespace_keys
from cognition.domain.entry import Address
from cognition.testing.clock import FakeClock
from cognition.testing.contracts import FastStoreContract, LeaseStoreContract
from cognition.testing.contracts.entries import Plant
from cognition.testing.contracts.leases import Wait


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    """Return a client of an empty server."""
    with connect(redis_url) as client:
        yield client


class TestEntries(FastStoreContract):
    """L1 in Redis."""

    @pytest.fixture
    def store(self, client: redis.Redis, clock: FakeClock) -> RedisEntries:
        """Return an empty L1."""
        return RedisEntries(client, clock)

    @pytest.fixture
    def plant(self, client: redis.Redis) -> Plant:
        """Return how to put any bytes into it."""

        def plant(address: Address, value: bytes) -> None:
            name = namespace_keys(address.tenant, address.namespace).entry + address.key.hex()
            assert client.set(name, value, xx=True, keepttl=True)

        return plant


class TestLeases(LeaseStoreContract):
    """Leases in Redis."""

    @pytest.fixture
    def leases(self, client: redis.Redis) -> RedisLeases:
        """Return a store without leases."""
        return RedisLeases(client)

    @pytest.fixture
    def wait(self) -> Wait:
        """Return how to let time pass; the server's clock cannot be set."""
        return time.sleep
