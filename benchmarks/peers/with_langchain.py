# pyright: basic, reportMissingImports=false
# Runs in a peer's own environment, which our type checker does not see.
"""LangChain's caches, behind a chat model as its users call it: `set_llm_cache(...)`, then `model.invoke(...)`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from langchain_core.caches import BaseCache
from langchain_core.embeddings import Embeddings
from langchain_core.globals import set_llm_cache
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.load import dumps
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langchain_core.outputs import ChatGeneration, ChatResult

from benchmarks.peers.port import NOBODY, Caller, Peer, Place, answer_of, in_thread


class _Model(BaseChatModel):
    """A chat model that asks a function."""

    model: str
    call: Any

    @property
    def _llm_type(self) -> str:
        return "benchmark"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {"model": self.model}

    def _generate(self, messages: list[Any], *_: Any, **__: Any) -> ChatResult:
        return _result(self.call(messages[-1].content))

    async def _agenerate(self, messages: list[Any], *_: Any, **__: Any) -> ChatResult:
        return _result(await in_thread(self.call, messages[-1].content))


class _LangChain(Peer):
    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self.cache = self.made(place)
        set_llm_cache(self.cache)
        self._models: dict[str, _Model] = {}

    def made(self, place: Place) -> BaseCache:
        """Return the cache."""
        raise NotImplementedError

    def model(self, name: str = NOBODY.model) -> _Model:
        """Return a model, the same one for the same name."""
        if name not in self._models:
            self._models[name] = _Model(model=name, call=self.call)
        return self._models[name]

    def key(self, prompt: str) -> str:
        """Return what a chat model gives its cache as the prompt."""
        return dumps([HumanMessage(prompt)])

    def complete(self, prompt: str, caller: Caller = NOBODY) -> str:
        # There is no tenant in its vocabulary: one process-wide cache serves everybody.
        if caller.system:
            return self.model(caller.model).invoke([SystemMessage(caller.system), HumanMessage(prompt)]).content
        return self.model(caller.model).invoke(prompt).content

    async def acomplete(self, prompt: str) -> str:
        return (await self.model().ainvoke(prompt)).content

    def complete_many(self, prompts: Sequence[str]) -> list[str]:
        return [answer.content for answer in self.model().batch(list(prompts))]

    def get(self, prompt: str) -> str | None:
        found = self.cache.lookup(self.key(prompt), self.model()._get_llm_string())  # noqa: SLF001  as it does itself
        return found[0].text if found else None

    def put(self, prompt: str, answer: str) -> None:
        model = self.model()
        self.cache.update(self.key(prompt), model._get_llm_string(), _result(answer).generations)  # noqa: SLF001  see above


class LangChainRedis(_LangChain):
    """`RedisCache` of langchain-community: one hash a prompt, on any Redis."""

    def made(self, place: Place) -> BaseCache:
        import redis  # noqa: PLC0415  in one of its environments
        from langchain_community.cache import RedisCache  # noqa: PLC0415  see above

        return RedisCache(redis.Redis.from_url(place.redis_url), ttl=3600)


class LangChainSQLAlchemy(_LangChain):
    """`SQLAlchemyCache` of langchain-community on PostgreSQL; its primary key is the whole prompt."""

    def made(self, place: Place) -> BaseCache:
        import sqlalchemy as sa  # noqa: PLC0415  in one of its environments
        from langchain_community.cache import SQLAlchemyCache  # noqa: PLC0415  see above

        return SQLAlchemyCache(sa.create_engine(place.database_url, pool_size=32))


class LangChainSemantic(_LangChain):
    """`RedisSemanticCache` of langchain-redis, on a Redis with the search module."""

    def made(self, place: Place) -> BaseCache:
        from langchain_redis import RedisSemanticCache  # noqa: PLC0415  in one of its environments

        from benchmarks.peers.embedder import Embedder  # noqa: PLC0415  see above

        embedder = Embedder(place)
        return RedisSemanticCache(_Embeddings(embedder), redis_url=place.stack_url, prefix="langchain", ttl=86400)

    def key(self, prompt: str) -> str:
        # A chat model would have the JSON of its messages embedded, which resembles every other; a text model does not.
        return prompt

    def fill(self, prompts: Sequence[str]) -> None:
        for prompt in prompts:
            self.put(prompt, answer_of(prompt))

    def empty(self) -> None:
        self.cache.clear()

    def threshold(self, value: float) -> None:
        self.cache.cache.set_threshold(1 - value)


class _Embeddings(Embeddings):
    """Our embedder in the shape that LangChain asks for."""

    def __init__(self, embedder: Any) -> None:
        self._embedder = embedder

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [self._embedder(text).tolist() for text in texts]

    def embed_query(self, text: str) -> list[float]:
        return self._embedder(text).tolist()


def _result(text: str) -> ChatResult:
    return ChatResult(generations=[ChatGeneration(message=AIMessage(text))])


PEERS: dict[str, type[Peer]] = {
    "langchain-redis": LangChainRedis,
    "langchain-sqlalchemy": LangChainSQLAlchemy,
    "langchain-semantic": LangChainSemantic,
}
