"""The L1 layer and its leases, on Redis or Valkey."""

from cognition.adapters.redis.connection import connect, forget_connections
from cognition.adapters.redis.entries import RedisEntries
from cognition.adapters.redis.leases import RedisLeases

__all__ = ["RedisEntries", "RedisLeases", "connect", "forget_connections"]
