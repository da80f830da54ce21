"""The L1 layer and its leases, on Redis or Valkey."""

from cognition.adapters.redis.connection import connect
from cognition.adapters.redis.entries import RedisEntries

__all__ = ["RedisEntries", "connect"]
