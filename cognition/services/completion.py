"""The path of one request; read it top to bottom.

Looking up runs in the caller's thread; what a miss needs runs on the owner loop.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any

from cognition.domain.completion import Calls, Completion, CompletionRequest
from cognition.domain.entry import FIRST_GENERATION, Address, CacheEntry, Hit, Layer, Miss
from cognition.domain.fingerprint import addresses_of
from cognition.domain.reservation import subjects_of
from cognition.errors import CognitionError, OnlyCachedMiss, OutputInvalid
from cognition.events import Answered, AnsweredMany, CheckDue, Emit, Failed
from cognition.ports import Clock
from cognition.resilience.timing import Deadline
from cognition.resilience.turns import in_turn
from cognition.services.cost_control import CostControl
from cognition.services.errand import Collaborators, Errand, OwnAnswer, Unanswered
from cognition.services.policies import Policies


class CompletionService:
    """Answers calls: from the cache when it may, else from the provider."""

    def __init__(self, collaborators: Collaborators, clock: Clock, emit: Emit) -> None:
        """Put the parts together.

        Args:
            collaborators: What the service works with.
            clock: Returns the present time.
            emit: Told about answers, errors and retries.
        """
        self._parts = collaborators
        self._clock = clock
        self._emit = emit

    def look_up(self, calls: Calls, policies: Policies) -> list[Completion[Any] | Unanswered]:
        """Answer calls from the cache, with one round trip a layer for all.

        Raises:
            OnlyCachedMiss: A call is not in the cache and the policy forbids to ask the provider.
        """
        started = time.perf_counter()
        addresses = addresses_of(calls.first, calls.prompts)
        seen = self._parts.layers.look_up(calls, addresses, policies)
        hit = _Hits(self._parts.costs, calls.first, self._clock(), timedelta(seconds=time.perf_counter() - started))
        completions = [
            hit.answer(one, request_id) if isinstance(one, Hit) else None
            for one, request_id in zip(seen.found, calls.request_ids, strict=True)
        ]
        self._tell(calls, addresses, completions)
        answers: list[Completion[Any] | Unanswered] = []
        for position, completion in enumerate(completions):
            sighting = seen.sightings.get(position)
            if completion is None or sighting is not None:
                found = seen.found[position]
                generation = found.generation if isinstance(found, Miss) else None
                missed = Unanswered(calls[position], addresses[position], started, sighting, generation)
                self._check(missed, None, policies) if completion else self._refuse_to_ask(missed, policies)
                answers.append(completion or missed)
            else:
                answers.append(completion)
        return answers

    async def ask(self, missed: Unanswered, policies: Policies) -> Completion[Any]:
        """Answer a call that the cache could not; identical calls made meanwhile share one attempt.

        Raises:
            ProviderError: The provider gave no usable answer, after all attempts.
        """
        errand = Errand(self._parts, self._clock, self._emit, missed, policies)
        timing = self._parts.pipeline.timing
        waited = time.perf_counter() - missed.started
        deadline = Deadline(policies.resilience.deadline, timing.monotonic).begin(waited)
        try:
            # Whoever waits for money waits here, where it keeps nobody from asking who has it.
            enter = partial(self._fly, errand, missed, policies)
            entry, led = await in_turn(enter, errand.may_enter, deadline, timing, outside=True)
            completion = self._completion(missed, entry, errand.attempts if led else 0)
        except CognitionError as error:
            self._emit(Failed(missed.call, type(error).__name__))
            raise
        self._emit(Answered(missed.call, missed.address, completion))
        self._check(missed, entry, policies)
        return completion

    async def _fly(self, errand: Errand, missed: Unanswered, policies: Policies) -> tuple[CacheEntry, bool]:
        """Return the answer, and whether this caller's own work brought it."""
        call = missed.call
        try:
            if policies.cache.mode == "bypass":
                return await errand.ask_provider(), True
            who = frozenset(subjects_of(call.request.tenant, call.attribution, call.model).items())
            while True:
                landing = await self._parts.flights.run(missed.address, errand.run, errand.look_again, who)
                # Somebody else's may have looked before an invalidation that this caller came after.
                if landing.led or landing.result.generation >= (missed.generation or FIRST_GENERATION):
                    break
        except OwnAnswer as own:
            return own.entry, True
        return landing.result, landing.led

    async def ask_many(
        self, found: Sequence[Completion[Any] | Unanswered], policies: Policies
    ) -> list[Completion[Any]]:
        """Answer what a look-up of many calls left open, some at a time; identical calls share one attempt.

        Raises:
            CognitionError: The first error, with a note that counts them; the other calls are answered all the same.
        """
        answers: list[Completion[Any] | Unanswered | BaseException] = list(found)
        places = asyncio.Semaphore(policies.resilience.max_concurrent)

        async def ask(calls: Mapping[int, Unanswered]) -> None:
            async with places:
                asked = (self.ask(missed, policies) for missed in calls.values())
                for position, answer in zip(calls, await asyncio.gather(*asked, return_exceptions=True), strict=True):
                    answers[position] = answer

        await asyncio.gather(*map(ask, _identical(found, apart=policies.cache.mode == "bypass")))
        errors = [one for one in answers if isinstance(one, BaseException)]
        if errors:
            if isinstance(errors[0], CognitionError):
                kept = len(answers) - len(errors)
                errors[0].add_note(f"{len(errors)} of {len(answers)} prompts failed; the other {kept} were answered.")
            raise errors[0]
        return [one for one in answers if isinstance(one, Completion)]

    def _completion(self, missed: Unanswered, entry: CacheEntry, attempts: int) -> Completion[Any]:
        if not attempts:
            # Another caller's answer, or one that was stored while this caller waited for its turn.
            latency = timedelta(seconds=time.perf_counter() - missed.started)
            hits = _Hits(self._parts.costs, missed.call.request, self._clock(), latency)
            return hits.completion(Hit(Layer.L1, entry), missed.call.request_id)
        return Completion(
            output=missed.call.request.output.parse(entry.response),
            response=entry.response,
            layer=Layer.PROVIDER,
            request_id=missed.call.request_id,
            model=entry.model,
            requested_model=missed.call.model,
            cost_usd=entry.cost_usd,
            saved_usd=Decimal(0),
            latency=timedelta(seconds=time.perf_counter() - missed.started),
            attempts=attempts,
        )

    def _tell(self, calls: Calls, addresses: Sequence[Address], completions: Sequence[Completion[Any] | None]) -> None:
        """Emit what was answered, as one event however many they are."""
        answers = [
            (position, addresses[position], completion)
            for position, completion in enumerate(completions)
            if completion is not None
        ]
        if len(calls) > 1 and answers:
            self._emit(AnsweredMany(calls, answers))
        elif answers:
            self._emit(Answered(calls[0], addresses[0], answers[0][2]))

    def _check(self, missed: Unanswered, fresh: CacheEntry | None, policies: Policies) -> None:
        """Say that a pair was drawn to be compared with the provider's own answer, which is here or must be asked."""
        seen = missed.sighting
        if seen is not None and seen.check and seen.pair is not None and seen.nearest is not None:
            self._emit(CheckDue(missed.call, seen.pair, seen.nearest, fresh, policies.semantic.judge))

    def _refuse_to_ask(self, missed: Unanswered, policies: Policies) -> None:
        if policies.cache.mode != "only":
            return
        error = OnlyCachedMiss(
            f"No answer of {missed.call.model} to this request is cached; use cache='use' to ask the provider."
        )
        self._emit(Failed(missed.call, type(error).__name__))
        raise error


@dataclass(frozen=True, slots=True)
class _Hits:
    """Turns hits of one look-up into answers."""

    costs: CostControl
    request: CompletionRequest
    now: datetime
    latency: timedelta

    def answer(self, hit: Hit, request_id: str) -> Completion[Any] | None:
        """Return the answer, or None when it does not fit its output type any more."""
        try:
            return self.completion(hit, request_id)
        except OutputInvalid:
            # Stored under another version of the output type's checks: as good as no entry.
            return None

    def completion(self, hit: Hit, request_id: str) -> Completion[Any]:
        """Return the answer.

        Raises:
            OutputInvalid: It does not fit its output type any more.
        """
        output = self.request.output
        if output.is_text:
            return Completion.deferred(partial(self._text, hit.entry), layer=hit.layer, request_id=request_id)
        value = output.parse(hit.entry.response)
        return Completion.deferred(
            partial(self._facts, hit.entry), layer=hit.layer, request_id=request_id, output=value
        )

    def _text(self, entry: CacheEntry, field: str) -> dict[str, Any]:
        """Return the answer; all else only if that is what is read, for most callers read nothing but the text."""
        if field == "response":
            return {"response": entry.response}
        if field == "output":
            return {"output": self.request.output.parse(entry.response)}
        return self._facts(entry, field)

    def _facts(self, entry: CacheEntry, _: str) -> dict[str, Any]:
        """Return what is worked out when somebody looks at it; nothing of it can fail."""
        return {
            "response": entry.response,
            "model": entry.model,
            "requested_model": self.request.model,
            "cost_usd": Decimal(0),
            "saved_usd": self.costs.saving_of(entry),
            "latency": self.latency,
            "age": self.now - entry.created_at,
            "similarity": entry.similarity,
            "stale": False,
            "attempts": 0,
        }


def _identical(found: Sequence[Completion[Any] | Unanswered], *, apart: bool) -> Iterable[Mapping[int, Unanswered]]:
    """Return the open calls of a batch by position, grouped by what they ask, or each on its own.

    Identical calls must be asked at the same time: only then do they share an answer that may not be kept.
    """
    groups: defaultdict[object, dict[int, Unanswered]] = defaultdict(dict)
    for position, one in enumerate(found):
        if isinstance(one, Unanswered):
            groups[position if apart else one.address.key][position] = one
    return groups.values()
