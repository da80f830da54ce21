"""Whether two answers say the same: how the semantic layer learns its own error, off every caller's path."""

from __future__ import annotations

import os
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, replace
from functools import partial
from itertools import zip_longest
from typing import Any, Literal, cast

from pydantic_ai.messages import ModelResponse
from pydantic_core import to_jsonable_python

from cognition.domain.cache_policy import CachePolicy
from cognition.domain.completion import Call, Completion, CompletionRequest, Credentials
from cognition.domain.fingerprint import address_of
from cognition.domain.guard import analyse, compare
from cognition.domain.output import TEXT, output_type
from cognition.domain.semantic import LabelSource
from cognition.domain.semantic_policy import SemanticPolicy
from cognition.errors import CognitionError
from cognition.events import CheckDue, Event
from cognition.resilience.in_thread import InThread
from cognition.resilience.policy import ResiliencePolicy
from cognition.services.embeddings import Embeddings
from cognition.services.errand import Unanswered
from cognition.services.policies import Policies
from cognition.services.semantic_trust import SemanticTrust

CHECK_TAG = "cognition:check"
"""Marks calls that the engine makes for itself in the ledger, so that nobody has to wonder who made them."""

# Two answers of a model to one question are as alike as this as a rule, and answers to different ones are not. What
# lies between tells nothing.
_ALIKE = 0.85
_DIFFERENT = 0.6

_INSTRUCTIONS = (
    "You are given two questions and the answer that was given to the first one. Say yes if that answer is also a"
    " correct and complete answer to the second question; otherwise say no."
)
# The verdict is a word; the rest is room for a model that thinks first. Without it a budget would have to set aside the
# longest answer that the judge can give.
_VERDICT = {"max_tokens": 1000}
_APART = Policies(
    cache=CachePolicy(mode="bypass"), semantic=SemanticPolicy(mode="off"), resilience=ResiliencePolicy(attempts=1)
)


@dataclass(frozen=True, slots=True)
class OpinionParts:
    """What it works with.

    Attributes:
        embeddings: Compare texts where no judge is named.
        trust: Keeps the verdicts.
        ask: Asks a model and books the call, as `CompletionService.ask` does.
        spawn: Runs work on the owner loop that nobody waits for.
        in_thread: Runs a blocking call in a worker thread.
    """

    embeddings: Embeddings
    trust: SemanticTrust
    ask: Callable[[Unanswered, Policies], Awaitable[Completion[Any]]]
    spawn: Callable[[Coroutine[Any, Any, object]], None]
    in_thread: InThread


class SecondOpinion:
    """Compares a neighbour's answer with the provider's own: by value, by a judging model, or by their vectors."""

    def __init__(self, parts: OpinionParts) -> None:
        """Prepare."""
        self._parts = parts

    def observe(self, event: Event) -> None:
        """Compare what is due, on the owner loop, while the caller goes on."""
        if isinstance(event, CheckDue):
            self._parts.spawn(self._check(event))

    async def _check(self, due: CheckDue) -> None:
        fresh = due.fresh.response if due.fresh else await self._answer(due.call)
        verdict, source = await self._verdict(due, fresh)
        if verdict is not None:
            await self._parts.in_thread(partial(self._parts.trust.judge, due.pair, source, right=verdict))

    async def _answer(self, caller: Call) -> ModelResponse:
        """Return the provider's own answer to what was answered from a neighbour."""
        return (await self._ask(own_call(caller, caller.request))).response

    async def _ask(self, call: Call) -> Completion[Any]:
        return await self._parts.ask(Unanswered(call, address_of(call.request), time.perf_counter()), _APART)

    async def _verdict(self, due: CheckDue, fresh: ModelResponse) -> tuple[bool | None, LabelSource]:
        output = due.call.request.output
        values = [output.parse(due.neighbour.response), output.parse(fresh)]
        same = same_value(*map(to_jsonable_python, values))
        if same is None and due.judge is not None:
            return await self._judged(due, str(values[0]), due.judge), "judge"
        if same is None and output is TEXT:
            same = await self._parts.in_thread(partial(self._alike, due.pair.tenant, *values))
        return same, "shadow"

    async def _judged(self, due: CheckDue, answer: str, judge: str) -> bool | None:
        pair, asked = due.pair, due.call.request
        prompt = f"First question:\n{pair.cached_text}\n\nIts answer:\n{answer}\n\nSecond question:\n{pair.asked_text}"
        request = CompletionRequest(
            prompt=prompt,
            model=judge,
            tenant=pair.tenant,
            namespace=pair.namespace,
            instructions=_INSTRUCTIONS,
            settings=_VERDICT,
            output=output_type(Literal["yes", "no"]),
            # Its key is for its own provider alone.
            credentials=asked.credentials if judge.partition(":")[0] == asked.provider else Credentials(),
        )
        try:
            return (await self._ask(own_call(due.call, request))).output == "yes"
        except CognitionError:
            return None

    def _alike(self, tenant: str, one: str, other: str) -> bool | None:
        vectors = self._parts.embeddings.of(tenant, [one, other])
        if one not in vectors or other not in vectors:
            return None
        similarity = float(vectors[one] @ vectors[other])
        if similarity < _DIFFERENT:
            return False
        if similarity < _ALIKE or compare(analyse(one), analyse(other)).differences:
            return None
        return True


def own_call(caller: Call, request: CompletionRequest) -> Call:
    """Return a call that the engine makes for itself, booked to the one who caused it and marked as its own."""
    attribution = replace(caller.attribution, tags=(*caller.attribution.tags, CHECK_TAG))
    return Call(request=request, attribution=attribution, request_id=os.urandom(16).hex())


def same_value(one: Any, other: Any) -> bool | None:
    """Return whether two JSON values say the same; None when they differ in prose alone, which only a reader can tell.

    Args:
        one: A JSON value.
        other: Another one.
    """
    if isinstance(one, str) and isinstance(other, str):
        words = [" ".join(text.split()).casefold() for text in (one, other)]
        if words[0] == words[1]:
            return True
        return None if all(" " in text for text in words) else False
    if isinstance(one, dict) and isinstance(other, dict):
        first, second = cast("dict[str, Any]", one), cast("dict[str, Any]", other)
        if first.keys() != second.keys():
            return False
        parts = [same_value(first[name], second[name]) for name in first]
    elif isinstance(one, list) and isinstance(other, list):
        items = list(zip_longest(cast("list[Any]", one), cast("list[Any]", other)))
        parts = [same_value(*item) for item in items]
    else:
        return bool(one == other)
    return False if False in parts else None if None in parts else True
