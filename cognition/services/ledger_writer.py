"""Writes to the ledger and books with the budgets, and sorts out what goes wrong: some waits, some never will be."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

from cognition.domain.ledger import LedgerBatch
from cognition.domain.reservation import Reservation
from cognition.domain.settlement import Settlement
from cognition.errors import CacheUnavailable, ConfigurationError, LedgerConflict
from cognition.events import BudgetCrossed, Emit, LedgerDelayed
from cognition.ports import Ledger, PairStore
from cognition.resilience.budget_store import BudgetStore
from cognition.resilience.spool import Spool
from cognition.resilience.store_breaker import StoreBreaker

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Books:
    """Where everything is written, all of it in one database, and where it waits for that.

    Attributes:
        ledger: Takes rows.
        budgets: Take what attempts cost; they write its row in the same transaction.
        spool: Keeps what the others do not take now.
        pairs: Take pairs of similar questions, None when no embedder is set.
    """

    ledger: Ledger
    budgets: BudgetStore
    spool: Spool
    pairs: PairStore | None = None


class LedgerWriter:
    """Writes what can be written now.

    What must wait is said by the answer. What can never be written holds up nothing else: it is logged and kept aside.
    """

    def __init__(self, books: Books, breaker: StoreBreaker, emit: Emit) -> None:
        """Write into books.

        Args:
            books: Where everything is written.
            breaker: Leaves their store alone while it is down.
            emit: Told when something must wait, and when a replayed settlement reaches a budget's threshold.
        """
        self._books = books
        self._breaker = breaker
        self._emit = emit

    def write(self, batch: LedgerBatch) -> bool:
        """Write a batch; return False when it must wait."""
        try:
            # First, because a pair that is noted twice changes nothing, and look-up counts would grow twice.
            if batch.pairs and self._books.pairs is not None:
                self._books.pairs.note(batch.pairs)
            self._books.ledger.record(batch)
        except (CacheUnavailable, ConfigurationError) as error:
            self._delayed(len(batch.rows), error)
            return False
        except Exception:  # noqa: BLE001  one bad row must not keep the money of the others out
            return self._write_parts(batch)
        return True

    def book(self, settlement: Settlement) -> Reservation | None:
        """Book what an attempt cost, and write its row; return what the budgets booked, or None when it must wait."""
        row, budgets, batch = settlement.row, self._books.budgets, LedgerBatch(rows=[settlement.row])
        attempt, cost = settlement.attempt, settlement.cost_usd
        try:
            if settlement.subjects:
                return budgets.book(attempt, settlement.subjects, cost, row.created_at, batch)
            return budgets.settle(attempt, cost, batch)
        except (CacheUnavailable, ConfigurationError) as error:
            # Functions or rights that the budgets lack are given to them later; with only its row in the ledger, nobody
            # would book the attempt then.
            self._delayed(1, error)
            return None
        except LedgerConflict:
            return Reservation() if self._keep_aside(settlement) else None
        except Exception:  # noqa: BLE001  whatever the budgets have against it: that it was spent must be written down
            _log.exception("The budgets cannot book an attempt; its ledger row is written without them.")
            return Reservation() if self.write(batch) else None

    def take(self, settlements: Sequence[Settlement]) -> bool:
        """Book settlements that have waited; return False when one of them must wait on, and with it all."""
        rows = [one.row for one in settlements if not (one.held or one.subjects)]
        if rows and not self.write(LedgerBatch(rows=rows)):
            return False
        for one in settlements:
            if one.held or one.subjects:
                booked = self.book(one)
                if booked is None:
                    return False
                for crossing in booked.crossings:
                    self._emit(BudgetCrossed(one.row.tenant, crossing))
        return True

    def _write_parts(self, batch: LedgerBatch) -> bool:
        """Write the rows that can be written; look-up counts go last, so that nothing is counted twice on the way."""
        if batch.rows and (batch.counts or batch.accesses or batch.pairs):
            return self.write(LedgerBatch(rows=batch.rows)) and self.write(replace(batch, rows=()))
        if len(batch.rows) > 1:
            middle = len(batch.rows) // 2
            parts = (batch.rows[:middle], batch.rows[middle:])
            return all(self.write(LedgerBatch(rows=rows)) for rows in parts)
        if batch.rows:
            return self._keep_aside(Settlement(row=batch.rows[0]))
        _log.exception("A look-up count cannot be written and is given up.")
        return True

    def _keep_aside(self, settlement: Settlement) -> bool:
        """Keep aside what can never be written; the caller handles the error."""
        _log.exception("A ledger row cannot be written and is kept aside.")
        try:
            self._books.spool.reject([settlement])
        except CacheUnavailable as error:
            self._emit(LedgerDelayed(1, str(error)))
            return False
        return True

    def _delayed(self, rows: int, error: CacheUnavailable | ConfigurationError) -> None:
        if isinstance(error, CacheUnavailable):
            self._breaker.trip(error)
        self._emit(LedgerDelayed(rows, str(error)))
