"""Reports for people who were not there: who pays for what."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from cognition.domain.charges import ChargedTo
from cognition.errors import ConfigurationError
from cognition.services.chargeback import CUTS, Chargeback, ChargeStore, chargeback
from cognition.services.ledger_buffer import LedgerBuffer


class Reports:
    """The reports of one tenant."""

    def __init__(self, store: ChargeStore | None, buffer: LedgerBuffer, tenant: str) -> None:
        """Report on a tenant.

        Args:
            store: Adds up what the ledger holds; None where nothing does.
            buffer: Holds rows that are not written yet.
            tenant: Whose rows.
        """
        self._store = store
        self._buffer = buffer
        self._tenant = tenant

    def costs(
        self, cuts: Sequence[ChargedTo] = CUTS, *, since: datetime | None = None, until: datetime | None = None
    ) -> Chargeback:
        """Return what calls cost and saved, cut along each dimension by itself; each cut adds up to the same total.

        Rows of this process that wait are written before; what other processes write meanwhile is in every cut or in
        none.

        Args:
            cuts: Some of `workflow`, `flow_run`, `task`, `user`, `team`, `model`, `namespace`, `layer`, `day`.
            since: From this time on, or None.
            until: Up to but excluding this time, or None.

        Raises:
            ConfigurationError: A dimension is unknown, a time has no zone, or nothing is kept in PostgreSQL.
            CacheUnavailable: PostgreSQL does not answer.
        """
        return chargeback(self._read(), self._tenant, cuts, since, until)

    def _read(self) -> ChargeStore:
        """Return the store, after what waits here was written."""
        if self._store is None:
            raise ConfigurationError("Reports need the ledger in PostgreSQL; set COGNITION_DATABASE_URL.")
        self._buffer.flush()
        return self._store
