"""What reserving and settling need of a store.

A port like those of `cognition.ports`, kept here because the pipeline that uses it lives here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Protocol
from uuid import UUID

from cognition.domain.budget import Budget, Scope
from cognition.domain.ledger import NOTHING, LedgerBatch
from cognition.domain.reservation import CallAttempt, Claim, Reservation, Standing


@dataclass(frozen=True, slots=True)
class Kept:
    """All budgets of a tenant.

    Attributes:
        readable: Those that this release understands, ordered by scope, subject, period and length.
        unreadable: Scope and subject of active ones that it does not: a newer release wrote them, or this machine does
            not know their time zone. They limit calls all the same, because the store decides.
    """

    readable: Sequence[Budget]
    unreadable: frozenset[tuple[str, str]] = frozenset()


class BudgetStore(Protocol):
    """Keeps the budgets of one tenant for all processes; each method is one atomic step on the store's own clock.

    Synchronous and safe to use from any thread; raises `CacheUnavailable` when it does not answer. Everything that is
    said about an attempt may be said again, and changes nothing the second time.
    """

    @property
    def name(self) -> str:
        """Name of the store in messages."""
        ...

    def reserve(self, claim: Claim) -> Reservation:
        """Set money aside in every budget that applies, or in none.

        A claim that was made before is answered with the state of what was set aside then.
        """
        ...

    def settle(self, attempt: CallAttempt, cost_usd: Decimal | None, batch: LedgerBatch = NOTHING) -> Reservation:
        """Book what an attempt cost into the periods in which it was reserved, also when the lease had ended.

        Args:
            attempt: Which one; one that never reserved anything books nothing.
            cost_usd: What it cost; None when nobody knows, which books the estimate.
            batch: Its ledger rows, written in the same transaction; those that stand there already are skipped.

        Raises:
            LedgerConflict: A row with other contents already stands in the ledger; nothing was booked.
        """
        ...

    def book(
        self,
        attempt: CallAttempt,
        subjects: Mapping[Scope, str],
        cost_usd: Decimal | None,
        at: datetime,
        batch: LedgerBatch = NOTHING,
    ) -> Reservation:
        """Book an attempt for which nothing could be set aside, because the store was away, into all that applies.

        An attempt that did set something aside is settled instead.

        Args:
            attempt: Which one.
            subjects: Whose budgets pay.
            cost_usd: What it cost; None when nobody knows, which books a budget's price ceiling, or nothing.
            at: When it was spent; the periods that contained this time pay.
            batch: Its ledger rows, written in the same transaction; those that stand there already are skipped.

        Raises:
            LedgerConflict: A row with other contents already stands in the ledger; nothing was booked.
        """
        ...

    def release(self, attempt: CallAttempt) -> bool:
        """Give back what is set aside for an attempt that cost nothing; return whether anything was."""
        ...

    def renew(self, attempts: Sequence[CallAttempt], lease: timedelta) -> set[CallAttempt]:
        """Prolong leases from now on; return the attempts that still hold money and could be prolonged."""
        ...

    def expire(self) -> int:
        """Give back what ended leases hold, in all budgets; return how many. The next claim does it for its own."""
        ...

    def look(self, subjects: Mapping[Scope, str]) -> list[Standing]:
        """Return how the budgets stand that apply to a call; nothing is set aside."""
        ...

    def put(self, budget: Budget, actor: str) -> UUID:
        """Keep a budget; one of the same scope, subject, period and length is changed, and what was spent stays spent.

        Args:
            budget: What counts from now on.
            actor: Who says so.

        Raises:
            ConfigurationError: The store does not know the time zone.
        """
        ...

    def budgets(self) -> list[Budget]:
        """Return all budgets that can be read, ordered by scope, subject, period and length."""
        ...

    def kept(self) -> Kept:
        """Return all budgets, and whom those limit that cannot be read."""
        ...

    def version(self) -> str:
        """Return what changes whenever a budget does; cheaper than asking for all of them."""
        ...

    def ping(self) -> None:
        """Return when the store answers."""
        ...
