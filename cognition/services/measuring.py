"""Reads what monitoring sees, one thing after the other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from cognition.domain.budget_alert import AlertState
from cognition.domain.measured import Measured, ServedTotal
from cognition.errors import ConfigurationError
from cognition.resilience.spool import Spool
from cognition.services.breaker_control import BreakerControl
from cognition.services.budget_control import BudgetControl

_MOST_ALERTS: Final = 1000
_UNRESOLVED: Final[tuple[AlertState, ...]] = ("open", "acknowledged")


class TotalsStore(Protocol):
    """The rollups, as far as monitoring needs them; see `cognition.adapters.postgres.report_store`."""

    def served_totals(self, tenant: str) -> list[ServedTotal]:
        """Return what each layer did for the calls of each model, since the first of them."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuringParts:
    """What is read.

    Attributes:
        totals: The rollups; None where nothing adds up.
        budgets: The budgets of the tenant.
        breakers: The breakers of the tenant.
        spool: What waits on this machine.
        tenant: Whose.
    """

    totals: TotalsStore | None
    budgets: BudgetControl
    breakers: BreakerControl
    spool: Spool
    tenant: str


def measure(parts: MeasuringParts) -> Measured:
    """Return what monitoring sees now.

    Raises:
        ConfigurationError: Nothing is kept in PostgreSQL.
        CacheUnavailable: PostgreSQL does not answer.
    """
    if parts.totals is None:
        raise ConfigurationError("Only PostgreSQL keeps totals; set COGNITION_DATABASE_URL or leave it out.")
    alerts = Counter(alert.state for alert in parts.budgets.alerts(limit=_MOST_ALERTS))
    return Measured(
        served=_ordered(parts.totals.served_totals(parts.tenant)),
        budgets=parts.budgets.status(),
        breakers=parts.breakers.list(),
        # A state that nobody is in is told as zero, so that a graph does not end where an alert did.
        alerts={one: alerts[one] for one in _UNRESOLVED},
        spooled=parts.spool.state(),
    )


def _ordered(served: Sequence[ServedTotal]) -> list[ServedTotal]:
    """Return what was used most first: of very many models those are told apart."""
    return sorted(served, key=lambda one: (-(one.hits + one.misses), one.layer, one.model))
