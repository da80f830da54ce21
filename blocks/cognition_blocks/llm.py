"""The block that answers prompts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from functools import lru_cache
from typing import Any, ClassVar

from pydantic import AliasChoices, Field, HttpUrl, SecretStr, field_validator
from typing_extensions import Unpack

from cognition import CachePolicy, Cognition, Completion, Credentials, ResiliencePolicy, Settings
from cognition.domain.completion import CompletionRequest, OutputT, Prompt
from cognition.domain.entry import Layer
from cognition.domain.ledger import LayerStats
from cognition.model import CompletionModel
from cognition.runtime import CallOptions, engine_for
from cognition_blocks.booking import booked
from cognition_blocks.config import LLMConfig
from cognition_blocks.llm_reference import SLUG
from cognition_blocks.pages import DOCUMENTATION, LOGO
from cognition_blocks.store import CognitionStore, environment_settings
from cognition_blocks.strict_block import StrictBlock
from cognition_blocks.task import LLMTaskDecorator, task_decorator


class CachedLLM(StrictBlock):
    """A language model whose answers are cached and whose calls are booked to the flow run that makes them."""

    _block_type_name: ClassVar[str | None] = "Cached LLM"
    _block_type_slug: ClassVar[str | None] = SLUG
    _logo_url: ClassVar[HttpUrl | None] = LOGO
    _documentation_url: ClassVar[HttpUrl | None] = DOCUMENTATION
    _description: ClassVar[str | None] = (
        "Asks a language model, answers repeated prompts from a cache, and books every call to its flow run."
    )
    _code_example: ClassVar[str | None] = """
```python
from cognition_blocks import CachedLLM

llm = CachedLLM.load("BLOCK_NAME")
answer = llm.complete("What is a circuit breaker?")
print(answer.text, answer.layer, answer.cost_usd, answer.saved_usd)
```
"""

    # Not `model`, which is the method that gives an Agent its model; but `CachedLLM(model="…")` means this field.
    model_name: str | None = Field(
        default=None,
        validation_alias=AliasChoices("model_name", "model"),
        title="Model",
        description="Provider and model, such as openai-chat:gpt-5-mini; empty takes the worker's COGNITION_MODEL.",
    )
    api_key: SecretStr | None = Field(
        default=None,
        title="API key",
        description="The provider's key; empty takes it from the worker's environment, such as OPENAI_API_KEY.",
    )
    base_url: str | None = Field(
        default=None,
        title="Base URL",
        description="Address of an OpenAI-compatible server; empty means the provider's own.",
    )
    instructions: str | None = Field(
        default=None,
        title="Instructions",
        description="The system prompt of every call that brings none of its own.",
    )
    temperature: float | None = Field(
        default=None,
        title="Temperature",
        description="How much answers vary: 0 for the most likely one; empty means the provider's default.",
    )
    max_tokens: int | None = Field(
        default=None,
        gt=0,
        title="Longest answer",
        description="The most tokens an answer may have; empty means the provider's default.",
    )
    more_settings: dict[str, Any] = Field(
        default_factory=dict[str, Any],
        validation_alias=AliasChoices("more_settings", "settings"),
        title="More model settings",
        description="As pydantic-ai names them, such as top_p, seed or extra_headers; shown in clear, so no secrets.",
    )
    namespace: str = Field(
        default="default",
        title="Namespace",
        description="Cached answers are shared and invalidated together inside one namespace.",
    )
    l1_ttl_seconds: float | None = Field(
        default=None,
        gt=0,
        title="Life in Redis (seconds)",
        description="How long an answer lives in L1; empty takes the worker's setting, by default 300.",
    )
    l2_ttl_seconds: float | None = Field(
        default=None,
        gt=0,
        title="Life in PostgreSQL (seconds)",
        description="How long an answer lives in L2; empty takes the worker's setting, by default 3600.",
    )
    attempts: int | None = Field(
        default=None,
        gt=0,
        title="Attempts",
        description="How often the provider is asked at most, the first time included; by default 3.",
    )
    attempt_timeout_seconds: float | None = Field(
        default=None,
        gt=0,
        title="Time for one attempt (seconds)",
        description="How long one attempt may take; by default 60.",
    )
    store: CognitionStore | None = Field(
        default=None,
        title="Store",
        description="Where answers and costs are kept; empty takes the worker's COGNITION_ variables.",
    )

    @field_validator("store", mode="before")
    @classmethod
    def load_store(cls, value: object) -> object:
        """Make a store of the data of a nested document as Prefect does of a document of its own."""
        return CognitionStore.model_validate(value) if isinstance(value, dict) else value

    @field_validator("base_url")
    @classmethod
    def check_base_url(cls, value: str | None) -> str | None:
        """Refuse an address that holds a password, before it is saved or shown."""
        return Credentials(base_url=value).base_url

    def to_settings(self) -> Settings:
        """Return what the engine behind this block is opened with."""
        return environment_settings() if self.store is None else self.store.to_settings()

    def to_config(self) -> LLMConfig:
        """Return what every call says unless it is told otherwise."""
        defaults = self.to_settings()
        return LLMConfig(
            model=self.model_name or defaults.model,
            namespace=self.namespace,
            instructions=self.instructions,
            settings=self.more_settings | _given(temperature=self.temperature, max_tokens=self.max_tokens),
            cache=_cache_policy(defaults.cache, self.l1_ttl_seconds, self.l2_ttl_seconds),
            resilience=_resilience_policy(defaults.resilience, self.attempts, self.attempt_timeout_seconds),
            credentials=_credentials(self.api_key, self.base_url),
        )

    @property
    def engine(self) -> Cognition:
        """The engine behind this block: one a process for each store, opened on first use."""
        return engine_for(self.to_settings())

    def complete(self, prompt: Prompt, **options: Unpack[CallOptions[OutputT]]) -> Completion[OutputT]:
        """Answer a prompt: from the cache when it may, else from the provider.

        Args:
            prompt: A text, or pydantic-ai messages that end with a request.
            **options: What this call says differently, see `cognition.runtime.CallOptions`; settings are merged.

        Raises:
            CognitionError: See `cognition.Cognition.complete`.
        """
        engine, options = self.engine, self.to_config().completing(options)
        with booked(engine, options) as call:
            return engine.complete(prompt, **call)

    async def acomplete(self, prompt: Prompt, **options: Unpack[CallOptions[OutputT]]) -> Completion[OutputT]:
        """Answer a prompt without blocking the event loop; see `complete`."""
        engine, options = self.engine, self.to_config().completing(options)
        with booked(engine, options) as call:
            return await engine.acomplete(prompt, **call)

    def complete_many(
        self, prompts: Sequence[Prompt], **options: Unpack[CallOptions[OutputT]]
    ) -> list[Completion[OutputT]]:
        """Answer many prompts in their order, with one look-up a layer for all; see `complete`."""
        engine, options = self.engine, self.to_config().completing(options)
        with booked(engine, options) as call:
            return engine.complete_many(prompts, **call)

    async def acomplete_many(
        self, prompts: Sequence[Prompt], **options: Unpack[CallOptions[OutputT]]
    ) -> list[Completion[OutputT]]:
        """Answer many prompts without blocking the event loop; see `complete_many`."""
        engine, options = self.engine, self.to_config().completing(options)
        with booked(engine, options) as call:
            return await engine.acomplete_many(prompts, **call)

    def warm(self, prompts: Sequence[Prompt], **options: Unpack[CallOptions[Any]]) -> int:
        """Ask for the answers that are not cached yet; return how many those were."""
        engine, options = self.engine, self.to_config().completing(options)
        with booked(engine, options) as call:
            return engine.cache.warm(prompts, **call)

    def request(self, prompt: Prompt, **options: Unpack[CallOptions[Any]]) -> CompletionRequest:
        """Return the request that `complete` would make of the same arguments, for `invalidate(request=...)`."""
        return self.engine.request(prompt, **self.to_config().completing(options))

    def invalidate(
        self,
        *,
        tag: str | None = None,
        older_than: timedelta | None = None,
        request: CompletionRequest | None = None,
    ) -> dict[Layer, int]:
        """Declare cached answers of this namespace wrong: all, or those for which every condition given holds.

        Args:
            tag: Answers that carry a tag, such as `project:atlas`.
            older_than: Answers of at least this age.
            request: The answer to one request, see `request`.

        Returns:
            How many entries each layer dropped.
        """
        cache = self.engine.cache
        return cache.invalidate(namespace=self.namespace, tag=tag, older_than=older_than, request=request)

    def stats(self, window: timedelta = timedelta(hours=24)) -> list[LayerStats]:
        """Return how each layer of the store served during the last hours, all namespaces together."""
        return self.engine.cache.stats(window)

    def model(self) -> CompletionModel:
        """Return a pydantic-ai model for any Agent, `Agent(llm.model())`, whose requests are cached and booked."""
        return CompletionModel(self.acomplete, self.to_config().model)

    @property
    def task(self) -> LLMTaskDecorator:
        """`llm_task` for this block: `@llm.task` or `@llm.task(output=Triage)`."""
        return task_decorator(self)


# Made once for each combination of fields: it is asked for by every call, and checking values takes longer than finding
# the ones that were checked.
@lru_cache(maxsize=64)
def _cache_policy(default: CachePolicy, l1_ttl: float | None, l2_ttl: float | None) -> CachePolicy:
    return replace(default, **_durations(l1_ttl=l1_ttl, l2_ttl=l2_ttl))


@lru_cache(maxsize=64)
def _resilience_policy(default: ResiliencePolicy, attempts: int | None, timeout: float | None) -> ResiliencePolicy:
    return replace(default, **_given(attempts=attempts), **_durations(attempt_timeout=timeout))


@lru_cache(maxsize=64)
def _credentials(api_key: SecretStr | None, base_url: str | None) -> Credentials:
    key = api_key.get_secret_value() if api_key else None
    return Credentials(api_key=key or None, base_url=base_url or None)


def _given(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _durations(**seconds: float | None) -> dict[str, Any]:
    return {name: timedelta(seconds=value) for name, value in _given(**seconds).items()}
