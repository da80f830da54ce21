"""What a miss needs, on the owner loop: ask the provider, book the attempt, keep the answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from itertools import count

from pydantic_ai.messages import ModelResponse

from cognition.domain.completion import Call
from cognition.domain.entry import FIRST_GENERATION, Address, CacheEntry, Hit, Miss
from cognition.domain.pricing import FREE
from cognition.errors import CognitionError, ProviderTimeout
from cognition.events import Emit, RetryScheduled
from cognition.ports import Clock, Provider
from cognition.resilience.retry import retry
from cognition.services.all_layers import AllLayers
from cognition.services.cost_control import Attempt, CostControl
from cognition.services.policies import Policies
from cognition.services.semantic_layer import Sighting
from cognition.services.single_flight import InThread, Land, SingleFlight, no_lease


@dataclass(frozen=True, slots=True)
class Unanswered:
    """A call that no layer could answer.

    Attributes:
        call: The call.
        address: Where its answer belongs.
        started: When the caller began to wait, by the monotonic clock.
        sighting: What L3 saw, None when it was not asked.
    """

    call: Call
    address: Address
    started: float
    sighting: Sighting | None = None


@dataclass(frozen=True, slots=True)
class Collaborators:
    """What the service works with; `flights` and `provider` live on the owner loop."""

    layers: AllLayers
    flights: SingleFlight[CacheEntry]
    provider: Provider
    costs: CostControl
    in_thread: InThread


class Errand:
    """One caller's work for a miss; it runs only if this caller leads the flight."""

    def __init__(self, parts: Collaborators, clock: Clock, emit: Emit, missed: Unanswered, policies: Policies) -> None:
        """Prepare, ask nothing yet."""
        self._parts = parts
        self._clock = clock
        self._emit = emit
        self._call = missed.call
        self._address = missed.address
        self._sighting = missed.sighting
        self._policies = policies
        self._found: Hit | Miss = Miss()
        self._land: Land[CacheEntry] = no_lease
        self.attempts = 0

    def look_again(self, land: Land[CacheEntry]) -> None:
        """See what the cache holds now; blocks."""
        self._land = land
        self._found = self._parts.layers.exact.peek(self._address)

    async def run(self) -> CacheEntry:
        """Return the answer as an entry, from the cache if somebody stored it before `look_again`."""
        found, policy = self._found, self._policies.cache
        if isinstance(found, Hit) and policy.may_look_up and self._call.request.output.fits(found.entry.response):
            return found.entry
        generation = found.entry.generation if isinstance(found, Hit) else found.generation
        # While no store can tell, the first is assumed; the answer is not kept if that proves wrong.
        return await self.ask_provider(generation or FIRST_GENERATION)

    async def ask_provider(self, generation: int = FIRST_GENERATION) -> CacheEntry:
        """Return the provider's answer, after it is booked and kept.

        Args:
            generation: The namespace's generation before the provider was asked.
        """
        response, latency = await retry(self._attempt, self._policies.resilience, self._told)
        # Once paid, an answer is booked and kept even when the caller has gone meanwhile.
        return await asyncio.shield(asyncio.ensure_future(self._keep(response, latency, generation)))

    async def _attempt(self, number: int) -> tuple[ModelResponse, timedelta]:
        self.attempts = number
        started = time.perf_counter()
        response: ModelResponse | None = None
        try:
            response = await self._ask_in_time()
            self._call.request.output.parse(response)
        except BaseException as error:
            # Also when cancelled, or when the user's own check breaks: what was asked stands in the ledger.
            await asyncio.shield(asyncio.ensure_future(self._book_failure(number, started, error, response)))
            raise
        return response, _since(started)

    async def _ask_in_time(self) -> ModelResponse:
        seconds = self._policies.resilience.attempt_timeout.total_seconds()
        try:
            async with asyncio.timeout(seconds):
                return await self._parts.provider.ask(self._call.request)
        except TimeoutError as error:
            model = self._call.model
            message = f"{model} gave no answer in {seconds:g} seconds; try later or raise attempt_timeout."
            raise ProviderTimeout(message, provider=self._call.request.provider, model=model, status=None) from error

    async def _keep(self, response: ModelResponse, latency: timedelta, generation: int) -> CacheEntry:
        model, now = self._call.model, self._clock()
        cost = self._parts.costs.cost_of(model, response.usage)
        attempt = Attempt(
            number=self.attempts, model=model, status="ok", latency=latency, usage=response.usage, cost=cost
        )
        entry = CacheEntry(
            key=self._address.key.hex(),
            generation=generation,
            model=model,
            requested_model=model,
            response=response,
            cost_usd=cost.usd if cost else None,
            created_at=now,
            expires_at=now,
            request_id=self._call.request_id,
            tags=self._call.attribution.labels,
        )
        book = partial(self._parts.costs.book, self._call, self._address, attempt)
        seen = self._sighting
        store = partial(self._parts.layers.store, self._call, self._address, entry, seen, self._policies)
        done = count()

        def use(step: Callable[[], object]) -> None:
            step()
            if next(done):  # the other step came first
                self._land(entry)

        # Side by side, because booking waits for the disk, which takes longer than everything else in here.
        await asyncio.gather(*(self._parts.in_thread(partial(use, step)) for step in (book, store)))
        return entry

    async def _book_failure(
        self, number: int, started: float, error: BaseException, response: ModelResponse | None
    ) -> None:
        """Book an attempt that failed; an answer of the wrong shape has been paid for all the same."""
        cancelled = isinstance(error, asyncio.CancelledError)
        attempt = Attempt(
            number=number,
            model=self._call.model,
            status="cancelled" if cancelled else "failed_billed" if response is not None else "failed_free",
            latency=_since(started),
            cost=None if cancelled else FREE,
            error=type(error).__name__,
        )
        if response is not None:
            cost = self._parts.costs.cost_of(self._call.model, response.usage)
            attempt = replace(attempt, usage=response.usage, cost=cost)
        await self._book(attempt)

    async def _book(self, attempt: Attempt) -> None:
        await self._parts.in_thread(partial(self._parts.costs.book, self._call, self._address, attempt))

    def _told(self, attempt: int, wait_seconds: float, error: CognitionError) -> None:
        self._emit(RetryScheduled(self._call, attempt, wait_seconds, type(error).__name__))


def _since(started: float) -> timedelta:
    return timedelta(seconds=time.perf_counter() - started)
