"""What a store of budgets and a ledger that live together must do."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from functools import partial

import pytest

from cognition.domain.budget_period import period_at
from cognition.domain.ledger import LedgerBatch, LedgerRow, ReportQuery
from cognition.domain.reservation import CallAttempt, Reservation
from cognition.errors import LedgerConflict
from cognition.ports import Ledger
from cognition.resilience.budget_store import BudgetStore
from cognition.testing.contracts.budget_spender import ALICE, DOLLAR, Spender, amounts, outcomes
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

    # -- money that was spent while the store was away ----------------------------------------------------------------

    def test_what_was_spent_without_asking_is_booked_late(self, spender: Spender, ledger: Ledger) -> None:
        """In all budgets that apply, with its row, and once however often it is said."""
        spender.put()
        spender.put(scope="team", subject="support", limit_usd="10")
        spender.put(subject="bob")
        row = a_row("0.25")

        said = [_booked(spender, row) for _ in range(3)]

        assert [{"user": "late", "team": "late"}] * 3 == [outcomes(one) for one in said]
        assert [True, False, False] == [any(share.changed for share in one.shares) for one in said]
        assert [amounts("0.25", "0")] * 2 == [(one.used_usd, one.reserved_usd) for one in spender.store.look(ALICE)]
        assert [Decimal("0.25")] == _costs(ledger)

    def test_what_was_reserved_after_all_is_settled(self, spender: Spender, ledger: Ledger) -> None:
        """Only the answer to the claim was lost."""
        spender.put()
        row = _reserved(spender, a_row("0.25"))
        assert {"user": "settled"} == outcomes(_booked(spender, row))
        assert amounts("0.25", "0") == spender.figures()
        assert [Decimal("0.25")] == _costs(ledger)

    def test_the_period_in_which_it_was_spent_pays(self, spender: Spender, ledger: Ledger) -> None:
        """An outage over midnight does not move money to the next day; a lifetime pays in any case."""
        spender.put(period="daily", limit_usd="0.40")
        spender.put()
        yesterday = spender.standing_of("daily").period_start - timedelta(hours=1)
        row = a_row("0.35", created_at=yesterday)

        booked = {share.standing.period: share for share in _booked(spender, row).shares}

        assert yesterday in period_at(replace(DOLLAR, period="daily"), booked["daily"].standing.period_start)
        assert Decimal("0.35") == booked["daily"].standing.used_usd
        assert amounts("0", "0.35") == (
            spender.standing_of("daily").used_usd, spender.standing_of("lifetime").used_usd
        )  # fmt: skip
        assert [Decimal("0.35")] == _costs(ledger)

    def test_a_late_booking_alerts(self, spender: Spender) -> None:
        """Once: the limit was reached, whenever somebody learns of it."""
        spender.put()
        row = a_row("0.90")
        assert [[Decimal("0.8")], []] == [
            [one.threshold for one in _booked(spender, row).crossings] for _ in range(2)
        ]  # fmt: skip

    def test_an_unknown_price_books_the_ceiling_or_nothing(self, spender: Spender, ledger: Ledger) -> None:
        """As each budget has it; the row says that nobody knows."""
        spender.put(on_unknown_price="ceiling", price_ceiling_usd="0.40")
        spender.put(scope="team", subject="support", on_unknown_price="allow")
        booked = _booked(spender, a_row(None))
        assert {"user": Decimal("0.4"), "team": Decimal(0)} == {
            share.standing.scope: share.settled_usd for share in booked.shares
        }
        (line,) = ledger.report(ReportQuery(tenant="acme"))
        assert (1, 0) == (line.unpriced, line.cost_usd)

    def test_where_nothing_limits_the_call_the_row_is_written(self, spender: Spender, ledger: Ledger) -> None:
        """And nothing else."""
        assert () == _booked(spender, a_row("0.25")).shares
        assert [Decimal("0.25")] == _costs(ledger)

    def test_the_same_booking_by_many_at_once_is_one(self, spender: Spender, ledger: Ledger) -> None:
        """Two processes may hold the same row, after a restart in the middle of a replay."""
        spender.put()
        spender.put(scope="team", subject="support", limit_usd="10")
        row = a_row("0.01")
        with ThreadPoolExecutor(8) as threads:
            said = list(threads.map(partial(_booked, spender), [row] * 32))
        assert 1 == sum(any(share.changed for share in one.shares) for one in said)
        assert [Decimal("0.01")] * 2 == [one.used_usd for one in spender.store.look(ALICE)]
        assert [Decimal("0.01")] == _costs(ledger)

    def test_a_conflict_books_nothing_late_either(self, spender: Spender, ledger: Ledger) -> None:
        """Neither the row nor the money."""
        spender.put()
        row = a_row("0.25")
        ledger.record(LedgerBatch(rows=[row]))
        with pytest.raises(LedgerConflict):
            _booked(spender, replace(row, cost=None))
        assert amounts("0", "0") == spender.figures()


def _booked(spender: Spender, row: LedgerRow) -> Reservation:
    cost = row.cost.usd if row.cost else None
    return spender.store.book(_attempt(row), ALICE, cost, row.created_at, LedgerBatch(rows=[row]))


def _reserved(spender: Spender, row: LedgerRow) -> LedgerRow:
    assert spender.reserve("0.5", _attempt(row)).admitted
    return row


def _attempt(row: LedgerRow) -> CallAttempt:
    return CallAttempt(row.call_key, row.attempt)


def _costs(ledger: Ledger) -> list[Decimal]:
    return [line.cost_usd for line in ledger.report(ReportQuery(tenant="acme"))]
