"""The memory adapters keep the contracts, so tests that use them tell the truth about the real stores."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from cognition.adapters.memory import (
    MemoryBreakers,
    MemoryBudgetAdmin,
    MemoryBudgets,
    MemoryDurableEntries,
    MemoryEntries,
    MemoryLeases,
    MemoryLedger,
    MemoryPairs,
    MemorySemanticEntries,
)
from cognition.testing.clock import FakeClock
from cognition.testing.contracts import (
    BreakerOrdersContract,
    BreakerStoreContract,
    BudgetAdminContract,
    BudgetLedgerContract,
    BudgetRulesContract,
    BudgetStoreContract,
    BudgetUpkeepContract,
    DurableStoreContract,
    FastStoreContract,
    LeaseStoreContract,
    LedgerContract,
    PairStoreContract,
    SemanticInvalidationContract,
    SemanticStoreContract,
    semantic,
)
from cognition.testing.contracts.budget_admin import Later
from cognition.testing.contracts.budget_upkeep import Miscount
from cognition.testing.contracts.entries import Plant
from cognition.testing.contracts.leases import Wait
from cognition.testing.contracts.samples import NOON


class TestFastEntries(FastStoreContract):
    """L1 in memory."""

    @pytest.fixture
    def store(self, clock: FakeClock) -> MemoryEntries:
        """Return an empty L1."""
        return MemoryEntries(clock)

    @pytest.fixture
    def plant(self, store: MemoryEntries) -> Plant:
        """Return how to put any bytes into it."""
        return store.plant


class TestDurableEntries(DurableStoreContract):
    """L2 in memory."""

    @pytest.fixture
    def store(self) -> MemoryDurableEntries:
        """Return an empty L2."""
        return MemoryDurableEntries(lambda: NOON)

    @pytest.fixture
    def plant(self, store: MemoryDurableEntries) -> Plant:
        """Return how to put any bytes into it."""
        return store.plant


class TestLeases(LeaseStoreContract):
    """Leases in memory."""

    @pytest.fixture
    def leases(self, clock: FakeClock) -> MemoryLeases:
        """Return a store without leases."""
        return MemoryLeases(clock)

    @pytest.fixture
    def wait(self, clock: FakeClock) -> Wait:
        """Return how to let time pass."""

        def advance(seconds: float) -> None:
            clock.advance(timedelta(seconds=seconds))

        return advance


class TestBreakers(BreakerStoreContract, BreakerOrdersContract):
    """Shared breakers in memory."""

    @pytest.fixture
    def breakers(self, clock: FakeClock) -> MemoryBreakers:
        """Return a store without breakers."""
        return MemoryBreakers(clock)

    @pytest.fixture
    def wait(self, clock: FakeClock) -> Wait:
        """Return how to let time pass."""

        def advance(seconds: float) -> None:
            clock.advance(timedelta(seconds=seconds))

        return advance


class TestBudgets(BudgetStoreContract, BudgetRulesContract, BudgetLedgerContract):
    """Budgets in memory."""

    @pytest.fixture
    def ledger(self) -> MemoryLedger:
        """Return an empty ledger."""
        return MemoryLedger()

    @pytest.fixture
    def budgets(self, clock: FakeClock, ledger: MemoryLedger) -> MemoryBudgets:
        """Return a store without budgets."""
        return MemoryBudgets(clock, ledger)

    @pytest.fixture
    def wait(self, clock: FakeClock) -> Wait:
        """Return how to let time pass."""

        def advance(seconds: float) -> None:
            clock.advance(timedelta(seconds=seconds))

        return advance


class TestBudgetAdmin(BudgetAdminContract, BudgetUpkeepContract):
    """Budgets in memory are administered."""

    @pytest.fixture
    def ledger(self) -> MemoryLedger:
        """Return an empty ledger."""
        return MemoryLedger()

    @pytest.fixture
    def budgets(self, clock: FakeClock, ledger: MemoryLedger) -> MemoryBudgets:
        """Return a store without budgets."""
        return MemoryBudgets(clock, ledger)

    @pytest.fixture
    def admin(self, budgets: MemoryBudgets, ledger: MemoryLedger) -> MemoryBudgetAdmin:
        """Return what administers it."""
        return MemoryBudgetAdmin(budgets, ledger)

    @pytest.fixture
    def later(self, clock: FakeClock) -> Later:
        """Return how to let time pass."""

        def advance(duration: timedelta) -> None:
            clock.advance(duration)

        return advance

    @pytest.fixture
    def miscount(self, budgets: MemoryBudgets) -> Miscount:
        """Return how to add to a figure of every counter."""

        def add(figure: str, usd: Decimal) -> None:
            for counters in budgets.books.counters.values():
                for one in counters:
                    setattr(one, figure, getattr(one, figure) + usd)

        return add


class TestLedger(LedgerContract):
    """The ledger in memory."""

    @pytest.fixture
    def ledger(self) -> MemoryLedger:
        """Return an empty ledger."""
        return MemoryLedger()


class TestSemanticEntries(SemanticStoreContract, SemanticInvalidationContract):
    """L3 in memory."""

    @pytest.fixture
    def durable(self) -> MemoryDurableEntries:
        """Return an empty L2."""
        return MemoryDurableEntries()

    @pytest.fixture
    def pairs(self) -> MemoryPairs:
        """Return a store without pairs."""
        return MemoryPairs()

    @pytest.fixture
    def store(self, clock: FakeClock, durable: MemoryDurableEntries, pairs: MemoryPairs) -> MemorySemanticEntries:
        """Return an empty L3."""
        return MemorySemanticEntries(clock, durable, pairs)

    @pytest.fixture
    def plant(self, store: MemorySemanticEntries) -> semantic.Plant:
        """Return how to put any bytes into it."""
        return store.plant


class TestPairs(PairStoreContract):
    """Pairs in memory."""

    @pytest.fixture
    def pairs(self) -> MemoryPairs:
        """Return a store without pairs."""
        return MemoryPairs()
