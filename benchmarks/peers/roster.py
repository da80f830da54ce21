"""Who takes part: the name of each configuration, its environment, its module, and how it is set up, for the page."""

from __future__ import annotations

from dataclasses import dataclass

OURS = "ours"
"""The environment of this repository."""


@dataclass(frozen=True)
class Entry:
    """One configuration of one peer.

    Attributes:
        name: As in the tables.
        title: For people.
        environment: Name of its lock file.
        module: Where its class is.
        setup: Its configuration in the words of its own API.
        stores: Where its answers live.
    """

    name: str
    title: str
    environment: str
    module: str
    setup: str
    stores: str


ENTRIES = (
    Entry("ours-l1", "prefect-cognition, L1", OURS, "with_ours", "`Settings(database_url, redis_url)`", "Valkey"),
    Entry(
        "ours-l2",
        "prefect-cognition, L2",
        OURS,
        "with_ours",
        "the same, each answer dropped from Redis before it is asked for: L1 is looked at, misses, and gets a copy",
        "PostgreSQL",
    ),
    Entry(
        "ours-l3",
        "prefect-cognition, L3",
        OURS,
        "with_ours",
        '`Settings(embedder="local:all-minilm-l6-v2", semantic=SemanticPolicy(check_share=0))`',
        "PostgreSQL, pgvector HNSW",
    ),
    Entry("ours-task", "prefect-cognition, `llm_task`", OURS, "with_prefect", "`@llm_task(llm=llm)`", "Valkey"),
    Entry(
        "prefect-inputs",
        "Prefect `INPUTS`",
        OURS,
        "with_prefect",
        "`@task(cache_policy=INPUTS, persist_result=True)`, results in files",
        "files and Prefect's server",
    ),
    Entry(
        "gptcache",
        "GPTCache",
        "gptcache",
        "with_gptcache",
        '`get_data_manager(CacheBase("sqlite"), VectorBase("faiss", dimension=384))`, `SearchDistanceEvaluation()`, '
        "`Config()`; our embedder as its `embedding_func`",
        "SQLite and FAISS files",
    ),
    Entry(
        "langchain-redis",
        "LangChain `RedisCache`",
        "langchain",
        "with_langchain",
        "`set_llm_cache(RedisCache(redis.Redis.from_url(…), ttl=3600))`, `model.invoke(prompt)`",
        "Valkey",
    ),
    Entry(
        "langchain-sqlalchemy",
        "LangChain `SQLAlchemyCache`",
        "langchain",
        "with_langchain",
        "`set_llm_cache(SQLAlchemyCache(create_engine(…, pool_size=32)))`, `model.invoke(prompt)`",
        "PostgreSQL",
    ),
    Entry(
        "langchain-semantic",
        "LangChain `RedisSemanticCache`",
        "redisvl",
        "with_langchain",
        '`RedisSemanticCache(embeddings, redis_url=…, prefix="langchain", ttl=86400)`; our embedder',
        "Redis Stack",
    ),
    Entry(
        "redisvl",
        "RedisVL `SemanticCache`",
        "redisvl",
        "with_redisvl",
        '`SemanticCache(name="redisvl", redis_url=…, ttl=86400, vectorizer=CustomVectorizer(…))`; our embedder',
        "Redis Stack",
    ),
    Entry(
        "litellm-local",
        "LiteLLM `Cache`, local",
        "litellm",
        "with_litellm",
        '`litellm.cache = Cache(type="local", ttl=3600)`, `litellm.completion(…, caching=True)`',
        "the process",
    ),
    Entry(
        "litellm-redis",
        "LiteLLM `Cache`, Redis",
        "litellm",
        "with_litellm",
        '`litellm.cache = Cache(type="redis", url=…, ttl=3600)`, `litellm.completion(…, caching=True)`',
        "Valkey",
    ),
    Entry(
        "diskcache",
        "diskcache",
        "generic",
        "with_generic",
        "`@diskcache.Cache(folder).memoize(expire=3600)`",
        "SQLite files",
    ),
    Entry(
        "diskcache-barrier",
        "diskcache with `barrier`",
        "generic",
        "with_generic",
        "`@barrier(cache, Lock, expire=60)` over `@cache.memoize(expire=3600)`",
        "SQLite files",
    ),
    Entry("cashews", "cashews", "generic", "with_generic", '`@cache(ttl="1h", key=…)`, `cache.setup(redis)`', "Valkey"),
    Entry(
        "cashews-lock",
        "cashews with `lock`",
        "generic",
        "with_generic",
        '`@cache(ttl="1h", key=…, lock=True)`',
        "Valkey",
    ),
    Entry("no-cache", "no cache", OURS, "with_prefect", "the call itself", "nowhere"),
)
BY_NAME = {entry.name: entry for entry in ENTRIES}
