"""The ledger in PostgreSQL: rows are added once, rollups grow in the same transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import sqlalchemy as sa
from psycopg2 import errors

from cognition.adapters.postgres import reports
from cognition.adapters.postgres.batch import Row, bind, storable
from cognition.adapters.postgres.connection import STORE, fetch, ping, transaction
from cognition.adapters.postgres.ledger_statements import (
    ADD_ABSENT_ROWS,
    ADD_ACCESSES,
    ADD_COUNTS,
    ADD_ROWS,
    FIND_CONFLICT,
)
from cognition.adapters.postgres.rollups import totals
from cognition.domain.entry import Address
from cognition.domain.ledger import BookedCall, LayerStats, LedgerBatch, LedgerRow, ReportLine, ReportQuery, hour_of
from cognition.errors import LedgerConflict


class PostgresLedger:
    """The ledger, on PostgreSQL."""

    name = STORE

    def __init__(self, engine: sa.Engine) -> None:
        """Use an engine.

        Args:
            engine: From `connect`.
        """
        self._engine = engine

    def record(self, batch: LedgerBatch) -> None:
        """Write a batch in one transaction; rows that already stand there are skipped.

        When it returns, the batch has reached the disk. All processes lock in one order (rows, counts, entries, each by
        its key), so that none waits for another in a circle.

        Raises:
            CacheUnavailable: The store did not answer; the same batch may be written again.
            LedgerConflict: A row with other contents already stands under the same call key and attempt.
        """
        written = [_row(row) for row in batch.rows]
        accesses = [_access(address, *access) for address, access in batch.accesses.items()]
        statements = {"rows": ADD_ROWS, "counts": ADD_COUNTS, "accesses": ADD_ACCESSES}
        given = {"rows": written, "counts": totals(batch.counts, batch.rows), "accesses": accesses}
        parameters = {name: bind(rows) for name, rows in given.items() if rows}
        if not parameters:
            return
        try:
            fetch(self._engine, "; ".join(statements[name] for name in parameters), parameters, isolated=True)
        except errors.UniqueViolation:
            # Rare: the answer to an earlier commit was lost, or two calls have one id. Nothing was written.
            self._record_the_rest(batch, written, parameters)

    def _record_the_rest(self, batch: LedgerBatch, written: Sequence[Row], parameters: Mapping[str, str]) -> None:
        """Write what does not stand there yet; totals grow by that alone."""
        with transaction(self._engine, limited=True) as connection:
            added = {
                (tenant, str(key), attempt)
                for tenant, key, attempt in connection.exec_driver_sql(ADD_ABSENT_ROWS, parameters)
            }
            for call_key, attempt in connection.exec_driver_sql(FIND_CONFLICT, parameters):
                raise LedgerConflict(
                    f"Another ledger row stands under call {call_key}, attempt {attempt};"
                    " give each call a request id of its own."
                )
            new = [row for row, as_written in zip(batch.rows, written, strict=True) if _identity(as_written) in added]
            if growth := totals(batch.counts, new):
                connection.exec_driver_sql(ADD_COUNTS, {"counts": bind(growth)})
            if batch.accesses:
                connection.exec_driver_sql(ADD_ACCESSES, parameters)

    def find(self, tenant: str, request_id: str) -> BookedCall | None:
        """Return where one call's answer lives in the cache, or None when it was never booked."""
        return reports.find(self._engine, tenant, request_id)

    def report(self, query: ReportQuery) -> list[ReportLine]:
        """Return sums over the ledger, dearest group first."""
        return reports.report(self._engine, query)

    def stats(self, tenant: str, window: timedelta, now: datetime) -> list[LayerStats]:
        """Return how each layer served during a window that ends now; its oldest hour is counted whole."""
        return reports.stats(self._engine, tenant, hour_of(now - window), now)

    def ping(self) -> None:
        """Return when the server answers."""
        ping(self._engine)


def _identity(written: Row) -> tuple[str, str, int]:
    return written["tenant"], written["call_key"], written["attempt"]


def _row(row: LedgerRow) -> Row:
    who, usage, cost = row.attribution, row.usage, row.cost
    return {
        "tenant": row.tenant,
        "call_key": str(row.call_key),
        "attempt": row.attempt,
        "request_id": row.request_id,
        "request_key": row.request_key,
        "payload_hash": row.payload_hash,
        "status": row.status,
        "user_id": _label(who.user),
        "team": _label(who.team),
        "workflow_id": _label(who.workflow),
        "deployment_id": _label(who.deployment_id),
        "flow_run_id": _label(who.flow_run_id),
        "root_flow_run_id": _label(who.root_flow_run_id),
        "task_run_id": _label(who.task_run_id),
        "task_name": _label(who.task_name),
        "tags": [storable(tag) for tag in who.tags],
        "namespace": row.namespace,
        "provider": row.provider,
        "model": row.model,
        "requested_model": row.requested_model,
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "cached_tokens": usage.cache_read_tokens,
        "cache_write_tokens": usage.cache_write_tokens,
        "reasoning_tokens": usage.output_reasoning_tokens or usage.details.get("reasoning_tokens", 0),
        "cost_usd": cost.usd if cost else None,
        "saved_usd": row.saved_usd,
        "cache_layer": row.layer.value,
        "price_source": cost.source if cost else None,
        "price_version": cost.version if cost else None,
        "rates": dict(cost.rates) if cost else None,
        "priced_at": row.created_at if cost else None,
        "latency_ms": row.latency_ms,
        "error": _label(row.error),
        "created_at": row.created_at,
    }


def _access(address: Address, times: int, last: datetime) -> Row:
    return {"tenant": address.tenant, "key": address.key, "access_count": times, "last_accessed_at": last}


def _label(text: str | None) -> str | None:
    return None if text is None else storable(text)
