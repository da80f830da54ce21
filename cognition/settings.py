"""From the environment to frozen settings."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, PrivateAttr, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

from cognition.domain.cache_policy import CachePolicy
from cognition.domain.pricing import Rate
from cognition.domain.routing import Fallback, Route
from cognition.domain.semantic_policy import SemanticPolicy
from cognition.errors import ConfigurationError
from cognition.resilience.policy import ResiliencePolicy

_PREFIX = "COGNITION_"

# Where the SDK of a provider reads its address from, if not from <PROVIDER>_BASE_URL.
_ADDRESS_VARIABLES: Mapping[str, Sequence[str]] = {
    "azure": ("AZURE_OPENAI_ENDPOINT", "OPENAI_API_VERSION"),
    "bedrock": ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL_BEDROCK_RUNTIME", "AWS_ENDPOINT_URL"),
    "cohere": ("CO_BASE_URL",),
    "gateway": ("PYDANTIC_AI_GATEWAY_BASE_URL", "PAIG_BASE_URL"),
    "google-vertex": ("GOOGLE_CLOUD_PROJECT", "GOOGLE_CLOUD_LOCATION"),
    "snowflake": ("SNOWFLAKE_ACCOUNT", "SNOWFLAKE_HOST"),
}


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
        max_tokens: How long answers may be, of calls that do not say it themselves; the provider is told, and a budget
            sets aside no more than that.
        embedder: What turns prompts into vectors, `local:all-minilm-l6-v2` or `provider:model`; None switches the
            semantic layer off.
        verifier: What decides about neighbours that are neither near nor far, `onnx:folder`.
        cache: How calls use the cache unless they say otherwise.
        semantic: When similar prompts' answers may be given, unless calls say otherwise.
        resilience: How hard calls try unless they say otherwise.
        fallbacks: Models that are asked when one does not answer, in order, unless calls say otherwise.
        prices: Prices that override the public ones, by `provider:model`.
        spool: Folder for ledger rows that cannot be written while PostgreSQL is away; by default one of the user's own.
        spool_limit_mb: How many megabytes may wait there for one database and tenant; beyond that no call is made.
        prefect_events: Whether blocks tell Prefect of breakers that change, answers that are invalidated and bad hits.
    """

    model_config = SettingsConfigDict(env_prefix=_PREFIX, env_nested_delimiter="__", frozen=True, extra="forbid")

    database_url: SecretStr | None = None
    redis_url: SecretStr | None = None
    home: Path | None = None
    tenant: str = "default"
    model: str | None = None
    max_tokens: int | None = Field(default=None, ge=1)
    embedder: str | None = None
    verifier: str | None = None
    cache: CachePolicy = CachePolicy()
    semantic: SemanticPolicy = SemanticPolicy()
    resilience: ResiliencePolicy = ResiliencePolicy()
    fallbacks: tuple[Fallback, ...] = ()
    prices: dict[str, Rate] = {}
    spool: Path | None = None
    spool_limit_mb: Annotated[int, Field(gt=0)] = 256
    prefect_events: bool = True
    _identity: str = PrivateAttr(default="")

    if not TYPE_CHECKING:  # type checkers know the fields from pydantic

        def __init__(self, **values: Any) -> None:
            """Read the environment for every field that is not given.

            Raises:
                ConfigurationError: A value cannot be used; the sentence names the field and its variable.
            """
            try:
                super().__init__(**values)
            except ValidationError as error:
                raise _unusable(".".join(map(str, error.errors()[0]["loc"])), error.errors()[0]["msg"]) from None
            except SettingsError as error:
                # Its text names the field, but not the value, which may be a secret.
                field = next((name for name in type(self).model_fields if f'"{name}"' in str(error)), "settings")
                raise _unusable(field, "it is not valid JSON") from None

    def model_post_init(self, _: Any, /) -> None:
        """Note what makes these settings equal to others, secrets included; engines are found by it on every call."""
        secrets = [url.get_secret_value() if url else None for url in (self.database_url, self.redis_url)]
        self._identity = f"{secrets!r} {self.model_dump_json()}"

    def __hash__(self) -> int:
        """Hash by identity, so that engines can be found by their settings."""
        return hash(self._identity)

    def __eq__(self, other: object) -> bool:
        """Compare by identity, secrets included."""
        return isinstance(other, Settings) and self._identity == other._identity


def address_of_provider(provider: str) -> str | None:
    """Return the address that the provider's SDK takes from the environment, such as `OPENAI_BASE_URL`.

    It belongs to a request's identity: two servers may answer the same question differently.

    Args:
        provider: The part of a model's name before the colon, such as `openai-chat`.
    """
    plain = (f"{provider.partition('-')[0].upper()}_BASE_URL",)
    found = [os.environ.get(name, "") for name in _ADDRESS_VARIABLES.get(provider, plain)]
    return "|".join(found) if any(found) else None


def route_of(fallback: Fallback) -> Route:
    """Return how a fallback is reached: at the address in the environment, unless its credentials say another."""
    return Route(fallback, address_of_provider(fallback.model.partition(":")[0]))


def unknown_variables() -> list[str]:
    """Return the variables with our prefix that no field reads, for `cognition doctor` to point at misspellings."""
    fields: Any = Settings.model_fields
    # The last one is for `cognition deploy` and prefect.yaml.
    known = {f"{_PREFIX}{name}".upper() for name in (*fields, "work_pool")}
    return [name for name in os.environ if name.startswith(_PREFIX) and name.split("__")[0] not in known]


def _unusable(field: str, reason: str) -> ConfigurationError:
    variable = _PREFIX + field.upper().replace(".", "__")
    return ConfigurationError(f"The setting {field} cannot be used ({reason}); correct it or the variable {variable}.")
