"""A ledger buffer with books and a spool in memory, to be taken down and looked into."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import TypeVar

from cognition.adapters.memory import MemoryBudgets, MemorySpool
from cognition.adapters.spool.lines import line_of
from cognition.domain.budget import Budget, Scope
from cognition.domain.entry import Layer
from cognition.domain.ledger import NOTHING, LedgerBatch, LedgerRow
from cognition.domain.reservation import CallAttempt, Claim, Reservation
from cognition.domain.settlement import Settlement
from cognition.events import (
    Event,
)
from cognition.resilience.store_breaker import StoreBreaker
from cognition.services.ledger_buffer import LedgerBuffer
from cognition.services.ledger_writer import Books
from cognition.testing.clock import FakeClock
from cognition.testing.contracts.samples import a_row
from tests.unit.failing_ledger import FailingLedger

T = TypeVar("T")

ALICE: dict[Scope, str] = {"user": "alice"}
DOLLAR = Budget(scope="user", subject="alice", limit_usd="1", period="lifetime")
A_LINE = len(line_of(Settlement(row=a_row(request_id="second"))))


class ShakyBudgets(MemoryBudgets):
    """Budgets that fail when they are told to.

    Attributes:
        error: What they fail with; None to go on.
        after: How many settlements they take before.
    """

    error: Exception | None = None
    after = 0

    def settle(self, attempt: CallAttempt, cost_usd: Decimal | None, batch: LedgerBatch = NOTHING) -> Reservation:
        """Book, or fail."""
        if self.error is not None and not self.after:
            raise self.error
        self.after -= 1
        return super().settle(attempt, cost_usd, batch)


@dataclass
class Desk:
    """A buffer that is flushed by the test alone, and everything around it.

    Attributes:
        spool: What it keeps rows in.
        ledger: What it writes to.
        clock: Whose time it is.
        events: What it emitted.
    """

    spool: MemorySpool = field(default_factory=MemorySpool)
    ledger: FailingLedger = field(default_factory=FailingLedger)
    clock: FakeClock = field(default_factory=FakeClock)
    events: list[Event] = field(default_factory=list[Event])

    def __post_init__(self) -> None:
        """Put them together; the breaker stays open once it was tripped."""
        self.breaker = StoreBreaker("postgres", self.ledger.ping, self.events.append)
        self.breaker.close()
        self.budgets = ShakyBudgets(self.clock, self.ledger)
        books = Books(self.ledger, self.budgets, self.spool)
        self.buffer = LedgerBuffer(books, self.breaker, self.clock, self.events.append)

    def go_down(self) -> None:
        """Let the ledger answer nothing."""
        self.ledger.down = True

    def recover(self) -> None:
        """Let the ledger answer again, and the breaker know."""
        self.ledger.down = False
        self.breaker.forget()
        self.breaker.close()

    def seen(self, kind: type[T]) -> list[T]:
        """Return the events of a kind."""
        return [event for event in self.events if isinstance(event, kind)]

    def hold(self, usd: str) -> LedgerRow:
        """Set money aside for an attempt, and return the row of it that cost half of that."""
        row = a_row(str(Decimal(usd) / 2))
        attempt = CallAttempt(row.call_key, row.attempt)
        claim = Claim(attempt=attempt, subjects=ALICE, estimate_usd=Decimal(usd), holder="here")
        assert self.budgets.reserve(claim).admitted
        return row

    def figures(self) -> tuple[Decimal, Decimal]:
        """Return what Alice used and what is reserved for her."""
        (standing,) = self.budgets.look(ALICE)
        return standing.used_usd, standing.reserved_usd


def small_desk(lines: int) -> Desk:
    """Return a buffer whose spool takes so many rows."""
    return Desk(spool=MemorySpool(int(A_LINE * (lines + 0.1))))


def rows(*ids: str) -> list[LedgerRow]:
    """Return rows of attempts with these request ids."""
    return [a_row(request_id=name) for name in ids]


def hits(*ids: str) -> list[LedgerRow]:
    """Return rows of hits with these request ids."""
    return [replace(row, layer=Layer.L1, status="cache_hit", attempt=0) for row in rows(*ids)]


def spooled(desk: Desk) -> list[str]:
    """Return whose rows wait in the spool."""
    found: list[str] = []

    def look(settlements: Sequence[Settlement]) -> bool:
        found.extend(one.row.request_id for one in settlements)
        return False

    desk.spool.replay(look)
    return found
