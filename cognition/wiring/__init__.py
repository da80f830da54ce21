"""The composition root: builds the adapters a `Settings` asks for and puts the services together.

Nothing else constructs an adapter.
"""

from cognition.wiring.exporting import collector_of
from cognition.wiring.machinery import Machinery, assemble, build
from cognition.wiring.models import embedder_alone, verifier_alone
from cognition.wiring.semantic import Models
from cognition.wiring.stores import Stores, database_of, open_stores, spool_of

__all__ = [
    "Machinery",
    "Models",
    "Stores",
    "assemble",
    "build",
    "collector_of",
    "database_of",
    "embedder_alone",
    "open_stores",
    "spool_of",
    "verifier_alone",
]
