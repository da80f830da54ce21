"""Reports for people who were not there: who pays for what, and how well the cache serves."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from cognition.domain.charges import ChargedTo
from cognition.domain.hit_rate import HitRates
from cognition.errors import ConfigurationError
from cognition.services.chargeback import CUTS, Chargeback, chargeback
from cognition.services.hit_rate import HitRateParts, hit_rates
from cognition.services.ledger_buffer import LedgerBuffer


class Reports:
    """The reports of one tenant; rows of this process that wait are written before each."""

    def __init__(self, parts: HitRateParts | None, buffer: LedgerBuffer, tenant: str) -> None:
        """Report on a tenant.

        Args:
            parts: What adds up; None where nothing does.
            buffer: Holds rows that are not written yet.
            tenant: Whose rows.
        """
        self._parts = parts
        self._buffer = buffer
        self._tenant = tenant

    def costs(
        self, cuts: Sequence[ChargedTo] = CUTS, *, since: datetime | None = None, until: datetime | None = None
    ) -> Chargeback:
        """Return what calls cost and saved, cut along each dimension by itself; each cut adds up to the same total.

        What other processes write meanwhile is in every cut or in none.

        Args:
            cuts: Some of `workflow`, `flow_run`, `task`, `user`, `team`, `model`, `namespace`, `layer`, `day`.
            since: From this time on, or None.
            until: Up to but excluding this time, or None.

        Raises:
            ConfigurationError: A dimension is unknown, a time has no zone, or nothing is kept in PostgreSQL.
            CacheUnavailable: PostgreSQL does not answer.
        """
        return chargeback(self._read().store, self._tenant, cuts, since, until)

    def hit_rate(self, window: timedelta = timedelta(hours=24), *, most: int = 10) -> HitRates:
        """Return how well the cache served, compared with the window before.

        Args:
            window: How far to look back, in whole hours.
            most: How many of the worst misses and refusals are named.

        Raises:
            ConfigurationError: The window is shorter than an hour, or nothing is kept in PostgreSQL.
            CacheUnavailable: PostgreSQL does not answer.
        """
        return hit_rates(self._read(), self._tenant, window, most)

    def _read(self) -> HitRateParts:
        """Return what adds up, after what waits here was written."""
        if self._parts is None:
            raise ConfigurationError("Reports need the ledger in PostgreSQL; set COGNITION_DATABASE_URL.")
        self._buffer.flush()
        return self._parts
