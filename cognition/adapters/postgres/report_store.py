"""What reports read from PostgreSQL: sums of the ledger and of the rollups, never their rows."""

from __future__ import annotations

import sqlalchemy as sa

from cognition.adapters.postgres import hit_rates
from cognition.adapters.postgres.charges import charges
from cognition.domain.charges import ChargeQuery, Charges
from cognition.domain.hit_rate import Embedded, LookUps, Missed, Refused, Windows
from cognition.domain.measured import ServedTotal


class PostgresReports:
    """Sums of the ledger, on PostgreSQL."""

    def __init__(self, engine: sa.Engine) -> None:
        """Use an engine.

        Args:
            engine: From `connect`.
        """
        self._engine = engine

    def charges(self, query: ChargeQuery) -> Charges:
        """Return the sums of the whole and of its parts, for each cut, of one moment."""
        return charges(self._engine, query)

    def look_ups(self, windows: Windows) -> list[LookUps]:
        """Return how look-ups ended in both windows: by layer, and by namespace and by model in each layer."""
        return hit_rates.look_ups(self._engine, windows)

    def misses(self, windows: Windows, limit: int) -> list[Missed]:
        """Return the requests that the provider was asked for most often in the window, none of them only once."""
        return hit_rates.misses(self._engine, windows, limit)

    def refusals(self, windows: Windows, limit: int) -> list[Refused]:
        """Return where L3 refused most in the window."""
        return hit_rates.refusals(self._engine, windows, limit)

    def judged(self, tenant: str) -> list[tuple[str, str]]:
        """Return the namespaces in which answers of L3 were judged, with the fingerprint of the embedder."""
        return hit_rates.judged(self._engine, tenant)

    def embedded(self, windows: Windows) -> list[Embedded]:
        """Return what embedders had to do since the window began."""
        return hit_rates.embedded(self._engine, windows)

    def served_totals(self, tenant: str) -> list[ServedTotal]:
        """Return what each layer did for the calls of each model, since the first of them."""
        return hit_rates.served_totals(self._engine, tenant)
