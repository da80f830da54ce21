"""From the environment to frozen settings."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from cognition.domain.cache_policy import CachePolicy
from cognition.domain.pricing import Rate
from cognition.resilience.policy import ResiliencePolicy

_PREFIX = "COGNITION_"


class Settings(BaseSettings):
    """What an engine is opened with; every field can be set by an environment variable that starts with `COGNITION_`.

    Nested fields use two underscores: `COGNITION_CACHE__L1_TTL=600`, `COGNITION_RESILIENCE__ATTEMPTS=2`. Unset URLs
    mean the embedded servers.

    Attributes:
        database_url: SQLAlchemy URL of PostgreSQL with pgvector.
        redis_url: URL of Redis or Valkey; `memory://` keeps L1 in the process.
        home: Folder of the embedded servers.
        tenant: Whose calls these are; tenants never see each other's answers.
        model: The model of calls that name none, as `provider:model`.
        cache: How calls use the cache unless they say otherwise.
        resilience: How hard calls try unless they say otherwise.
        prices: Prices that override the public ones, by `provider:model`.
    """

    model_config = SettingsConfigDict(env_prefix=_PREFIX, env_nested_delimiter="__", frozen=True, extra="forbid")

    database_url: SecretStr | None = None
    redis_url: SecretStr | None = None
    home: Path | None = None
    tenant: str = "default"
    model: str | None = None
    cache: CachePolicy = CachePolicy()
    resilience: ResiliencePolicy = ResiliencePolicy()
    prices: dict[str, Rate] = {}

    def identity(self) -> str:
        """Return a text that is equal for equal settings, secrets included; never show it."""
        secrets = [url.get_secret_value() if url else None for url in (self.database_url, self.redis_url)]
        return f"{secrets!r} {self.model_dump_json()}"

    def __hash__(self) -> int:
        """Hash by identity, so that engines can be found by their settings."""
        return hash(self.identity())

    def __eq__(self, other: object) -> bool:
        """Compare by identity, secrets included."""
        return isinstance(other, Settings) and self.identity() == other.identity()


def base_url_of(provider: str) -> str | None:
    """Return the address that the provider's SDK takes from the environment, such as `OPENAI_BASE_URL`.

    It belongs to a request's identity: two servers may answer the same question differently.

    Args:
        provider: The part of a model's name before the colon, such as `openai-chat`.
    """
    name = provider.partition("-")[0].upper()
    return os.environ.get(f"{name}_BASE_URL") or None


def unknown_variables() -> list[str]:
    """Return the variables with our prefix that no field reads, for `cognition doctor` to point at misspellings."""
    fields: Any = Settings.model_fields
    known = {f"{_PREFIX}{name}".upper() for name in fields}
    return [name for name in os.environ if name.startswith(_PREFIX) and name.split("__")[0] not in known]
