"""The composition root: builds the adapters a `Settings` asks for and puts the services together.

Nothing else constructs an adapter.
"""

from cognition.wiring.machinery import Machinery, Models, assemble, build
from cognition.wiring.semantic import try_embedder
from cognition.wiring.stores import Stores, database_of, open_stores

__all__ = ["Machinery", "Models", "Stores", "assemble", "build", "database_of", "open_stores", "try_embedder"]
