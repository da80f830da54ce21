"""Everything the engine needs, in this process: for tests, and for L1 where there is no Redis."""

from cognition.adapters.memory.breakers import MemoryBreakers
from cognition.adapters.memory.budget_admin import MemoryBudgetAdmin
from cognition.adapters.memory.budgets import MemoryBudgets
from cognition.adapters.memory.durable import MemoryDurableEntries
from cognition.adapters.memory.embedder import MemoryEmbedder, MemoryVerifier
from cognition.adapters.memory.entries import MemoryEntries
from cognition.adapters.memory.leases import MemoryLeases
from cognition.adapters.memory.ledger import MemoryLedger
from cognition.adapters.memory.pairs import MemoryPairs
from cognition.adapters.memory.provider import ScriptedProvider
from cognition.adapters.memory.semantic import MemorySemanticEntries

__all__ = [
    "MemoryBreakers",
    "MemoryBudgetAdmin",
    "MemoryBudgets",
    "MemoryDurableEntries",
    "MemoryEmbedder",
    "MemoryEntries",
    "MemoryLeases",
    "MemoryLedger",
    "MemoryPairs",
    "MemorySemanticEntries",
    "MemoryVerifier",
    "ScriptedProvider",
]
