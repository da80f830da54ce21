"""What the ledger says."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import get_args
from uuid import UUID

from cognition.domain.ledger import Dimension, ReportLine, ReportQuery
from cognition.errors import ConfigurationError
from cognition.ports import Ledger
from cognition.services.ledger_buffer import LedgerBuffer


class LedgerReports:
    """The ledger of one tenant."""

    def __init__(self, ledger: Ledger, buffer: LedgerBuffer, tenant: str) -> None:
        """Report on a tenant.

        Args:
            ledger: Keeps the rows.
            buffer: Holds rows that are not written yet.
            tenant: Whose rows.
        """
        self._ledger = ledger
        self._buffer = buffer
        self._tenant = tenant

    def report(
        self,
        group_by: Sequence[Dimension] = ("workflow", "model"),
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        flow_run_id: str | None = None,
        request_id: str | None = None,
    ) -> list[ReportLine]:
        """Return sums over the ledger, dearest group first; rows of this process that wait are written before.

        Args:
            group_by: Dimensions, in order.
            since: From this time on, or None.
            until: Up to but excluding this time, or None.
            flow_run_id: Only one flow run and the subflows below it, or None.
            request_id: Only the rows of one call, as in `Completion.request_id`, or None.

        Raises:
            ConfigurationError: A dimension is unknown, or the call's id is none.
        """
        known = get_args(Dimension)
        unknown = next((dimension for dimension in group_by if dimension not in known), None)
        if unknown is not None:
            raise ConfigurationError(f"A report cannot be grouped by {unknown!r}; use some of {', '.join(known)}.")
        self.flush()
        query = ReportQuery(
            tenant=self._tenant,
            group_by=tuple(group_by),
            since=since,
            until=until,
            flow_run_id=flow_run_id,
            request_id=None if request_id is None else _id_of(request_id),
        )
        return self._ledger.report(query)

    def flush(self) -> bool:
        """Write rows that wait; return whether nothing waits any more."""
        return self._buffer.flush()


def _id_of(request_id: str) -> str:
    try:
        return UUID(request_id).hex
    except ValueError:
        raise ConfigurationError(f"{request_id!r} is no call's id; pass the request_id of a completion.") from None
