"""What an adapter must do, as test classes: inherit one, give it the fixtures it names, and pytest runs its tests.

    from cognition.testing.contracts import FastStoreContract

    class TestMyStore(FastStoreContract):
        @pytest.fixture
        def store(self, clock): return MyStore(clock)

Needs pytest and hypothesis.
"""

import pytest

# Before the modules are imported: only then does a failing assertion show the values it compared.
pytest.register_assert_rewrite(
    *(
        f"{__name__}.{module}"
        for module in (
            "breaker",
            "breaker_orders",
            "breaker_teller",
            "budget",
            "budget_admin",
            "budget_ledger",
            "budget_rules",
            "budget_spender",
            "budget_upkeep",
            "durable",
            "embedder",
            "entries",
            "fast",
            "leases",
            "ledger",
            "pairs",
            "semantic",
            "semantic_invalidation",
            "verifier",
        )
    )
)

from cognition.testing.contracts.breaker import BreakerStoreContract  # noqa: E402  see above
from cognition.testing.contracts.breaker_orders import BreakerOrdersContract  # noqa: E402
from cognition.testing.contracts.budget import BudgetStoreContract  # noqa: E402
from cognition.testing.contracts.budget_admin import BudgetAdminContract  # noqa: E402
from cognition.testing.contracts.budget_ledger import BudgetLedgerContract  # noqa: E402
from cognition.testing.contracts.budget_rules import BudgetRulesContract  # noqa: E402
from cognition.testing.contracts.budget_upkeep import BudgetUpkeepContract  # noqa: E402
from cognition.testing.contracts.durable import DurableStoreContract  # noqa: E402
from cognition.testing.contracts.embedder import EmbedderContract  # noqa: E402
from cognition.testing.contracts.entries import EntryStoreContract  # noqa: E402
from cognition.testing.contracts.fast import FastStoreContract  # noqa: E402
from cognition.testing.contracts.leases import LeaseStoreContract  # noqa: E402
from cognition.testing.contracts.ledger import LedgerContract  # noqa: E402
from cognition.testing.contracts.pairs import PairStoreContract  # noqa: E402
from cognition.testing.contracts.semantic import SemanticStoreContract  # noqa: E402
from cognition.testing.contracts.semantic_invalidation import SemanticInvalidationContract  # noqa: E402
from cognition.testing.contracts.verifier import VerifierContract  # noqa: E402

__all__ = [
    "BreakerOrdersContract",
    "BreakerStoreContract",
    "BudgetAdminContract",
    "BudgetLedgerContract",
    "BudgetRulesContract",
    "BudgetStoreContract",
    "BudgetUpkeepContract",
    "DurableStoreContract",
    "EmbedderContract",
    "EntryStoreContract",
    "FastStoreContract",
    "LeaseStoreContract",
    "LedgerContract",
    "PairStoreContract",
    "SemanticInvalidationContract",
    "SemanticStoreContract",
    "VerifierContract",
]
