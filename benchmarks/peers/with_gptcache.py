# pyright: basic, reportMissingImports=false
# Runs in a peer's own environment, which our type checker does not see.
"""GPTCache as its quick start sets it up: SQLite beside FAISS, answers judged by the distance that the search found."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gptcache import Cache, Config
from gptcache.adapter.adapter import adapt
from gptcache.adapter.api import get, put
from gptcache.manager import CacheBase, VectorBase, get_data_manager
from gptcache.processor.pre import get_prompt
from gptcache.similarity_evaluation.distance import SearchDistanceEvaluation

from benchmarks.peers.embedder import DIMENSIONS, Embedder
from benchmarks.peers.port import NOBODY, Caller, Peer, Place, answer_of

_MOST_DISTANCE = 4.0  # squared, between unit vectors; the default of its evaluation


class GPTCache(Peer):
    """Every look-up is semantic: it embeds the prompt, even the very same one."""

    shared = False

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        embedder = Embedder(place)
        manager = get_data_manager(
            CacheBase("sqlite", sql_url=f"sqlite:///{place.folder}/gptcache.db"),
            VectorBase("faiss", dimension=DIMENSIONS, index_path=str(Path(place.folder, "faiss.index"))),
            max_size=2_000_000,  # its own default keeps 1,000 entries
        )
        self._cache = Cache()
        self._cache.init(
            pre_embedding_func=get_prompt,
            embedding_func=lambda text, **_: embedder(text),
            data_manager=manager,
            similarity_evaluation=SearchDistanceEvaluation(),
            config=Config(),
        )

    def complete(self, prompt: str, caller: Caller = NOBODY) -> str:
        # Its adapters pass the prompt alone to the cache: who asks which model makes no difference.
        return adapt(
            lambda **_: self.call(prompt),
            lambda answer: answer,
            lambda answer, store, *_, **__: store(answer) or answer,
            prompt=prompt,
            model=caller.model,
            cache_obj=self._cache,
        )

    def fill(self, prompts: Sequence[str]) -> None:
        # By `complete`, a prompt that resembles an earlier one would get that one's answer.
        for prompt in prompts:
            self.put(prompt, answer_of(prompt))

    def get(self, prompt: str) -> str | None:
        return get(prompt, cache_obj=self._cache)

    def put(self, prompt: str, answer: str) -> None:
        put(prompt, answer, cache_obj=self._cache)

    def empty(self) -> None:
        """A folder of one's own is empty."""

    def threshold(self, value: float) -> None:
        squared_distance = 2 - 2 * value
        self._cache.config.similarity_threshold = (_MOST_DISTANCE - squared_distance) / _MOST_DISTANCE


PEERS = {"gptcache": GPTCache}
