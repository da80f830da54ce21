"""Ourselves, layer by layer: `Cognition.complete` on the Redis and PostgreSQL that the peers use too."""

from __future__ import annotations

import os
from collections.abc import Sequence
from decimal import Decimal
from functools import partial
from typing import Any
from zlib import crc32

from pydantic_ai.messages import ModelResponse, TextPart
from pydantic_ai.usage import RequestUsage
from typing_extensions import override

from benchmarks.peers.port import MODEL, NOBODY, Caller, Peer, Place, Unsupported, answer_of
from cognition import Budget, Cognition, CompletionRequest, SemanticPolicy, Settings
from cognition.domain.entry import Address
from cognition.domain.fingerprint import address_of

_BATCH = 1000
_MOST_TOKENS = 1000  # a budget sets aside what an answer can cost at most


class InstantAnswers:
    """A provider in this process that answers each prompt at once."""

    async def prepare(self, request: CompletionRequest) -> None:
        """Be ready."""

    async def ask(self, request: CompletionRequest) -> ModelResponse:
        """Return the prompt's own text."""
        text = answer_of(_prompt_of(request))
        usage = RequestUsage(input_tokens=20, output_tokens=500)
        return ModelResponse(parts=[TextPart(text)], usage=usage, finish_reason="stop")

    async def close(self) -> None:
        """Hold nothing."""


class Ours(Peer):
    """Whatever answers first: L1 after the first time."""

    embedder: str | None = None

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        os.environ["OPENAI_API_KEY"] = "any"
        if place.provider_url:
            os.environ["OPENAI_BASE_URL"] = place.provider_url
        self._engines: dict[str, Cognition] = {}
        self._policy = SemanticPolicy(check_share=0.0)
        self.engine(NOBODY.tenant)

    def engine(self, tenant: str) -> Cognition:
        """Return the engine of a tenant."""
        if tenant not in self._engines:
            values: dict[str, Any] = {
                "database_url": self.place.database_url,
                "redis_url": self.place.redis_url,
                "tenant": f"{type(self).__name__}-{tenant}-{crc32(self.place.folder.encode()):x}",
                "embedder": self.embedder,
                "semantic": self._policy,
                "max_tokens": _MOST_TOKENS,
            }
            provider = None if self.place.provider_url else InstantAnswers()
            self._engines[tenant] = Cognition.open(Settings.model_validate(values), provider=provider)
        return self._engines[tenant]

    @override
    def complete(self, prompt: str, caller: Caller = NOBODY) -> str:
        ask = partial(self.engine(caller.tenant).complete, prompt, model=_named(caller.model))
        return (ask(instructions=caller.system) if caller.system else ask()).text

    @override
    async def acomplete(self, prompt: str) -> str:
        return (await self.engine(NOBODY.tenant).acomplete(prompt, model=_named(MODEL))).text

    @override
    def complete_many(self, prompts: Sequence[str]) -> list[str]:
        return [one.text for one in self.engine(NOBODY.tenant).complete_many(prompts, model=_named(MODEL))]

    @override
    def fill(self, prompts: Sequence[str]) -> None:
        for start in range(0, len(prompts), _BATCH):
            self.complete_many(prompts[start : start + _BATCH])

    @override
    def budget(self, limit_cents: int) -> None:
        engine = self.engine(NOBODY.tenant)
        limit = Decimal(limit_cents) / 100
        engine.budgets.set(Budget(scope="tenant", subject=engine.settings.tenant, limit_usd=limit, period="lifetime"))

    @override
    def close(self) -> None:
        for engine in self._engines.values():
            engine.close()

    def addresses(self, prompts: Sequence[str]) -> list[Address]:
        """Return where the answers to these prompts live."""
        engine = self.engine(NOBODY.tenant)
        return [address_of(engine.request(prompt, model=_named(MODEL))) for prompt in prompts]


class OursDurable(Ours):
    """L2: Redis has dropped the answer before each look-up, which is made all the same."""

    @override
    def cool(self, prompts: Sequence[str]) -> None:
        self.engine(NOBODY.tenant).cache.evict_from_l1(self.addresses(prompts))


class OursSemantic(Ours):
    """L3: L1 and L2 are asked first and have nothing; the guard has its word before a neighbour answers."""

    embedder = "local:all-minilm-l6-v2"

    @override
    def threshold(self, value: float) -> None:
        raise Unsupported("decides by a score and the guard, not by a cosine")

    @override
    def get(self, prompt: str) -> str | None:
        return self.complete(prompt)


def _named(model: str) -> str:
    return f"openai-chat:{model}"


def _prompt_of(request: CompletionRequest) -> str:
    assert isinstance(request.prompt, str)
    return request.prompt


PEERS: dict[str, type[Peer]] = {"ours-l1": Ours, "ours-l2": OursDurable, "ours-l3": OursSemantic}
