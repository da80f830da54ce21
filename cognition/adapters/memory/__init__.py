"""Everything the engine needs, in this process: for tests, and for L1 where there is no Redis."""

from cognition.adapters.memory.embedder import MemoryEmbedder, MemoryVerifier
from cognition.adapters.memory.entries import MemoryDurableEntries, MemoryEntries
from cognition.adapters.memory.leases import MemoryLeases
from cognition.adapters.memory.ledger import MemoryLedger
from cognition.adapters.memory.provider import ScriptedProvider

__all__ = [
    "MemoryDurableEntries",
    "MemoryEmbedder",
    "MemoryEntries",
    "MemoryLeases",
    "MemoryLedger",
    "MemoryVerifier",
    "ScriptedProvider",
]
