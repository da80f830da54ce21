"""Budgets in PostgreSQL, shared by all processes.

Every decision is one call of one SQL function, under the locks of the counters and on the database's clock; nothing is
decided here.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from psycopg2 import errors
from sqlalchemy.dialects.postgresql import insert

from cognition.adapters.postgres.batch import storable
from cognition.adapters.postgres.budget_rows import (
    BUDGET_COLUMNS,
    SHARE_COLUMNS,
    budget_of,
    named_by,
    row_of,
    share_of,
    standing_of,
)
from cognition.adapters.postgres.connection import STORE, compiled, fetch, ping, transaction
from cognition.adapters.postgres.ledger_writing import Writing
from cognition.adapters.postgres.tables import user_budgets
from cognition.domain.budget import Budget, Scope
from cognition.domain.ledger import NOTHING, LedgerBatch
from cognition.domain.reservation import CallAttempt, Claim, Reservation, Standing
from cognition.domain.settlement import bookable
from cognition.errors import ConfigurationError
from cognition.resilience.budget_store import Kept

_log = logging.getLogger(__name__)
_UNREADABLE = "Budget %s of a %s cannot be read here, and PostgreSQL alone decides by it: %s"


class PostgresBudgets:
    """The budgets of one tenant; a reservation and a settlement are on the disk when their call returns."""

    name = STORE

    def __init__(self, engine: sa.Engine, tenant: str) -> None:
        """Use an engine.

        Args:
            engine: From `connect`.
            tenant: Whose budgets.
        """
        self._engine = engine
        self._tenant = tenant
        self._told: set[UUID] = set()

    def reserve(self, claim: Claim) -> Reservation:
        """Set money aside in every budget that applies, or in none."""
        rows = self._fetch(
            _RESERVE,
            **_named(claim.attempt),
            subjects=_subjects(claim.subjects),
            estimate=claim.estimate_usd,
            holder=storable(claim.holder),
            lease=claim.lease,
        )
        reservation = Reservation(tuple(share_of(row) for row in rows))
        if reservation.shares and reservation.admitted:
            self._flush()
        return reservation

    def settle(self, attempt: CallAttempt, cost_usd: Decimal | None, batch: LedgerBatch = NOTHING) -> Reservation:
        """Book what an attempt cost and write its ledger rows, in one transaction.

        Raises:
            LedgerConflict: A row with other contents already stands in the ledger; nothing was booked.
        """
        return self._settle(_SETTLE, {**_named(attempt), "cost": bookable(cost_usd)}, batch)

    def book(
        self,
        attempt: CallAttempt,
        subjects: Mapping[Scope, str],
        cost_usd: Decimal | None,
        at: datetime,
        batch: LedgerBatch = NOTHING,
    ) -> Reservation:
        """Book an attempt for which nothing could be set aside, and write its ledger rows, in one transaction.

        Raises:
            LedgerConflict: A row with other contents already stands in the ledger; nothing was booked.
        """
        parameters = {**_named(attempt), "subjects": _subjects(subjects), "cost": bookable(cost_usd), "at": at}
        return self._settle(_BOOK, parameters, batch)

    def release(self, attempt: CallAttempt) -> bool:
        """Give back what is set aside for an attempt that cost nothing; return whether anything was."""
        ((released,),) = self._fetch(_RELEASE, **_named(attempt))
        return released

    def renew(self, attempts: Sequence[CallAttempt], lease: timedelta) -> set[CallAttempt]:
        """Prolong leases from now on; return the attempts that still hold money and could be prolonged."""
        if not attempts:
            return set()
        keys, numbers = [str(one.call_key) for one in attempts], [one.attempt for one in attempts]
        rows = self._fetch(_RENEW, keys=keys, numbers=numbers, lease=lease)
        return {CallAttempt(key, number) for key, number in rows}

    def expire(self) -> int:
        """Give back what ended leases hold, in all budgets; return how many."""
        ((expired,),) = self._fetch(_EXPIRE)
        return expired

    def look(self, subjects: Mapping[Scope, str]) -> list[Standing]:
        """Return how the budgets stand that apply to a call; nothing is set aside."""
        return [standing_of(row) for row in self._fetch(_LOOK, subjects=_subjects(subjects))]

    def put(self, budget: Budget, actor: str) -> UUID:
        """Keep a budget; one of the same scope, subject, period and length is changed, and what was spent stays spent.

        Raises:
            ConfigurationError: The database does not know the time zone.
        """
        try:
            ((budget_id,),) = self._fetch(_PUT, **row_of(budget), updated_by=storable(actor))
        except errors.InvalidParameterValue:
            raise ConfigurationError(
                f"PostgreSQL knows no time zone {budget.timezone!r}, though Python does; write another name of it."
            ) from None
        self._flush()
        return budget_id

    def budgets(self) -> list[Budget]:
        """Return all budgets that can be read, ordered by scope, subject, period and length."""
        return list(self.kept().readable)

    def kept(self) -> Kept:
        """Return all budgets, and whom those limit that cannot be read; such a one is logged once."""
        readable: list[Budget] = []
        unreadable: set[tuple[str, str]] = set()
        for row in self._fetch(_BUDGETS):
            try:
                readable.append(budget_of(row))
            except ConfigurationError as error:
                named = named_by(row)
                if named.active:
                    unreadable.add((named.scope, named.subject))
                if named.budget_id not in self._told:
                    self._told.add(named.budget_id)
                    _log.warning(_UNREADABLE, named.budget_id, named.scope, error)
        return Kept(readable, frozenset(unreadable))

    def version(self) -> str:
        """Return what changes whenever a budget does."""
        ((count, mixture),) = self._fetch(_VERSION)
        return f"{count} {mixture}"

    def ping(self) -> None:
        """Return when the server answers."""
        ping(self._engine)

    def _settle(self, settling: str, given: Mapping[str, Any], batch: LedgerBatch) -> Reservation:
        parameters = {"tenant": self._tenant, **given}
        writing = Writing.of(batch)
        statements = "; ".join(filter(None, (_WITHOUT_WAITING, writing.statement, settling)))
        try:
            rows = fetch(self._engine, statements, {**writing.parameters, **parameters}, isolated=True)
        except errors.UniqueViolation:
            # The rows were written before: the answer to this very settlement may have been lost. Nothing is done yet.
            with transaction(self._engine, limited=True) as connection:
                connection.exec_driver_sql(_WITHOUT_WAITING)
                writing.add_the_rest(connection)
                rows = [tuple(row) for row in connection.exec_driver_sql(settling, parameters)]
        settled = Reservation(tuple(share_of(row) for row in rows))
        if settled.shares or writing.statement:
            self._flush()
        return settled

    def _fetch(self, statement: str, **parameters: Any) -> list[tuple[Any, ...]]:
        """Return the rows of a statement; whoever waited for a lock must see the rows as they are then.

        Commits before the disk has it, see `_flush`: a release, a renewal or an expiry that a crash undoes is made good
        by the lease.
        """
        parameters["tenant"] = self._tenant
        return fetch(self._engine, f"{_WITHOUT_WAITING}; {statement}", parameters, isolated=True)

    def _flush(self) -> None:
        """Return when all that was committed before is on the disk.

        A commit that waits for the disk keeps its locks until then, and everybody who spends from a shared budget needs
        the same one: a disk that takes 4 ms would let 125 calls a second pass. So the decision is committed first and
        waited for afterwards, by a commit of nothing, which locks nothing and shares its wait with all others. Whoever
        saw the decision meanwhile comes after it in the write-ahead log, so a crash never keeps the later one alone.
        """
        fetch(self._engine, _FLUSH, {})


def _named(attempt: CallAttempt) -> dict[str, Any]:
    return {"key": str(attempt.call_key), "attempt": attempt.attempt}


def _subjects(subjects: Mapping[Scope, str]) -> str:
    return json.dumps({scope: storable(subject) for scope, subject in subjects.items()})


# -- statements -------------------------------------------------------------------------------------------------------

_WITHOUT_WAITING = "SET LOCAL synchronous_commit = off"
_FLUSH = "SELECT pg_logical_emit_message(true, 'cognition', '')"
_columns = ", ".join(SHARE_COLUMNS)
_shares_from = f"SELECT {_columns} FROM"
_RESERVE = (
    f"{_shares_from} budget_reserve_v2(%(tenant)s, %(key)s::uuid, %(attempt)s, %(subjects)s::jsonb,"
    " %(estimate)s::numeric, %(holder)s, %(lease)s)"
)
_SETTLE = f"{_shares_from} budget_settle_v1(%(tenant)s, %(key)s::uuid, %(attempt)s, %(cost)s::numeric)"
_BOOK = (
    f"{_shares_from} budget_book_v1(%(tenant)s, %(key)s::uuid, %(attempt)s, %(subjects)s::jsonb, %(cost)s::numeric,"
    " %(at)s::timestamptz)"
)
_RELEASE = "SELECT budget_release_v1(%(tenant)s, %(key)s::uuid, %(attempt)s)"
_RENEW = (
    "SELECT call_key, attempt FROM budget_renew_v1(%(tenant)s, %(keys)s::uuid[], %(numbers)s::integer[], %(lease)s)"
)
_EXPIRE = "SELECT budget_expire_v1(%(tenant)s)"
_LOOK = f"{_shares_from} budget_look_v1(%(tenant)s, %(subjects)s::jsonb)"

_kept = [name for name in BUDGET_COLUMNS.values() if name != "budget_id"]
_identity = ["tenant", "scope", "subject", "period", "period_length"]
_putting = insert(user_budgets).from_select(
    ["tenant", *_kept, "updated_by"],
    # Evaluates the zone, so that one that PostgreSQL does not know is refused here and not by every later call.
    sa.select(
        *(
            sa.cast(sa.bindparam(name), user_budgets.c[name].type).label(name)
            for name in ("tenant", *_kept, "updated_by")
        )
    ).where(sa.func.timezone(sa.bindparam("timezone"), sa.func.now()).is_not(None)),
)
_PUT = compiled(
    _putting.on_conflict_do_update(
        index_elements=_identity,
        set_={
            **{name: _putting.excluded[name] for name in (*_kept, "updated_by") if name not in _identity},
            "updated_at": sa.func.now(),
        },
    ).returning(user_budgets.c.budget_id)
)
_BUDGETS = compiled(
    sa.select(*(user_budgets.c[name] for name in BUDGET_COLUMNS.values()))
    .where(user_budgets.c.tenant == sa.bindparam("tenant"))
    .order_by(*(user_budgets.c[name] for name in _identity[1:]))
)
# Not the latest time of a change: one that was made before may be committed after it.
_VERSION = (
    "SELECT count(*), bit_xor(hashtextextended(b.budget_id::text || b.updated_at::text, 0))"
    " FROM user_budgets AS b WHERE b.tenant = %(tenant)s"
)
