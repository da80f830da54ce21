"""Circuit breakers in PostgreSQL, shared by all processes.

Every decision is one call of one SQL function, under the lock of the breaker's row and on the database's clock; nothing
is decided here.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from cognition.adapters.postgres.breaker_rows import (
    identity_of,
    policy_json,
    result_json,
    seconds_to_time,
    standing_of,
    transition_of,
    uuid_of,
)
from cognition.adapters.postgres.connection import STORE, compiled, fetch, ping
from cognition.adapters.postgres.purging import deleting_oldest, in_parts
from cognition.adapters.postgres.tables import circuit_breaker_history as history
from cognition.domain.breaker import BreakerKey, BreakerPolicy
from cognition.domain.breaker_standing import Admission, BreakerResult, Order, Recorded, Standing, Transition
from cognition.resilience.circuit_breaker import check_order


class PostgresBreakers:
    """The breakers of one tenant; each call is one round trip."""

    name = STORE

    def __init__(self, engine: sa.Engine, tenant: str) -> None:
        """Use an engine.

        Args:
            engine: From `connect`.
            tenant: Whose breakers.
        """
        self._engine = engine
        self._tenant = tenant

    def look(self, keys: Sequence[BreakerKey]) -> list[Standing]:
        """Return how breakers stand, in order, with one round trip for all; unknown ones are closed."""
        rows = self._fetch(_LOOK, keys=[str(key) for key in keys])
        found: dict[str, tuple[Any, Any]] = {name: (now, row) for name, now, row in rows}
        return [
            Standing(key=key, as_of=now) if row is None else standing_of(row)
            for key, (now, row) in ((key, found[str(key)]) for key in keys)
        ]

    def admit(self, key: BreakerKey, policy: BreakerPolicy, worker: str) -> Admission:
        """Say whether a call may be made, and grant a permit where it needs one."""
        answer = self._decide(_ADMIT, key, policy=policy_json(policy), worker=worker)
        standing = answer.get("standing") or {"as_of": answer.get("as_of")}
        return Admission(
            standing=standing_of(standing, key),
            admitted=answer["admitted"],
            permit=uuid_of(answer.get("permit")),
            retry_after=seconds_to_time(answer.get("retry_after")),
            transition=transition_of(answer.get("transition")),
        )

    def record(self, key: BreakerKey, policy: BreakerPolicy, result: BreakerResult) -> Recorded:
        """Take in how a call ended, and take its permit back."""
        answer = self._decide(_RECORD, key, policy=policy_json(policy), result=result_json(result))
        return Recorded(
            standing=standing_of(answer["standing"]),
            transition=transition_of(answer["transition"]),
            threshold_reached=answer["threshold_reached"],
        )

    def cool_down(self, key: BreakerKey, duration: timedelta, reason: str) -> Standing:
        """Let nobody call for a while; a longer time that was agreed before stays."""
        return standing_of(self._decide(_COOL_DOWN, key, duration=duration, reason=reason)["standing"])

    def obey(self, key: BreakerKey, order: Order) -> Transition:
        """Set the state that a person orders; CLOSED resets.

        Raises:
            ConfigurationError: Nobody can order that state, or nobody or no reason is named.
        """
        check_order(order)
        answer = self._decide(_FORCE, key, to_state=order.state.value, actor=order.actor, reason=order.reason)
        transition = transition_of(answer["transition"])
        if transition is None:
            raise AssertionError("An order is a transition.")
        return transition

    def standings(self) -> list[Standing]:
        """Return how every breaker stands that ever had something to tell, ordered by key."""
        return sorted((standing_of(row) for (row,) in self._fetch(_STANDINGS)), key=lambda one: one.key)

    def history(self, key: BreakerKey | None, limit: int) -> list[Transition]:
        """Return the latest transitions of one breaker, or of all, newest first."""
        statement = _HISTORY if key is None else _HISTORY_OF_ONE
        rows = self._fetch(statement, most=limit, key=None if key is None else str(key))
        return [one for (row,) in rows if (one := transition_of(row)) is not None]

    def forget_history(self, age: timedelta, limit: int) -> int:
        """Delete up to `limit` transitions that are at least so old; return how many."""
        return in_parts(self._engine, _FORGET, {"tenant": self._tenant, "age": age}, limit)

    def ping(self) -> None:
        """Return when the server answers."""
        ping(self._engine)

    def _decide(self, statement: str, key: BreakerKey, **parameters: Any) -> dict[str, Any]:
        """Return what a function answers; whoever waited for the lock must see the row as it is then."""
        values = {"tenant": self._tenant, "breaker": json.dumps(identity_of(key)), **parameters}
        ((answer,),) = fetch(self._engine, statement, values, isolated=True)
        return answer

    def _fetch(self, statement: str, **parameters: Any) -> list[tuple[Any, ...]]:
        return fetch(self._engine, statement, {"tenant": self._tenant, **parameters})


# -- statements -------------------------------------------------------------------------------------------------------

_ADMIT = "SELECT breaker_admit_v1(%(tenant)s, %(breaker)s::jsonb, %(policy)s::jsonb, %(worker)s)"
_RECORD = "SELECT breaker_record_v1(%(tenant)s, %(breaker)s::jsonb, %(policy)s::jsonb, %(result)s::jsonb)"
_COOL_DOWN = "SELECT breaker_cool_down_v1(%(tenant)s, %(breaker)s::jsonb, %(duration)s, %(reason)s)"
_FORCE = "SELECT breaker_force_v1(%(tenant)s, %(breaker)s::jsonb, %(to_state)s, %(actor)s, %(reason)s)"
_LOOK = (
    "SELECT k.key, clock_timestamp(), breaker_standing_v1(s, clock_timestamp())"
    " FROM unnest(%(keys)s::text[]) AS k (key)"
    " LEFT JOIN circuit_breaker_state AS s ON s.tenant = %(tenant)s AND s.breaker_key = k.key"
)
_STANDINGS = (
    "SELECT breaker_standing_v1(s, clock_timestamp()) FROM circuit_breaker_state AS s WHERE s.tenant = %(tenant)s"
)
_row = sa.func.to_jsonb(sa.literal_column(history.name))
_latest = (
    sa.select(_row)
    .where(history.c.tenant == sa.bindparam("tenant"))
    .order_by(history.c.created_at.desc(), history.c.generation.desc())
    .limit(sa.bindparam("most"))
)
_HISTORY = compiled(_latest)
_HISTORY_OF_ONE = compiled(_latest.where(history.c.breaker_key == sa.bindparam("key")))
_FORGET = deleting_oldest(
    history,
    history.c.created_at,
    sa.and_(
        history.c.tenant == sa.bindparam("tenant"),
        history.c.created_at <= sa.func.now() - sa.bindparam("age", type_=sa.Interval()),
    ),
)
