"""What a cache in the comparison can be asked to do; the driver and the peers share nothing else.

Only the standard library is imported here: these modules run in the environment of each peer.
"""

from __future__ import annotations

import asyncio
import json
import random
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

MODEL = "gpt-5-mini"
ANSWER_BYTES = 2048
_WORDS = (  # noqa: SIM905  as a list it would be a page
    "the breaker stops calls to a service that fails and tries again after while because every answer costs money time "
    "customers orders invoices refunds shipping account password reset profile address payment card transfer balance"
).split()

Call = Callable[[str], str]


class Unsupported(Exception):
    """The peer has no such thing; the sentence says what it lacks."""


@dataclass(frozen=True)
class Place:
    """Where a peer runs.

    Attributes:
        redis_url: A Valkey that all share.
        database_url: A PostgreSQL that all share.
        stack_url: A Redis with the search module, if there is one.
        folder: A folder of the peer's own.
        weights: The ONNX file of the embedder that all share.
        tokenizer: Its `tokenizer.json`.
        provider_url: An OpenAI-compatible server that is asked on a miss; without one a function answers at once.
        vectors: A JSON file of vectors by text that replaces the embedder, where embedding is not what is measured.
    """

    redis_url: str
    database_url: str
    stack_url: str | None
    folder: str
    weights: str
    tokenizer: str
    provider_url: str | None = None
    vectors: str | None = None


@dataclass(frozen=True)
class Caller:
    """Who asks what: all that keeps answers apart, beside the prompt."""

    tenant: str = "acme"
    model: str = MODEL
    system: str = ""


NOBODY = Caller()


class Peer:
    """One cache in one configuration; methods that it has no equal of stay as they are."""

    shared = True
    """Whether other processes see what one stores."""

    def __init__(self, place: Place) -> None:
        """Connect; nothing is stored yet."""
        self.place = place
        self.call: Call = answer_of if place.provider_url is None else asking(place.provider_url)

    def complete(self, prompt: str, caller: Caller = NOBODY) -> str:
        """Answer as the peer's documentation tells its users to, asking the provider on a miss."""
        raise NotImplementedError

    async def acomplete(self, prompt: str) -> str:
        """Answer without blocking the loop."""
        del prompt
        raise Unsupported("no asynchronous call")

    def complete_many(self, prompts: Sequence[str]) -> list[str]:
        """Answer a batch."""
        del prompts
        raise Unsupported("no batches")

    def get(self, prompt: str) -> str | None:
        """Look up without anything around it."""
        del prompt
        raise Unsupported("no look-up of its own")

    def put(self, prompt: str, answer: str) -> None:
        """Store without anything around it."""
        del prompt, answer
        raise Unsupported("no store of its own")

    def fill(self, prompts: Sequence[str]) -> None:
        """Store the answers to many prompts, in the quickest way the peer offers."""
        for prompt in prompts:
            self.complete(prompt)

    def cool(self, prompts: Sequence[str]) -> None:
        """Take the prompts out of faster layers than the one that is measured."""

    def empty(self) -> None:
        """Forget everything."""
        raise Unsupported("no way to empty it")

    def threshold(self, value: float) -> None:
        """Answer from neighbours of this cosine similarity and above."""
        del value
        raise Unsupported("no semantic look-up")

    def complete_within_budget(self, prompt: str) -> str:
        """Answer as the peer's documentation tells users to who set a budget."""
        return self.complete(prompt)

    def budget(self, limit_cents: int) -> None:
        """Let nobody spend more."""
        del limit_cents
        raise Unsupported("no budgets")

    def close(self) -> None:
        """Let go of everything."""


def answer_of(prompt: str) -> str:
    """Return 2 KB of words that differ for every prompt, so that no compression makes one of them out of another."""
    dice = random.Random(prompt)  # noqa: S311  no secret
    words = " ".join(dice.choices(_WORDS, k=ANSWER_BYTES // 4))
    return f"{prompt} {words}"[:ANSWER_BYTES]


def asking(url: str, system: str = "") -> Call:
    """Return a call that asks a chat completion API over HTTP, for peers that bring no client of their own."""

    def ask(prompt: str) -> str:
        messages = [{"role": "system", "content": system}] if system else []
        body: dict[str, Any] = {"model": MODEL, "messages": [*messages, {"role": "user", "content": prompt}]}
        request = urllib.request.Request(  # noqa: S310  a server of our own on loopback
            f"{url}/chat/completions", json.dumps(body).encode(), {"content-type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=60) as reply:  # noqa: S310  see above
            return json.load(reply)["choices"][0]["message"]["content"]

    return ask


@cache
def loop() -> asyncio.AbstractEventLoop:
    """Return one loop for all rounds, as a program has: clients are bound to it."""
    return asyncio.new_event_loop()


async def in_thread(call: Call, prompt: str) -> str:
    """Ask without blocking the loop."""
    return await asyncio.to_thread(call, prompt)
