"""Puts the semantic layer together."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from cognition.adapters.embedders import ApiAccess, open_embedder
from cognition.adapters.providers import ModelProvider
from cognition.adapters.verifiers import open_verifier
from cognition.events import Emit
from cognition.owner_loop import OwnerLoop
from cognition.ports import Clock, Embedder, Provider, Verifier
from cognition.resilience.store_breaker import Guarded, StoreBreaker
from cognition.services.embeddings import Embeddings
from cognition.services.semantic_layer import SemanticLayer, SemanticParts
from cognition.services.semantic_trust import SemanticTrust
from cognition.services.semantic_upkeep import SemanticUpkeep
from cognition.settings import Settings, address_of_provider
from cognition.wiring.stores import Stores


@dataclass(frozen=True, slots=True)
class Models:
    """What asks models: for answers, for vectors if L3 is wanted, and for a second look at doubtful neighbours."""

    provider: Provider
    embedder: Embedder | None = None
    verifier: Verifier | None = None

    def close(self) -> None:
        """Let go of the models of L3; the provider is closed on its own loop."""
        for model in (self.embedder, self.verifier):
            if model is not None:
                model.close()


@dataclass(frozen=True, slots=True)
class Near:
    """The parts of L3."""

    layer: SemanticLayer
    embeddings: Embeddings
    breakers: tuple[StoreBreaker, ...]


def open_models(settings: Settings, loop: OwnerLoop, provider: Provider | None) -> Models:
    """Return the models that some settings ask for, none of them loaded or asked yet.

    Args:
        settings: Which embedder and verifier.
        loop: Where HTTP connections live.
        provider: Asks models for answers; by default pydantic-ai does.

    Raises:
        ConfigurationError: A name is none, or a file is missing; the sentence says what to change.
    """
    name = settings.embedder or ""
    access = ApiAccess(endpoint=address_of_provider(name.partition(":")[0]))
    return Models(
        provider or ModelProvider(),
        open_embedder(settings.embedder, loop.call, access),
        open_verifier(settings.verifier),
    )


def semantic_layer(stores: Stores, models: Models, trust: SemanticTrust, clock: Clock, emit: Emit) -> Near | None:
    """Return the parts of L3, or None without an embedder."""
    embedder, verifier = models.embedder, models.verifier
    if embedder is None:
        return None
    # One of its own: pgvector may be broken while the tables of L2 are not.
    store = Guarded(stores.semantic, StoreBreaker("pgvector", stores.semantic.ping, emit))
    model = Guarded(embedder, StoreBreaker("embedder", partial(_try, embedder), emit))
    second = Guarded(verifier, StoreBreaker("verifier", partial(_try_on, verifier), emit)) if verifier else None
    embeddings = Embeddings(model, store)
    parts = SemanticParts(embeddings=embeddings, store=store, trust=trust, verifier=second, clock=clock, emit=emit)
    breakers = (store.breaker, model.breaker, *([second.breaker] if second else []))
    return Near(SemanticLayer(parts), embeddings, breakers)


def upkeep_of(stores: Stores, models: Models) -> SemanticUpkeep | None:
    """Return what looks after L3, or None without an embedder."""
    if models.embedder is None or stores.maintenance is None:
        return None
    return SemanticUpkeep(stores.maintenance, models.embedder)


def _try(embedder: Embedder) -> None:
    """Return when an embedder answers."""
    embedder.embed(["ping"])


def _try_on(verifier: Verifier) -> None:
    """Return when a verifier answers."""
    verifier.verify([("ping", "ping")])
