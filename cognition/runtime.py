"""The engine: opened once, used from any thread, closed at exit.

Two doors, one path: looking up happens in the caller's thread (a worker thread for async callers), everything a miss
needs on the owner loop. The registry of open engines is the only live object at module level in the engine; all
else that is kept there are memoised values.
"""

from __future__ import annotations

import atexit
import os
import threading
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, nullcontext
from datetime import UTC, datetime
from functools import partial
from multiprocessing import util
from types import TracebackType
from typing import Any, Generic, Self, TypedDict, Unpack

from pydantic_ai.models import ModelRequestParameters

from cognition.domain.attribution import Attribution, attribution_of
from cognition.domain.cache_policy import CacheMode, CachePolicy, policy_of
from cognition.domain.completion import (
    Calls,
    Completion,
    CompletionRequest,
    Credentials,
    OutputT,
    Prompt,
    check_prompt,
    check_prompts,
)
from cognition.domain.measured import Measured
from cognition.domain.output import output_type
from cognition.domain.routing import Fallback, fallbacks_of
from cognition.domain.semantic_policy import SemanticMode, SemanticPolicy, semantic_policy_of
from cognition.errors import CallNotPermitted, ConfigurationError
from cognition.events import Observers
from cognition.ports import Clock, Provider
from cognition.resilience.bulkhead import Utilisation
from cognition.resilience.policy import Gate, ResiliencePolicy
from cognition.services.breaker_control import BreakerControl
from cognition.services.budget_control import BudgetControl
from cognition.services.cache_control import CacheControl
from cognition.services.errand import Unanswered
from cognition.services.maintenance import Maintenance
from cognition.services.measuring import measure
from cognition.services.policies import Policies
from cognition.services.reporting import LedgerReports
from cognition.services.reports import Reports
from cognition.services.warming import Warming
from cognition.settings import Settings, address_of_provider, route_of
from cognition.wiring import Machinery, build


class CallOptions(TypedDict, Generic[OutputT], total=False):
    """What a call may say besides its prompt; what it leaves out is taken from the engine's settings.

    Attributes:
        model: `provider:model` as pydantic-ai names them.
        namespace: The group of cached answers it belongs to.
        instructions: The system prompt.
        output: The type of the answer: `str`, a pydantic model, dataclass, TypedDict, Literal or a list of them.
        settings: pydantic-ai model settings, such as `{"temperature": 0}`.
        cache: A `CachePolicy`, or one of `"use"`, `"refresh"`, `"bypass"`, `"only"`.
        semantic: A `SemanticPolicy`, or one of `"on"`, `"shadow"`, `"off"`; without an embedder it changes nothing.
        resilience: How hard to try.
        fallbacks: Models that are asked when this one does not answer, as `Fallback` or by name, in order.
        gate: Entered before each attempt and left after it, for a limit that many processes share.
        credentials: How to reach the provider; by default the SDK's environment variables.
        attribution: Who the call is booked to.
        parameters: Tools and output modes, as a pydantic-ai Agent passes them to its model.
    """

    model: str | None
    namespace: str
    instructions: str | None
    output: type[OutputT]
    settings: Mapping[str, Any] | None
    cache: CachePolicy | CacheMode
    semantic: SemanticPolicy | SemanticMode
    resilience: ResiliencePolicy | None
    fallbacks: Sequence[Fallback | str] | None
    gate: Gate | None
    credentials: Credentials | None
    attribution: Attribution | None
    parameters: ModelRequestParameters | None


class Cognition:
    """Answers LLM calls from the cache when it may, else from the provider, and books each one."""

    def __init__(self, settings: Settings, machinery: Machinery) -> None:
        """Use machinery that `open` built."""
        self._settings = settings
        self._machinery = machinery
        self._cache = CacheControl(machinery.cache, settings.tenant, self)
        self._warming = Warming(machinery.warming, settings.tenant, self)
        self._closed = False
        _registry.all.add(self)

    @classmethod
    def open(
        cls, settings: Settings | None = None, *, clock: Clock | None = None, provider: Provider | None = None
    ) -> Self:
        """Return an engine, connected; starts the embedded servers where a URL is not set.

        Args:
            settings: By default those of the environment.
            clock: Returns the present time with a time zone; by default the system's. For tests.
            provider: Asks models; by default pydantic-ai does. For tests.

        Raises:
            ConfigurationError: A setting is wrong or a store cannot be used; the sentence says what to change.
            CacheUnavailable: PostgreSQL does not answer.
        """
        settings = settings or Settings()
        return cls(settings, build(settings, clock or partial(datetime.now, UTC), provider))

    @property
    def closed(self) -> bool:
        """Whether the engine was closed."""
        return self._closed

    @property
    def settings(self) -> Settings:
        """What the engine was opened with."""
        return self._settings

    @property
    def cache(self) -> CacheControl:
        """Invalidate answers, warm them, count look-ups, purge."""
        return self._cache

    @property
    def ledger(self) -> LedgerReports:
        """Report what calls cost and saved."""
        return self._machinery.ledger

    @property
    def reports(self) -> Reports:
        """Charge costs back to those who caused them, and say how well the cache serves."""
        return self._machinery.reports

    @property
    def warming(self) -> Warming:
        """Ask before anybody waits for the answer, within limits."""
        return self._warming

    @property
    def maintenance(self) -> Maintenance:
        """Delete what nobody needs any more, and see what the tables take."""
        return Maintenance(self._machinery.upkeep, self._cache, self.breakers)

    @property
    def breakers(self) -> BreakerControl:
        """List the circuit breakers, force or reset them, and see how they changed."""
        return self._machinery.breaker_control

    @property
    def budgets(self) -> BudgetControl:
        """Set budgets, see how they stand, adjust them, and look after their alerts."""
        return self._machinery.budget_control

    def measure(self) -> Measured:
        """Return what monitoring sees: totals of all processes, and how budgets, breakers and the spool stand.

        Raises:
            CacheUnavailable: PostgreSQL does not answer.
        """
        return measure(self._machinery.measuring)

    @property
    def observers(self) -> Observers:
        """Add callables that see every event."""
        return self._machinery.observers

    def failures(self, flow_run_id: str) -> Mapping[str, int]:
        """Return how many calls of a flow run, and of its subflows, got which error in this process.

        Args:
            flow_run_id: Which run.
        """
        return self._machinery.failures.of(flow_run_id)

    def utilisation(self) -> list[Utilisation]:
        """Return how many calls of this process are at each service, and how many wait for it."""
        return self._machinery.bulkheads.utilisation()

    def complete(self, prompt: Prompt, **options: Unpack[CallOptions[OutputT]]) -> Completion[OutputT]:
        """Answer a prompt; may be called from any thread.

        Args:
            prompt: A text, or pydantic-ai messages that end with a request.
            **options: See `CallOptions`.

        Raises:
            ConfigurationError: The prompt, model or an option cannot be right.
            ProviderError: No model of the chain gave a usable answer, after all attempts.
            RetryLater: A provider asks for a longer wait than this call may take.
            CallNotPermitted: No attempt was made, such as `CircuitOpen`, `BulkheadFull` or `LedgerFull`.
            BudgetExceeded: A budget has no room for what an attempt may cost.
            BudgetUnavailable: PostgreSQL does not answer, and a budget lets nobody spend then.
            PriceUnknown: A budget limits the call, and nobody knows what it costs at most.
            OnlyCachedMiss: The answer is not cached and `cache="only"`.
        """
        policies = self._policies(options)
        (found,) = self._machinery.completion.look_up(self._calls([prompt], options), policies)
        if isinstance(found, Unanswered):
            return self._machinery.loop.call(self._machinery.completion.ask(found, policies))
        return found

    async def acomplete(self, prompt: Prompt, **options: Unpack[CallOptions[OutputT]]) -> Completion[OutputT]:
        """Answer a prompt; like `complete`, without blocking the caller's event loop."""
        policies = self._policies(options)
        look_up = partial(self._machinery.completion.look_up, self._calls([prompt], options), policies)
        (found,) = await self._machinery.loop.in_thread(look_up)
        if isinstance(found, Unanswered):
            return await self._machinery.loop.acall(self._machinery.completion.ask(found, policies))
        return found

    def complete_many(
        self, prompts: Sequence[Prompt], **options: Unpack[CallOptions[OutputT]]
    ) -> list[Completion[OutputT]]:
        """Answer many prompts in their order: one look-up a layer for all, then the misses side by side.

        Prompts that stand there several times are asked once. When some fail, the others are still asked and cached,
        and the first error is raised with a note that counts them.
        """
        policies = self._policies(options)
        if not prompts:
            return []
        found = self._machinery.completion.look_up(self._calls(prompts, options), policies)
        if any(isinstance(one, Unanswered) for one in found):
            return self._machinery.loop.call(self._machinery.completion.ask_many(found, policies))
        return found  # pyright: ignore[reportReturnType]  none is Unanswered

    async def acomplete_many(
        self, prompts: Sequence[Prompt], **options: Unpack[CallOptions[OutputT]]
    ) -> list[Completion[OutputT]]:
        """Answer many prompts; like `complete_many`, without blocking the caller's event loop."""
        policies = self._policies(options)
        if not prompts:
            return []
        look_up = partial(self._machinery.completion.look_up, self._calls(prompts, options), policies)
        found = await self._machinery.loop.in_thread(look_up)
        return await self._machinery.loop.acall(self._machinery.completion.ask_many(found, policies))

    def request(self, prompt: Prompt, **options: Unpack[CallOptions[Any]]) -> CompletionRequest:
        """Return the request that `complete` would make of the same arguments, for `cache.invalidate(request=...)`.

        Raises:
            ConfigurationError: The prompt, model or an option cannot be right.
        """
        unknown = options.keys() - CallOptions.__optional_keys__
        if unknown:
            known = ", ".join(sorted(CallOptions.__optional_keys__))
            raise ConfigurationError(f"A call has no option {', '.join(sorted(unknown))}; it has {known}.")
        model = options.get("model") or self._settings.model
        if model is None:
            raise ConfigurationError("No model is named; pass model='provider:model' or set COGNITION_MODEL.")
        credentials = options.get("credentials") or _NO_CREDENTIALS
        return CompletionRequest(
            prompt=prompt,
            model=model,
            tenant=self._settings.tenant,
            namespace=options.get("namespace", "default"),
            instructions=options.get("instructions"),
            settings=self._model_settings(options),
            output=output_type(options.get("output", str)),
            parameters=options.get("parameters"),
            credentials=credentials,
            endpoint=credentials.base_url or address_of_provider(model.partition(":")[0]),
        )

    def close(self) -> None:
        """Write what waits for the ledger and let go of everything; waits a bounded time. Closing twice is harmless."""
        if self._closed:
            return
        self._closed = True
        _registry.all.discard(self)
        machinery = self._machinery
        machinery.cache.layers.settle()
        for part in (*machinery.breakers, machinery.circuits, machinery.money.renewal):
            part.close()
        # The last one first, each of them whatever the ones before did: waiting rows are money.
        with ExitStack() as closing:
            closing.callback(machinery.stores.close)
            closing.callback(machinery.models.close)
            closing.callback(machinery.buffer.close)
            closing.callback(machinery.loop.close, machinery.models.provider.close())

    def __enter__(self) -> Self:
        """Return the engine."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the engine."""
        self.close()

    def forget_parent(self) -> None:
        """Start anew after a fork: threads, locks and open connections belong to the parent."""
        machinery = self._machinery
        parts = (machinery.loop, machinery.flights, machinery.bulkheads, machinery.circuits)
        for part in (*parts, machinery.buffer, machinery.stores, machinery.cache.layers, machinery.failures):
            part.forget()
        machinery.money.after_fork()
        for breaker in machinery.breakers:
            breaker.forget()
        if machinery.embeddings is not None:
            machinery.embeddings.forget()

    def _calls(self, prompts: Sequence[Prompt], options: CallOptions[Any]) -> Calls:
        if self._closed:
            raise CallNotPermitted("The engine is closed; open a new one.")
        check_prompts(prompts)
        first = self.request(prompts[0], **options)
        for prompt in prompts[1:]:
            check_prompt(prompt)
        # The system is asked once for all of them.
        random = os.urandom(_ID_BYTES * len(prompts)).hex()
        ids = [random[start : start + 2 * _ID_BYTES] for start in range(0, len(random), 2 * _ID_BYTES)]
        return Calls(
            first=first, prompts=prompts, attribution=attribution_of(options.get("attribution")), request_ids=ids
        )

    def _model_settings(self, options: CallOptions[Any]) -> Mapping[str, Any] | None:
        given, longest = options.get("settings"), self._settings.max_tokens
        return given if longest is None else {"max_tokens": longest, **(given or {})}

    def _policies(self, options: CallOptions[Any]) -> Policies:
        fallbacks = options.get("fallbacks")
        return Policies(
            cache=policy_of(options.get("cache", self._settings.cache), self._settings.cache),
            semantic=semantic_policy_of(options.get("semantic", self._settings.semantic), self._settings.semantic),
            resilience=options.get("resilience") or self._settings.resilience,
            fallbacks=tuple(map(route_of, self._settings.fallbacks if fallbacks is None else fallbacks_of(fallbacks))),
            gate=options.get("gate") or nullcontext,
        )


class _Registry:
    """The open engines of this process."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.by_settings: dict[Settings, Cognition] = {}
        # Also those that nobody else holds any more: rows of theirs may wait.
        self.all: set[Cognition] = set()

    def close_all(self) -> None:
        with ExitStack() as closing:
            for engine in list(self.all):
                closing.callback(engine.close)

    def after_fork(self) -> None:
        """Make the engines usable in the child; the lock may have been held by a thread that it does not have."""
        self.lock = threading.Lock()
        for engine in list(self.all):
            engine.forget_parent()


_ID_BYTES = 16
_NO_CREDENTIALS = Credentials()
_registry = _Registry()


def _close_with_worker(registry: _Registry) -> None:
    """Close the engines when a worker of `multiprocessing` ends: one that was forked skips `atexit`."""
    util.Finalize(None, registry.close_all, exitpriority=0)


atexit.register(_registry.close_all)
_close_with_worker(_registry)
util.register_after_fork(_registry, _close_with_worker)
if hasattr(os, "register_at_fork"):  # Windows has no fork
    os.register_at_fork(after_in_child=_registry.after_fork)


def engine_for(settings: Settings) -> Cognition:
    """Return the engine of this process for some settings, opening it on first use; it is closed at exit."""
    with _registry.lock:
        engine = _registry.by_settings.get(settings)
        if engine is None or engine.closed:
            engine = _registry.by_settings[settings] = Cognition.open(settings)
        return engine


def open_engines() -> list[Cognition]:
    """Return the engines that this process has open, for reports that cover all of them."""
    return list(_registry.all)
