"""What tests of code that uses the engine need: a fake provider that misbehaves when told to, stores, servers.

The contracts that adapters must keep are in `cognition.testing.contracts`, which needs pytest and hypothesis.
"""

from cognition.adapters.memory import (
    MemoryBreakers,
    MemoryDurableEntries,
    MemoryEmbedder,
    MemoryEntries,
    MemoryLeases,
    MemoryLedger,
    MemoryPairs,
    MemorySemanticEntries,
    MemoryVerifier,
    ScriptedProvider,
)
from cognition.testing.clock import FakeClock
from cognition.testing.fake_openai import FakeOpenAI
from cognition.testing.fake_script import (
    CutConnection,
    Fault,
    Hang,
    MalformedJson,
    Raw,
    ReceivedCall,
    Reply,
    Step,
    Usage,
)
from cognition.testing.servers import temporary_home, temporary_servers

__all__ = [
    "CutConnection",
    "FakeClock",
    "FakeOpenAI",
    "Fault",
    "Hang",
    "MalformedJson",
    "MemoryBreakers",
    "MemoryDurableEntries",
    "MemoryEmbedder",
    "MemoryEntries",
    "MemoryLeases",
    "MemoryLedger",
    "MemoryPairs",
    "MemorySemanticEntries",
    "MemoryVerifier",
    "Raw",
    "ReceivedCall",
    "Reply",
    "ScriptedProvider",
    "Step",
    "Usage",
    "temporary_home",
    "temporary_servers",
]
