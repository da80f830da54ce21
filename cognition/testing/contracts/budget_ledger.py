"""What a store of budgets and a ledger that live together must do."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from cognition.domain.ledger import LedgerBatch, LedgerRow, ReportQuery
from cognition.domain.reservation import CallAttempt
from cognition.errors import LedgerConflict
from cognition.ports import Ledger
from cognition.resilience.budget_store import BudgetStore
from cognition.testing.contracts.budget_spender import Spender, amounts, outcomes
from cognition.testing.contracts.samples import a_row


class BudgetLedgerContract:
    """Fixtures to give: `budgets` is a store without budgets, `ledger` an empty ledger of the same place."""

    @pytest.fixture
    def spender(self, budgets: BudgetStore) -> Spender:
        """Return somebody who spends money."""
        return Spender(budgets)

    def test_a_settlement_writes_its_row(self, spender: Spender, ledger: Ledger) -> None:
        """The counter and the ledger agree."""
        spender.put()
        row = _reserved(spender, a_row("0.123456789"))
        spender.store.settle(_attempt(row), Decimal("0.123456789"), LedgerBatch(rows=[row]))
        assert amounts("0.123456789", "0") == spender.figures()
        assert [Decimal("0.123456789")] == _costs(ledger)

    def test_a_row_is_written_where_nothing_limits_the_call_too(self, spender: Spender, ledger: Ledger) -> None:
        """There is nothing to book, and still something to write down."""
        row = a_row("0.25")
        assert () == spender.store.settle(_attempt(row), Decimal("0.25"), LedgerBatch(rows=[row])).shares
        assert [Decimal("0.25")] == _costs(ledger)

    def test_a_repeated_settlement_writes_one_row(self, spender: Spender, ledger: Ledger) -> None:
        """The answer to the first was lost."""
        spender.put()
        row = _reserved(spender, a_row("0.25"))
        for _ in range(3):
            spender.store.settle(_attempt(row), Decimal("0.25"), LedgerBatch(rows=[row]))
        assert amounts("0.25", "0") == spender.figures()
        assert [Decimal("0.25")] == _costs(ledger)

    def test_a_row_that_stands_there_already_does_not_keep_money_from_being_booked(
        self, spender: Spender, ledger: Ledger
    ) -> None:
        """It was replayed from a spool before its settlement arrived."""
        spender.put()
        row = _reserved(spender, a_row("0.25"))
        ledger.record(LedgerBatch(rows=[row]))
        settled = spender.store.settle(_attempt(row), Decimal("0.25"), LedgerBatch(rows=[row]))
        assert {"user": "settled"} == outcomes(settled)
        assert amounts("0.25", "0") == spender.figures()
        assert [Decimal("0.25")] == _costs(ledger)

    def test_a_conflict_books_nothing(self, spender: Spender, ledger: Ledger) -> None:
        """Neither the row nor the money."""
        spender.put()
        row = _reserved(spender, a_row("0.25"))
        ledger.record(LedgerBatch(rows=[row]))
        with pytest.raises(LedgerConflict):
            spender.store.settle(_attempt(row), Decimal("0.5"), LedgerBatch(rows=[replace(row, cost=None)]))
        assert amounts("0", "0.5") == spender.figures()
        assert [Decimal("0.25")] == _costs(ledger)


def _reserved(spender: Spender, row: LedgerRow) -> LedgerRow:
    assert spender.reserve("0.5", _attempt(row)).admitted
    return row


def _attempt(row: LedgerRow) -> CallAttempt:
    return CallAttempt(row.call_key, row.attempt)


def _costs(ledger: Ledger) -> list[Decimal]:
    return [line.cost_usd for line in ledger.report(ReportQuery(tenant="acme"))]
