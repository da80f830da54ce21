# pyright: basic, reportMissingImports=false
# Runs in a peer's own environment, which our type checker does not see.
"""RedisVL's `SemanticCache` on a Redis with the search module, used as its guide shows."""

from __future__ import annotations

from collections.abc import Sequence

from redisvl.extensions.cache.llm import SemanticCache
from redisvl.utils.vectorize import CustomVectorizer

from benchmarks.peers.embedder import Embedder
from benchmarks.peers.port import NOBODY, Caller, Peer, Place, answer_of


class RedisVL(Peer):
    """Semantic only; filters keep callers apart where the user writes them for each call."""

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        embedder = Embedder(place)
        self._cache = SemanticCache(
            name="redisvl",
            redis_url=place.stack_url or "",
            ttl=86400,
            vectorizer=CustomVectorizer(embed=lambda text: embedder(text).tolist()),
        )

    def complete(self, prompt: str, caller: Caller = NOBODY) -> str:
        del caller
        if found := self.get(prompt):
            return found
        answer = self.call(prompt)
        self.put(prompt, answer)
        return answer

    def fill(self, prompts: Sequence[str]) -> None:
        for prompt in prompts:
            self.put(prompt, answer_of(prompt))

    def get(self, prompt: str) -> str | None:
        found = self._cache.check(prompt=prompt)
        return found[0]["response"] if found else None

    def put(self, prompt: str, answer: str) -> None:
        self._cache.store(prompt=prompt, response=answer)

    def empty(self) -> None:
        self._cache.clear()

    def threshold(self, value: float) -> None:
        self._cache.set_threshold(1 - value)


PEERS: dict[str, type[Peer]] = {"redisvl": RedisVL}
