# pyright: basic, reportMissingImports=false
# Runs in a peer's own environment, which our type checker does not see.
"""LiteLLM's `Cache` under `litellm.completion`, without its proxy."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # else it asks the internet for prices while it is imported

import litellm
from litellm import BudgetManager
from litellm.caching.caching import Cache

from benchmarks.peers.port import NOBODY, Caller, Peer, Place, answer_of


class _Instant(litellm.CustomLLM):
    """A provider in this process that answers at once."""

    def completion(self, *_: Any, messages: list[Any], model_response: Any, **__: Any) -> litellm.ModelResponse:
        model_response.choices[0].message.content = answer_of(messages[-1]["content"])
        return model_response

    async def acompletion(self, *_: Any, messages: list[Any], model_response: Any, **__: Any) -> litellm.ModelResponse:
        return self.completion(messages=messages, model_response=model_response)


class Overspent(Exception):
    """The budget is spent."""


class _LiteLLM(Peer):
    def __init__(self, place: Place) -> None:
        super().__init__(place)
        litellm.suppress_debug_info = True
        litellm.cache = self.made(place)
        if place.provider_url:
            self._options = {"api_base": place.provider_url, "api_key": "any"}
            self._provider = "openai"
        else:
            litellm.custom_provider_map = [{"provider": "instant", "custom_handler": _Instant()}]
            self._options = {}
            self._provider = "instant"

    def made(self, place: Place) -> Cache:
        """Return the cache."""
        raise NotImplementedError

    def complete(self, prompt: str, caller: Caller = NOBODY) -> str:
        # A namespace for each tenant is what its documentation offers; without it they share.
        return litellm.completion(**self._request(prompt, caller)).choices[0].message.content

    async def acomplete(self, prompt: str) -> str:
        return (await litellm.acompletion(**self._request(prompt, NOBODY))).choices[0].message.content

    def complete_many(self, prompts: Sequence[str]) -> list[str]:
        request = self._request("", NOBODY)
        batch = [[{"role": "user", "content": prompt}] for prompt in prompts]
        return [one.choices[0].message.content for one in litellm.batch_completion(**request | {"messages": batch})]

    def get(self, prompt: str) -> str | None:
        found = litellm.cache.get_cache(**self._request(prompt, NOBODY))
        return str(found) if found else None

    def budget(self, limit_cents: int) -> None:
        os.chdir(self.place.folder)  # it keeps a file in the working folder
        self._budgets = BudgetManager(project_name="benchmark")
        self._budgets.create_budget(total_budget=limit_cents / 100, user=NOBODY.tenant)

    def complete_within_budget(self, prompt: str) -> str:
        # As its page on budgets shows: compare, call, add. (`litellm.max_budget` stopped no call at all in 1.110.2.)
        if self._budgets.get_current_cost(NOBODY.tenant) > self._budgets.get_total_budget(NOBODY.tenant):
            raise Overspent
        answer = litellm.completion(**self._request(prompt, NOBODY))
        self._budgets.update_cost(completion_obj=answer, user=NOBODY.tenant)
        return answer.choices[0].message.content

    def _request(self, prompt: str, caller: Caller) -> dict[str, Any]:
        messages = [{"role": "system", "content": caller.system}] if caller.system else []
        messages.append({"role": "user", "content": prompt})
        model = f"{self._provider}/{caller.model}"
        return {"model": model, "messages": messages, "caching": True, **self._options}


class LiteLLMLocal(_LiteLLM):
    """In the process."""

    shared = False

    def made(self, place: Place) -> Cache:
        del place
        return Cache(type="local", ttl=3600)


class LiteLLMRedis(_LiteLLM):
    """On Redis."""

    def made(self, place: Place) -> Cache:
        return Cache(type="redis", url=place.redis_url, ttl=3600)


PEERS: dict[str, type[Peer]] = {"litellm-local": LiteLLMLocal, "litellm-redis": LiteLLMRedis}
