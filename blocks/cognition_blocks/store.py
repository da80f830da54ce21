"""The block that says where answers and costs are kept."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, ClassVar

from pydantic import Field, HttpUrl, SecretStr

from cognition import Settings
from cognition_blocks.pages import DOCUMENTATION, LOGO
from cognition_blocks.strict_block import StrictBlock


class CognitionStore(StrictBlock):
    """Where cached answers and the cost ledger are kept; empty means the embedded servers of this machine."""

    _block_type_name: ClassVar[str | None] = "Cognition Store"
    _block_type_slug: ClassVar[str | None] = "cognition-store"
    _logo_url: ClassVar[HttpUrl | None] = LOGO
    _documentation_url: ClassVar[HttpUrl | None] = DOCUMENTATION
    _description: ClassVar[str | None] = (
        "PostgreSQL and Redis for cached LLM answers and their costs; left empty, both are started on this machine."
    )
    _code_example: ClassVar[str | None] = """
```python
from cognition_blocks import CognitionStore, CachedLLM

store = CognitionStore.load("BLOCK_NAME")
llm = CachedLLM(model_name="openai-chat:gpt-5-mini", store=store)
print(llm.complete("What is a circuit breaker?").text)
```
"""

    database_url: SecretStr | None = Field(
        default=None,
        title="PostgreSQL URL",
        description="SQLAlchemy URL of PostgreSQL with pgvector; empty means an embedded server on each machine.",
    )
    redis_url: SecretStr | None = Field(
        default=None,
        title="Redis URL",
        description="URL of Redis or Valkey; empty means an embedded server on each machine.",
    )
    tenant: str = Field(
        default="default",
        title="Tenant",
        description="Whose answers and costs these are; tenants never see each other's.",
    )

    embedder: str | None = Field(
        default=None,
        title="Embedder",
        description="Lets similar prompts share answers: local:all-minilm-l6-v2, or provider:model; empty takes the"
        " worker's COGNITION_EMBEDDER.",
    )
    verifier: str | None = Field(
        default=None,
        title="Verifier",
        description="Decides about prompts that are neither near nor far; empty takes COGNITION_VERIFIER.",
    )

    def to_settings(self) -> Settings:
        """Return what an engine on this store is opened with; everything else comes from the environment."""
        return settings_of(self.database_url, self.redis_url, self.tenant, self.embedder, self.verifier)


@lru_cache(maxsize=32)
def settings_of(
    database_url: SecretStr | None,
    redis_url: SecretStr | None,
    tenant: str,
    embedder: str | None = None,
    verifier: str | None = None,
) -> Settings:
    """Return the settings for one store, made once: reading the environment takes longer than a cached answer."""
    models: dict[str, Any] = {"embedder": embedder, "verifier": verifier}
    models = {name: value for name, value in models.items() if value}
    return Settings(database_url=database_url, redis_url=redis_url, tenant=tenant, **models)


@lru_cache(maxsize=1)
def environment_settings() -> Settings:
    """Return the settings of this process's environment, read once."""
    return Settings()
