"""Puts the semantic layer together."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from cognition.events import Emit
from cognition.ports import Clock, Embedder
from cognition.resilience.store_breaker import Guarded, StoreBreaker
from cognition.services.embeddings import Embeddings
from cognition.services.semantic_layer import SemanticLayer, SemanticParts
from cognition.services.semantic_trust import SemanticTrust
from cognition.wiring.stores import Stores


@dataclass(frozen=True, slots=True)
class Near:
    """The parts of L3."""

    layer: SemanticLayer
    embeddings: Embeddings
    breakers: tuple[StoreBreaker, ...]


def semantic_layer(
    stores: Stores, embedder: Embedder | None, trust: SemanticTrust, clock: Clock, emit: Emit
) -> Near | None:
    """Return the parts of L3, or None without an embedder."""
    if embedder is None:
        return None
    # One of its own: pgvector may be broken while the tables of L2 are not.
    store = Guarded(stores.semantic, StoreBreaker("pgvector", stores.semantic.ping, emit))
    model = Guarded(embedder, StoreBreaker("embedder", partial(_try, embedder), emit))
    embeddings = Embeddings(model, store)
    parts = SemanticParts(embeddings=embeddings, store=store, trust=trust, clock=clock, emit=emit)
    return Near(SemanticLayer(parts), embeddings, (store.breaker, model.breaker))


def _try(embedder: Embedder) -> None:
    """Return when an embedder answers."""
    embedder.embed(["ping"])
