"""What a miss needs, on the owner loop: ask the provider, book the attempt, keep the answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from itertools import count

from pydantic_ai.messages import ModelResponse

from cognition.domain.completion import Call
from cognition.domain.entry import FIRST_GENERATION, Address, CacheEntry, Hit, Miss
from cognition.domain.ledger import call_key_of
from cognition.domain.pricing import FREE
from cognition.domain.reservation import CallAttempt
from cognition.domain.routing import Route, Target, chain_of
from cognition.errors import BudgetExceeded, CognitionError, ProviderTimeout, ProviderUnavailable
from cognition.events import Downgraded, Emit, FellBack, RetryDenied, RetryScheduled
from cognition.ports import Clock, Provider
from cognition.resilience.in_thread import InThread
from cognition.resilience.pipeline import Pipeline
from cognition.resilience.policy import ResiliencePolicy, Rules
from cognition.resilience.turns import Turns
from cognition.services.all_layers import AllLayers
from cognition.services.cost_control import Attempt, CostControl
from cognition.services.policies import Policies
from cognition.services.semantic_layer import Sighting
from cognition.services.single_flight import Land, SingleFlight, no_lease
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
    route_to: Callable[[str], Route]
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
        self._avoided: set[str] = set()
        self._numbers = 0
        self.attempts = 0

    def look_again(self, land: Land[CacheEntry]) -> None:
        """See what the cache holds now; blocks."""
        self._land = land
        self._parts.spending.refresh()
        self._found = self._parts.layers.peek(self._address, self._policies.semantic)

    async def run(self) -> CacheEntry:
        """Return the answer as an entry, from the cache if somebody stored it before `look_again`."""
        found, policy = self._found, self._policies.cache
        if isinstance(found, Hit) and policy.may_look_up and self._call.request.output.fits(found.entry.response):
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
        answer = await self._ask_within_budgets(self._policies.resilience)
        # Once paid, an answer is booked and kept even when the caller has gone meanwhile.
        return await asyncio.shield(asyncio.ensure_future(self._keep(answer, generation)))

    async def _ask_within_budgets(self, policy: ResiliencePolicy) -> Answer:
        """Ask, of a cheaper model if a budget wants that; wait while money is set aside that may come back."""
        chain = chain_of(self._call.request, self._policies.fallbacks, policy.service)
        turns = Turns(policy.deadline)
        while True:
            try:
                return await self._parts.pipeline.run(chain, self._attempt, Rules(policy, self._policies.gate), self)
            except Downgrade as cheaper:
                chain = self._downgraded(chain, cheaper, policy.service)
            except BudgetExceeded as error:
                # Outside the pipeline, so that the wait holds neither permit nor place.
                if not error.is_full_for_now or not await turns.another():
                    raise

    def _downgraded(self, chain: Sequence[Target], cheaper: Downgrade, service: str | None) -> tuple[Target, ...]:
        """Return the chain with a cheaper model in the place of one."""
        self._avoided.add(cheaper.instead_of)
        position = next(place for place, target in enumerate(chain) if target.model == cheaper.instead_of)
        self._emit(Downgraded(self._call, cheaper.instead_of, cheaper.model))
        instead = chain_of(self._call.request, (self._parts.route_to(cheaper.model),), service)[-1:]
        rest = [target for target in chain[position + 1 :] if target.model not in {cheaper.model, *self._avoided}]
        return (*instead, *rest)

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
        # Numbers run over the whole chain, because they tell the rows of one call apart in the ledger.
        self._numbers += 1
        call_key = call_key_of(self._call.attribution, self._call.request_id, self._address.key)
        attempt = CallAttempt(call_key, self._numbers)
        try:
            return await self._parts.spending.reserve(self._call, target, attempt, self._avoided)
        except BudgetExceeded:
            self._numbers -= 1  # nothing was set aside under it
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
            key=self._address.key.hex(),
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

    async def _book_failure(self, failed: Attempt, error: BaseException, response: ModelResponse | None) -> None:
        """Book an attempt that failed; an answer of the wrong shape has been paid for all the same."""
        failed = replace(failed, error=type(error).__name__)
        if response is not None:
            cost = self._parts.costs.cost_of(failed.model, response)
            failed = replace(failed, status="failed_billed", usage=response.usage, cost=cost)
        elif isinstance(error, asyncio.CancelledError):
            failed = replace(failed, status="cancelled")
        elif failed.hold.pays and isinstance(error, ProviderTimeout) and error.status is None:
            # Whom nobody waits for any more may answer all the same, and send the bill: a budget counts on it.
            failed = replace(failed, status="failed_billed")
        else:
            failed = replace(failed, cost=FREE)
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
