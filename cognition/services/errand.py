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
from cognition.domain.fingerprint import address_of
from cognition.domain.pricing import FREE
from cognition.domain.routing import Target, chain_of
from cognition.errors import BudgetExceeded, CognitionError, ProviderError, ProviderTimeout, ProviderUnavailable
from cognition.events import Emit, FellBack, RetryDenied, RetryScheduled
from cognition.ports import Clock, Provider
from cognition.resilience.in_thread import InThread
from cognition.resilience.pipeline import Pipeline
from cognition.resilience.policy import Rules
from cognition.resilience.timing import Deadline
from cognition.services.all_layers import AllLayers
from cognition.services.call_spending import CallSpending, RouteTo
from cognition.services.cost_control import Attempt, CostControl
from cognition.services.policies import Policies
from cognition.services.semantic_layer import Sighting
from cognition.services.single_flight import Land, Personal, SingleFlight, no_lease
from cognition.services.spending import Downgrade, Hold, Spending


@dataclass(frozen=True, slots=True)
class Unanswered:
    """A call that no layer could answer.

    Attributes:
        call: The call.
        address: Where its answer belongs.
        started: When the caller began to wait, by the monotonic clock.
        sighting: What L3 saw, None when it was not asked.
        generation: The namespace's generation when the layers were asked, None when none of them knew or was asked.
    """

    call: Call
    address: Address
    started: float
    sighting: Sighting | None = None
    generation: int | None = None


@dataclass(frozen=True, slots=True)
class Collaborators:
    """What the service works with; `flights`, `provider`, `pipeline` and `spending` live on the owner loop.

    `route_to` says how a model is reached that a budget names.
    """

    layers: AllLayers
    flights: SingleFlight[CacheEntry]
    provider: Provider
    pipeline: Pipeline
    costs: CostControl
    spending: Spending
    route_to: RouteTo
    in_thread: InThread


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model answered.

    Attributes:
        model: The model, `provider:model`.
        response: Its answer.
        latency: How long it took.
        hold: What was set aside for it.
    """

    model: str
    response: ModelResponse
    latency: timedelta
    hold: Hold


class OwnAnswer(Personal):
    """The answer of a model that a budget wanted for this caller, who did not ask for it."""

    def __init__(self, entry: CacheEntry) -> None:
        """Hold the answer."""
        super().__init__("A budget had a cheaper model asked.")
        self.entry = entry


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
        self._generation = missed.generation
        self._policies = policies
        self._found: Hit | Miss = Miss()
        self._land: Land[CacheEntry] = no_lease
        self._place = missed.address  # where the answer is kept
        self._money = CallSpending(parts.spending, parts.route_to, missed.call, missed.address, emit)
        self.attempts = 0

    def look_again(self, land: Land[CacheEntry]) -> None:
        """See what the cache holds now; blocks."""
        self._land = land
        self._parts.spending.refresh()
        self._found = self._parts.layers.peek(self._address, self._policies.semantic)

    async def run(self) -> CacheEntry:
        """Return the answer as an entry, from the cache if somebody stored it before `look_again`."""
        found, policy = self._found, self._policies.cache
        if isinstance(found, Hit) and policy.may_look_up and self._fits(found.entry):
            return found.entry
        generation = found.entry.generation if isinstance(found, Hit) else found.generation
        # The look-up asked L2 as well: L1, which is asked again, may have missed an invalidation. While no store can
        # tell, the first is assumed; the answer is not kept if that proves wrong.
        return await self.ask_provider(max(generation or FIRST_GENERATION, self._generation or FIRST_GENERATION))

    async def ask_provider(self, generation: int = FIRST_GENERATION) -> CacheEntry:
        """Return the provider's answer, after it is booked and kept.

        Args:
            generation: The namespace's generation before the provider was asked.
        """
        try:
            answer = await self._ask_within_budgets(self._policies)
        except CognitionError as error:
            # Of a model that others would not have been asked of.
            error.personal = error.personal or self._money.is_downgraded
            raise
        entry = answer if isinstance(answer, CacheEntry) else await self._booked(answer, generation)
        if self._money.is_downgraded:
            raise OwnAnswer(entry)
        return entry

    async def may_enter(self) -> bool:
        """Whether money may have come back that a budget refused the call for."""
        return await self._money.may_enter()

    async def _booked(self, answer: Answer, generation: int) -> CacheEntry:
        # Once paid, an answer is booked and kept even when the caller has gone meanwhile.
        return await asyncio.shield(asyncio.ensure_future(self._keep(answer, generation)))

    async def _ask_within_budgets(self, policies: Policies) -> Answer | CacheEntry:
        """Ask, of a cheaper model if a budget wants that, whose answer may be cached as the answer of that model."""
        policy = policies.resilience
        chain = chain_of(self._call.request, policies.fallbacks, policy.service)
        deadline = Deadline(policy.deadline, self._parts.pipeline.timing.monotonic)
        while True:
            try:
                return await self._parts.pipeline.run(
                    chain, self._attempt, Rules(policy, policies.gate, deadline), self
                )
            except Downgrade as cheaper:
                chain = self._money.downgraded(chain, cheaper, policy.service)
                self._place = address_of(chain[0].request)
                found = await self._parts.in_thread(partial(self._parts.layers.peek, self._place, policies.semantic))
                if isinstance(found, Hit) and policies.cache.may_look_up and self._fits(found.entry):
                    return found.entry

    def _fits(self, entry: CacheEntry) -> bool:
        return self._call.request.output.fits(entry.response)

    def retrying(self, wait_seconds: float, error: CognitionError) -> None:
        """Tell that another attempt follows."""
        self._emit(RetryScheduled(self._call, self.attempts, wait_seconds, type(error).__name__))

    def not_retrying(self, reason: CognitionError) -> None:
        """Tell what stood against another attempt."""
        self._emit(RetryDenied(self._call, self.attempts, type(reason).__name__))

    def falling_back(self, target: Target, follower: Target, error: CognitionError) -> None:
        """Tell that the next model of the chain is asked."""
        self._emit(FellBack(self._call, target.model, follower.model, type(error).__name__))

    async def _attempt(self, target: Target, seconds: float) -> Answer:
        # An SDK takes up to a second to import: the first attempt would have to share its time with that.
        await self._parts.provider.prepare(target.request)
        hold = await self._reserve(target)
        self.attempts, started = self.attempts + 1, time.perf_counter()
        response: ModelResponse | None = None
        try:
            response = await self._ask_in_time(target, seconds)
            _check_finished(response, target)
            self._call.request.output.parse(response)
        except BaseException as error:
            # Also when cancelled, or when the user's own check breaks: what was asked stands in the ledger.
            failed = Attempt(model=target.model, status="failed_free", latency=_since(started), hold=hold)
            await asyncio.shield(asyncio.ensure_future(self._book_failure(failed, error, response)))
            raise
        return Answer(target.model, response, _since(started), hold)

    async def _reserve(self, target: Target) -> Hold:
        if self._parts.costs.is_keeping:
            await self._parts.in_thread(self._parts.costs.require_room)
        try:
            return await self._money.reserve(target)
        except BudgetExceeded as error:
            # Nothing was asked yet, so the caller can wait where it keeps nobody else from asking.
            error.waits_outside = not self.attempts
            raise

    async def _ask_in_time(self, target: Target, seconds: float) -> ModelResponse:
        try:
            async with asyncio.timeout(seconds):
                return await self._parts.provider.ask(target.request)
        except TimeoutError as error:
            message = f"{target.model} gave no answer in {seconds:g} seconds; try later or raise attempt_timeout."
            raise ProviderTimeout(
                message, provider=target.provider, model=target.model, status=None, retry_after=None
            ) from error

    async def _keep(self, answer: Answer, generation: int) -> CacheEntry:
        response, model, now = answer.response, answer.model, self._clock()
        cost = answer.hold.cost_unless_told(self._parts.costs.cost_of(model, response))
        attempt = Attempt(
            model=model,
            status="ok",
            latency=answer.latency,
            usage=response.usage,
            cost=cost,
            hold=answer.hold,
        )
        entry = CacheEntry(
            key=self._place.key.hex(),
            generation=generation,
            model=model,
            requested_model=self._call.model,
            response=response,
            cost_usd=cost.usd if cost else None,
            created_at=now,
            expires_at=now,
            request_id=self._call.request_id,
            tags=self._call.attribution.labels,
        )
        book = partial(self._parts.costs.book, self._call, self._address, attempt)
        store = partial(self._store, entry)
        done = count()

        def use(step: Callable[[], object]) -> None:
            step()
            if next(done):  # the other step came first
                self._land(entry)

        # Side by side, because booking waits for the disk, which takes longer than everything else in here.
        await asyncio.gather(*(self._parts.in_thread(partial(use, step)) for step in (book, store)))
        return entry

    def _store(self, entry: CacheEntry) -> None:
        """Keep an answer as that of the model that was asked for, or of the one that a budget named instead."""
        if self._place is self._address:
            self._parts.layers.store(self._call, self._address, entry, self._sighting, self._policies)
        else:
            self._parts.layers.exact.store(self._place, entry, self._policies.cache)

    async def _book_failure(self, failed: Attempt, error: BaseException, response: ModelResponse | None) -> None:
        """Book an attempt that failed; an answer of the wrong shape has been paid for all the same."""
        failed = replace(failed, error=type(error).__name__)
        if response is not None:
            cost = self._parts.costs.cost_of(failed.model, response)
            failed = replace(failed, status="failed_billed", usage=response.usage, cost=cost)
        elif isinstance(error, asyncio.CancelledError):
            failed = replace(failed, status="cancelled")
        elif failed.hold.pays and not (isinstance(error, ProviderError) and error.is_free):
            # Whoever was asked may have answered, or answer yet, and send the bill: a budget counts on it.
            failed = replace(failed, status="failed_billed")
        else:
            failed = replace(failed, cost=FREE)
        failed = replace(failed, cost=failed.hold.cost_unless_told(failed.cost))
        await self._parts.in_thread(partial(self._parts.costs.book, self._call, self._address, failed))


def _check_finished(response: ModelResponse, target: Target) -> None:
    """Refuse an answer that was cut off on its way: without a reason to end, nobody knows what is missing.

    Raises:
        ProviderUnavailable: The answer is no whole one.
    """
    if response.state == "complete" and response.finish_reason not in {None, "error"}:
        return
    message = f"{target.model} broke off in the middle of its answer; try later or use another model."
    raise ProviderUnavailable(message, provider=target.provider, model=target.model, status=None)


def _since(started: float) -> timedelta:
    return timedelta(seconds=time.perf_counter() - started)
