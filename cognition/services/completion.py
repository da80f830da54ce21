"""The path of one request; read it top to bottom.

Looking up runs in the caller's thread; what a miss needs runs on the owner loop.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any

from cognition.domain.completion import Call, Completion
from cognition.domain.entry import CacheEntry, Hit, Layer, LookUp
from cognition.domain.fingerprint import address_of
from cognition.errors import CognitionError, OnlyCachedMiss, OutputInvalid
from cognition.events import Answered, CheckDue, Emit, Failed
from cognition.ports import Clock
from cognition.services.errand import Collaborators, Errand, Unanswered
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

    def look_up(self, calls: Sequence[Call], policies: Policies) -> list[Completion[Any] | Unanswered]:
        """Answer calls from the cache, with one round trip a layer for all; all of one tenant, namespace and model.

        Raises:
            OnlyCachedMiss: A call is not in the cache and the policy forbids to ask the provider.
        """
        started = time.perf_counter()
        addresses = [address_of(call.request) for call in calls]
        seen = self._parts.layers.look_up(calls, addresses, policies)
        return [
            self._answer_from_cache(Unanswered(call, address, started, sighting), found, policies)
            for call, address, (found, sighting) in zip(calls, addresses, seen, strict=True)
        ]

    async def ask(self, missed: Unanswered, policies: Policies) -> Completion[Any]:
        """Answer a call that the cache could not; identical calls made meanwhile share one attempt.

        Raises:
            ProviderError: The provider gave no usable answer, after all attempts.
        """
        errand = Errand(self._parts, self._clock, self._emit, missed, policies)
        try:
            if policies.cache.mode == "bypass":
                entry, led = await errand.ask_provider(), True
            else:
                landing = await self._parts.flights.run(missed.address, errand.run)
                entry, led = landing.result, landing.led
            completion = self._completion(missed, entry, errand.attempts if led else 0)
        except CognitionError as error:
            self._emit(Failed(missed.call, type(error).__name__))
            raise
        self._emit(Answered(missed.call, missed.address, completion))
        self._check(missed, entry, policies)
        return completion

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
            return self._completion_of_hit(missed.call, Hit(Layer.L1, entry), missed.started)
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

    def _answer_from_cache(self, missed: Unanswered, found: LookUp, policies: Policies) -> Completion[Any] | Unanswered:
        call = missed.call
        if isinstance(found, Hit):
            try:
                completion = self._completion_of_hit(call, found, missed.started)
            except OutputInvalid:
                # Stored under another version of the output type's checks: as good as no entry.
                pass
            else:
                self._emit(Answered(call, missed.address, completion))
                self._check(missed, None, policies)
                return completion
        if policies.cache.mode == "only":
            error = OnlyCachedMiss(
                f"No answer of {call.model} to this request is cached; use cache='use' to ask the provider."
            )
            self._emit(Failed(call, type(error).__name__))
            raise error
        return missed

    def _check(self, missed: Unanswered, fresh: CacheEntry | None, policies: Policies) -> None:
        """Say that a pair was drawn to be compared with the provider's own answer, which is here or must be asked."""
        seen = missed.sighting
        if seen is not None and seen.check and seen.pair is not None and seen.nearest is not None:
            self._emit(CheckDue(missed.call, seen.pair, seen.nearest, fresh, policies.semantic.judge))

    def _completion_of_hit(self, call: Call, hit: Hit, started: float) -> Completion[Any]:
        entry = hit.entry
        return Completion(
            output=call.request.output.parse(entry.response),
            response=entry.response,
            layer=hit.layer,
            request_id=call.request_id,
            model=entry.model,
            requested_model=call.model,
            cost_usd=Decimal(0),
            saved_usd=self._parts.costs.saving_of(entry),
            latency=timedelta(seconds=time.perf_counter() - started),
            age=self._clock() - entry.created_at,
            similarity=entry.similarity,
        )


def _identical(found: Sequence[Completion[Any] | Unanswered], *, apart: bool) -> Iterable[Mapping[int, Unanswered]]:
    """Return the open calls of a batch by position, grouped by what they ask, or each on its own.

    Identical calls must be asked at the same time: only then do they share an answer that may not be kept.
    """
    groups: defaultdict[object, dict[int, Unanswered]] = defaultdict(dict)
    for position, one in enumerate(found):
        if isinstance(one, Unanswered):
            groups[position if apart else one.address.key][position] = one
    return groups.values()
