"""The block that answers prompts."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, ClassVar, Literal

from pydantic import AliasChoices, Field, HttpUrl, SecretStr, field_validator
from typing_extensions import Unpack

from cognition import Cognition, Completion, Credentials, ResiliencePolicy, SemanticPolicy, Settings
from cognition.domain.completion import CompletionRequest, OutputT, Prompt
from cognition.domain.entry import Layer
from cognition.domain.explanation import Explanation
from cognition.domain.ledger import LayerStats
from cognition.domain.routing import fallbacks_of
from cognition.model import CompletionModel
from cognition.runtime import CallOptions
from cognition.services.cache_control import BadHit, Conditions
from cognition_blocks.booking import booked
from cognition_blocks.config import LLMConfig
from cognition_blocks.global_limit import GlobalLimit
from cognition_blocks.llm_reference import SLUG
from cognition_blocks.pages import DOCUMENTATION, LOGO
from cognition_blocks.policies import ResilienceFields, cache_policy, credentials_of, resilience_policy, semantic_policy
from cognition_blocks.prefect_events import engine_of_block
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

    # Of the form. The fields below stand in the order in which they came to be, and a new one goes last.
    _form_order: ClassVar[tuple[str, ...]] = (
        "model_name",
        "api_key",
        "base_url",
        "fallbacks",
        "store",
        "namespace",
        "instructions",
        "temperature",
        "max_tokens",
        "l1_ttl_seconds",
        "l2_ttl_seconds",
        "semantic",
        "semantic_threshold",
        "semantic_max_error",
        "l3_ttl_seconds",
        "attempts",
        "attempt_timeout_seconds",
        "deadline_seconds",
        "max_concurrent",
        "max_waiting",
        "failure_threshold",
        "open_seconds",
        "global_limit",
        "more_settings",
    )

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

    semantic: Literal["on", "shadow", "off"] | None = Field(
        default=None,
        title="Similar prompts",
        description="May they share an answer: on, off, or shadow, which only measures; empty takes the worker's.",
    )
    semantic_threshold: float | None = Field(
        default=None,
        ge=0,
        le=1,
        title="Threshold for similar prompts",
        description="The lowest score at which a similar prompt's answer is given, 0 to 1; empty means 0.92.",
    )
    semantic_max_error: float | None = Field(
        default=None,
        gt=0,
        lt=1,
        title="Tolerated error of similar prompts",
        description="Share of wrong answers above which the threshold rises by itself; empty means 0.02.",
    )
    l3_ttl_seconds: float | None = Field(
        default=None,
        gt=0,
        title="Life in the semantic layer (seconds)",
        description="How long an answer lives in L3; empty takes the worker's setting, by default 86400.",
    )

    fallbacks: list[str] = Field(
        default_factory=list[str],
        title="Fallback models",
        description="Models asked in turn when this one does not answer, such as anthropic:claude-haiku-4-5.",
    )
    deadline_seconds: float | None = Field(
        default=None,
        gt=0,
        title="Time for all attempts (seconds)",
        description="How long all attempts and waits of one call may take, fallbacks included; by default 180.",
    )
    max_concurrent: int | None = Field(
        default=None,
        gt=0,
        title="Calls at a time",
        description="How many calls of one process may be at the model at the same time; by default 32.",
    )
    max_waiting: int | None = Field(
        default=None,
        ge=0,
        title="Waiting calls",
        description="How many more calls of one process may wait for their turn; by default 1000.",
    )
    failure_threshold: int | None = Field(
        default=None,
        gt=0,
        title="Failures that open the breaker",
        description="After so many failures in a row no process asks the model for a while; by default 5.",
    )
    open_seconds: float | None = Field(
        default=None,
        gt=0,
        title="Pause of an open breaker (seconds)",
        description="How long the model is left alone before it is probed; by default 60, doubling when probes fail.",
    )
    global_limit: str | None = Field(
        default=None,
        title="Global concurrency limit",
        description="Name of a Prefect concurrency limit of which each attempt holds a slot; empty means none.",
    )

    @field_validator("store", mode="before")
    @classmethod
    def load_store(cls, value: object) -> object:
        """Make a store of the data of a nested document as Prefect does of a document of its own."""
        return CognitionStore.model_validate(value) if isinstance(value, dict) else value

    @field_validator("fallbacks")
    @classmethod
    def check_fallbacks(cls, value: list[str]) -> list[str]:
        """Refuse a name without its provider, before it is saved."""
        return [fallback.model for fallback in fallbacks_of(value)]

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
            cache=cache_policy(defaults.cache, self.l1_ttl_seconds, self.l2_ttl_seconds, self.l3_ttl_seconds),
            semantic=self._semantic(defaults.semantic),
            resilience=self._resilience(defaults.resilience),
            fallbacks=fallbacks_of(self.fallbacks) or defaults.fallbacks,
            credentials=credentials_of(self.api_key, self.base_url),
            gate=GlobalLimit(self.global_limit) if self.global_limit else None,
        )

    def _semantic(self, default: SemanticPolicy) -> SemanticPolicy:
        return semantic_policy(default, self.semantic, self.semantic_threshold, self.semantic_max_error)

    def _resilience(self, default: ResiliencePolicy) -> ResiliencePolicy:
        return resilience_policy(
            default,
            ResilienceFields(
                attempts=self.attempts,
                attempt_timeout_seconds=self.attempt_timeout_seconds,
                deadline_seconds=self.deadline_seconds,
                max_concurrent=self.max_concurrent,
                max_waiting=self.max_waiting,
                failure_threshold=self.failure_threshold,
                open_seconds=self.open_seconds,
            ),
        )

    @property
    def engine(self) -> Cognition:
        """The engine behind this block: one a process for each store, opened on first use."""
        return engine_of_block(self.to_settings())

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

    def invalidate(self, **conditions: Unpack[Conditions]) -> dict[Layer, int]:
        """Declare cached answers of this namespace wrong: all, or those for which every condition given holds.

        Args:
            **conditions: See `cognition.services.cache_control.Conditions`.

        Returns:
            How many entries each layer dropped.
        """
        conditions.setdefault("namespace", self.namespace)
        return self.engine.cache.invalidate(**conditions)

    def explain(self, prompt: Prompt, **options: Unpack[CallOptions[Any]]) -> Explanation:
        """Say which layer would answer a prompt now and why; nothing is asked, counted or changed."""
        return self.engine.cache.explain(prompt, **self.to_config().completing(options))

    def report_bad_hit(self, request_id: str) -> BadHit:
        """Declare the answer of one call wrong; see `cognition.services.cache_control.CacheControl.report_bad_hit`."""
        return self.engine.cache.report_bad_hit(request_id)

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


def _given(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
