"""Single-flight leases in PostgreSQL, for the time that Redis is away.

Timed by the database's clock alone, because processes on several machines share a lease.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from cognition.adapters.postgres.connection import STORE, compiled, fetch, ping
from cognition.adapters.postgres.tables import single_flight_lease as lease
from cognition.domain.entry import Address
from cognition.ports import LeaseView

_PURGED_ROWS = "10"  # with each lease taken: more than one, so that the table stays small


class PostgresLeases:
    """Leases as rows; each call is one statement."""

    name = STORE

    def __init__(self, engine: sa.Engine) -> None:
        """Use an engine.

        Args:
            engine: From `connect`.
        """
        self._engine = engine

    def acquire(self, address: Address, token: str, seconds: float) -> str:
        """Take the lease if it is free; return the token of whoever holds it now."""
        ((holder,),) = fetch(self._engine, _ACQUIRE, _parameters(address, token, seconds))
        return holder

    def renew(self, address: Address, token: str, seconds: float) -> bool:
        """Prolong one's own lease; return whether it was still held."""
        return bool(fetch(self._engine, _RENEW, _parameters(address, token, seconds)))

    def release(self, address: Address, token: str, outcome: bytes | None, seconds: float) -> None:
        """Give one's own lease back, leaving an outcome for those who wait; a lease that was lost stays as it is."""
        parameters = _parameters(address, token, seconds)
        if outcome is None:
            fetch(self._engine, _RELEASE, parameters)
        else:
            fetch(self._engine, _RELEASE_WITH_OUTCOME, {**parameters, "left": outcome})

    def view(self, address: Address) -> LeaseView:
        """Return who holds the lease and what was left."""
        for holder, outcome_of, outcome in fetch(self._engine, _VIEW, {"tenant": address.tenant, "key": address.key}):
            return LeaseView(holder, outcome_of, None if outcome is None else bytes(outcome))
        return LeaseView()

    def ping(self) -> None:
        """Return when the server answers."""
        ping(self._engine)


def _parameters(address: Address, token: str, seconds: float) -> dict[str, Any]:
    return {"tenant": address.tenant, "key": address.key, "holder": token, "life": timedelta(seconds=seconds)}


# -- statements -------------------------------------------------------------------------------------------------------

_now = sa.func.now()
_token = sa.bindparam("holder", type_=lease.c.token.type)
_end = _now + sa.bindparam("life", type_=sa.Interval())
_held = (lease.c.token.is_not(None)) & (lease.c.lease_until > _now)
_here = (lease.c.tenant == sa.bindparam("tenant")) & (lease.c.key == sa.bindparam("key"))
_own = _here & _held & (lease.c.token == _token)

# Old rows of other leases go with each new one. PostgreSQL does this part last, and rows that somebody uses are left
# for the next time: so it never waits while it holds a lock, and cannot be part of a deadlock.
_past = (
    sa.select(lease.c.tenant, lease.c.key)
    .where(sa.func.greatest(lease.c.outcome_until, lease.c.lease_until) < _now, ~_here)
    .limit(sa.literal_column(_PURGED_ROWS))
    .with_for_update(skip_locked=True)
)
_purged = sa.delete(lease).where(sa.tuple_(lease.c.tenant, lease.c.key).in_(_past)).cte("purged")

# Writes also where the lease is taken. Only so does one statement always know the holder: a row that another
# transaction inserts meanwhile can be changed, but not yet read.
_taking = insert(lease).values(tenant=sa.bindparam("tenant"), key=sa.bindparam("key"), token=_token, lease_until=_end)
_ACQUIRE = compiled(
    _taking.on_conflict_do_update(
        index_elements=[lease.c.tenant, lease.c.key],
        set_={name: sa.case((_held, lease.c[name]), else_=_taking.excluded[name]) for name in ("token", "lease_until")},
    )
    .returning(lease.c.token)
    .add_cte(_purged)
)
_RENEW = compiled(sa.update(lease).where(_own).values(lease_until=_end).returning(lease.c.token))
_RELEASE = compiled(sa.update(lease).where(_own).values(token=sa.null(), lease_until=_now))
_RELEASE_WITH_OUTCOME = compiled(
    sa.update(lease)
    .where(_own)
    .values(token=sa.null(), lease_until=_now, outcome_of=_token, outcome=sa.bindparam("left"), outcome_until=_end)
)
_left = lease.c.outcome_until > _now
_VIEW = compiled(
    sa.select(
        sa.case((_held, lease.c.token)),
        sa.case((_left, lease.c.outcome_of)),
        sa.case((_left, lease.c.outcome)),
    ).where(_here)
)
