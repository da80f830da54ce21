"""Leases in Redis."""

from __future__ import annotations

import redis

from cognition.adapters.redis.connection import STORE, Server
from cognition.adapters.redis.keys import namespace_keys
from cognition.domain.entry import Address
from cognition.ports import LeaseView

# Stands between token and outcome in a value; tokens are hexadecimal.
_SEPARATOR = b"\0"


class RedisLeases:
    """Leases on one Redis or Valkey server, timed by its clock.

    One server, not several (Redlock): a lease saves duplicate calls, and the cache stays right when one is lost.
    """

    name = STORE

    def __init__(self, client: redis.Redis) -> None:
        """Use a client from `connect`; it must return bytes."""
        self._server = Server(client)
        self._acquire = self._server.script("lease_acquire")
        self._renew = self._server.script("lease_renew")
        self._release = self._server.script("lease_release")

    def acquire(self, address: Address, token: str, seconds: float) -> str:
        """Take the lease if it is free; return the token of whoever holds it now."""
        lease, _ = _names(address)
        return self._acquire([lease], [token, _milliseconds(seconds)]).decode()

    def renew(self, address: Address, token: str, seconds: float) -> bool:
        """Prolong one's own lease; return whether it was still held."""
        lease, _ = _names(address)
        return self._renew([lease], [token, _milliseconds(seconds)]) == 1

    def release(self, address: Address, token: str, outcome: bytes | None, seconds: float) -> None:
        """Give one's own lease back, leaving an outcome for those who wait; a lease that was lost stays as it is."""
        left = [] if outcome is None else [token.encode() + _SEPARATOR + outcome]
        self._release(_names(address), [token, _milliseconds(seconds), *left])

    def view(self, address: Address) -> LeaseView:
        """Return who holds the lease and what was left, in one round trip."""
        holder, left = self._server.call("MGET", *_names(address))
        outcome_of, separator, outcome = (left or b"").partition(_SEPARATOR)
        return LeaseView(
            holder=None if holder is None else holder.decode(),
            outcome_of=outcome_of.decode() if separator else None,
            outcome=outcome if separator else None,
        )

    def ping(self) -> None:
        """Return when the server answers."""
        self._server.call("PING")


def _names(address: Address) -> tuple[str, str]:
    names = namespace_keys(address.tenant, address.namespace)
    key = address.key.hex()
    return names.lease + key, names.outcome + key


def _milliseconds(seconds: float) -> int:
    return max(1, round(seconds * 1000))
