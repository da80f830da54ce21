# pyright: basic, reportMissingImports=false
# Runs in a peer's own environment, which our type checker does not see.
"""Caches for any function, around a function that asks the model: diskcache and cashews, as their manuals show."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import diskcache
from cashews import Cache

from benchmarks.peers.port import NOBODY, Caller, Peer, Place, Unsupported, in_thread, loop


class DiskCache(Peer):
    """`@cache.memoize()` on SQLite files; processes of one machine share them."""

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self._cache = diskcache.Cache(place.folder)
        self._ask = self.decorated()

    def decorated(self) -> Callable[..., str]:
        """Return the function that asks, decorated."""

        @self._cache.memoize(expire=3600)
        def ask(prompt: str, system: str = "", model: str = "") -> str:
            del system, model
            return self.call(prompt)

        return ask

    def complete(self, prompt: str, caller: Caller = NOBODY) -> str:
        # The key is made of the arguments: whatever the function is not given does not keep answers apart.
        return self._ask(prompt, caller.system, caller.model)

    def close(self) -> None:
        self._cache.close()


class DiskCacheGuarded(DiskCache):
    """With its recipe against stampedes: `@barrier(cache, Lock)`, one lock for the whole function."""

    def decorated(self) -> Callable[..., str]:
        return diskcache.barrier(self._cache, diskcache.Lock, expire=60)(super().decorated())


class Cashews(Peer):
    """`@cache(ttl=...)` on Redis; asynchronous only."""

    lock = False

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self._cache = Cache()
        self._cache.setup(place.redis_url)
        self._ask = self._cache(ttl="1h", key="ask:{model}:{system}:{prompt:hash}", lock=self.lock)(self._asking)

    async def _asking(self, prompt: str, system: str = "", model: str = "") -> str:
        del system, model
        return await in_thread(self.call, prompt)

    def complete(self, prompt: str, caller: Caller = NOBODY) -> str:
        del prompt, caller
        raise Unsupported("asynchronous only")

    async def acomplete(self, prompt: str) -> str:
        return await self._ask(prompt, NOBODY.system, NOBODY.model)

    def fill(self, prompts: Sequence[str]) -> None:
        async def all_of_them() -> None:
            for prompt in prompts:
                await self.acomplete(prompt)

        loop().run_until_complete(all_of_them())


class CashewsGuarded(Cashews):
    """With `lock=True`, its protection against stampedes."""

    lock = True


PEERS: dict[str, type[Peer]] = {
    "diskcache": DiskCache,
    "diskcache-barrier": DiskCacheGuarded,
    "cashews": Cashews,
    "cashews-lock": CashewsGuarded,
}
