"""A batch of the ledger as statements and parameters, for whichever transaction it is written in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Self

import sqlalchemy as sa

from cognition.adapters.postgres.batch import Row, bind, storable
from cognition.adapters.postgres.ledger_statements import (
    ADD_ABSENT_ROWS,
    ADD_ACCESSES,
    ADD_COUNTS,
    ADD_ROWS,
    FIND_CONFLICT,
)
from cognition.adapters.postgres.rollups import totals
from cognition.domain.entry import Address
from cognition.domain.ledger import LedgerBatch, LedgerRow
from cognition.errors import LedgerConflict

_STATEMENTS = {"rows": ADD_ROWS, "counts": ADD_COUNTS, "accesses": ADD_ACCESSES}


@dataclass(frozen=True, slots=True)
class Writing:
    """What writes a batch.

    Attributes:
        batch: The batch.
        written: Its rows as PostgreSQL gets them.
        parameters: Of the statement.
    """

    batch: LedgerBatch
    written: Sequence[Row]
    parameters: Mapping[str, str]

    @classmethod
    def of(cls, batch: LedgerBatch) -> Self:
        """Return what writes a batch."""
        written = [_row(row) for row in batch.rows]
        accesses = [_access(address, *access) for address, access in batch.accesses.items()]
        given = {"rows": written, "counts": totals(batch.counts, batch.rows), "accesses": accesses}
        return cls(batch, written, {name: bind(rows) for name, rows in given.items() if rows})

    @property
    def statement(self) -> str:
        """Writes it, and fails when one of its rows stands there already; empty when there is nothing to write."""
        return "; ".join(_STATEMENTS[name] for name in self.parameters)

    def add_the_rest(self, connection: sa.Connection) -> None:
        """Write what does not stand there yet; totals grow by that alone.

        Args:
            connection: In a transaction.

        Raises:
            LedgerConflict: A row with other contents already stands under the same call key and attempt.
        """
        added = {
            (tenant, str(key), attempt)
            for tenant, key, attempt in connection.exec_driver_sql(ADD_ABSENT_ROWS, dict(self.parameters))
        }
        for call_key, attempt in connection.exec_driver_sql(FIND_CONFLICT, dict(self.parameters)):
            raise LedgerConflict(
                f"Another ledger row stands under call {call_key}, attempt {attempt};"
                " give each call a request id of its own."
            )
        new = [
            row for row, as_written in zip(self.batch.rows, self.written, strict=True) if _identity(as_written) in added
        ]
        if growth := totals(self.batch.counts, new):
            connection.exec_driver_sql(ADD_COUNTS, {"counts": bind(growth)})
        if self.batch.accesses:
            connection.exec_driver_sql(ADD_ACCESSES, dict(self.parameters))


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
