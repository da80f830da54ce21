"""Vectors of texts: remembered in the process and in the store, made by the embedder only when nobody knows them."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from functools import partial

from cognition.domain.semantic import Vector, hash_of
from cognition.ports import Embedder, SemanticStore
from cognition.resilience.store_breaker import Guarded

# 1.5 kB each with 384 dimensions.
_MOST_REMEMBERED = 4096


class Embeddings:
    """Turns texts into vectors; an embedder or store that is down costs a miss, never an error."""

    def __init__(self, embedder: Guarded[Embedder], store: Guarded[SemanticStore]) -> None:
        """Remember nothing yet.

        Args:
            embedder: Makes vectors.
            store: Keeps them for other processes.
        """
        self._embedder = embedder
        self._store = store
        self._lock = threading.Lock()
        # The oldest first: a dictionary keeps the order of insertion.
        self._remembered: dict[bytes, Vector] = {}

    @property
    def fingerprint(self) -> str:
        """What makes the vectors comparable."""
        return self._embedder.store.identity.fingerprint

    def of(self, tenant: str, texts: Sequence[str]) -> dict[str, Vector]:
        """Return the vector of each text; those beyond the window and those that nobody can make now are left out.

        Args:
            tenant: Whose texts; tenants do not see each other's stored vectors.
            texts: What to compare.
        """
        return self._embedder.call(partial(self._of, tenant, texts), {})

    def keep(self, tenant: str, vectors: Mapping[str, Vector]) -> None:
        """Keep the vectors of some texts for other processes and for later."""
        kept = {hash_of(text): vector for text, vector in vectors.items()}
        self._store.call(partial(self._store.store.keep_vectors, tenant, self.fingerprint, kept), None)

    def forget(self) -> None:
        """Start anew after a fork: the lock may have been held."""
        self._lock = threading.Lock()

    def _of(self, tenant: str, texts: Sequence[str]) -> dict[str, Vector]:
        hashes = {text: hash_of(text) for text in texts if self._embedder.store.fits(text)}
        with self._lock:
            known = {key: self._remembered[key] for key in hashes.values() if key in self._remembered}
        unknown = {key: text for text, key in hashes.items() if key not in known}
        if unknown:
            # Of a single text most are new, so with a local model the look-up would cost more than it saves; of many,
            # which are asked again in batches as a rule, one look-up may save them all.
            if len(unknown) > 1 or not self._embedder.store.is_local:
                known |= self._stored(tenant, list(unknown))
            known |= self._made({key: text for key, text in unknown.items() if key not in known})
            self._remember(known)
        return {text: known[key] for text, key in hashes.items()}

    def _stored(self, tenant: str, hashes: Sequence[bytes]) -> dict[bytes, Vector]:
        ask = partial(self._store.store.vectors, tenant, self.fingerprint, hashes)
        return self._store.call(ask, {})

    def _made(self, texts: Mapping[bytes, str]) -> dict[bytes, Vector]:
        if not texts:
            return {}
        return dict(zip(texts, self._embedder.store.embed(list(texts.values())), strict=True))

    def _remember(self, vectors: Mapping[bytes, Vector]) -> None:
        with self._lock:
            self._remembered.update(vectors)
            for oldest in list(self._remembered)[: max(0, len(self._remembered) - _MOST_REMEMBERED)]:
                del self._remembered[oldest]
