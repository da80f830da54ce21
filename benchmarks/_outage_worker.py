"""One process of `benchmarks/provider_outage.py`: callers that ask at a steady pace, and what became of each call.

It reads its `Order` from the first line of standard input, prints `ready`, begins with the second line, ends with the
third, and prints a `Report`.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from itertools import count
from pathlib import Path

from pydantic import SecretStr
from pydantic_ai.messages import ModelResponse
from typing_extensions import override

from cognition import (
    BreakerPolicy,
    Cognition,
    CognitionError,
    CompletionRequest,
    Credentials,
    Fallback,
    ResiliencePolicy,
    Settings,
)
from cognition.adapters.providers import ModelProvider
from cognition.events import BreakerChanged, BreakerStoreLost, Event

FIRST, OTHER = "openai-chat:gpt-5", "openai-chat:gpt-5-mini"


@dataclass(frozen=True, kw_only=True)
class Order:
    """What a process has to do.

    Attributes:
        name: Tells its prompts from those of others.
        database_url: What all share.
        first_url: Where the first model is.
        other_url: Where the fallback is.
        callers: How many callers have a fallback.
        alone: How many have none.
        every_seconds: How often each of them asks.
        open_seconds: How long a breaker stays open the first time.
    """

    name: str
    database_url: str
    first_url: str
    other_url: str
    callers: int
    alone: int
    every_seconds: float
    open_seconds: float


@dataclass(frozen=True)
class Made:
    """One call, or one attempt.

    Attributes:
        began: When, in seconds since 1970.
        seconds: How long it took.
        what: The model that answered, or the error.
        alone: Whether it had no fallback; of an attempt, whether it was made at the first model.
        attempts: How many were made for it.
    """

    began: float
    seconds: float
    what: str
    alone: bool
    attempts: int = 1


@dataclass
class Report:
    """What happened in one process.

    Attributes:
        calls: Its calls.
        attempts: Its attempts, at either model.
        told: When it learned of each state of the breaker that it caused.
        lost: How often PostgreSQL took longer than a second to answer, so that it went on with a breaker of its own.
    """

    calls: list[Made] = field(default_factory=list[Made])
    attempts: list[Made] = field(default_factory=list[Made])
    told: list[tuple[str, float]] = field(default_factory=list[tuple[str, float]])
    lost: int = 0


class WatchedProvider(ModelProvider):
    """Notes each attempt where it leaves the engine."""

    def __init__(self, report: Report) -> None:
        """Note into a report."""
        super().__init__()
        self._report = report

    @override
    async def ask(self, request: CompletionRequest) -> ModelResponse:
        """Ask, and note it."""
        began, what = time.time(), "cancelled"
        try:
            response = await super().ask(request)
        except Exception as error:
            what = type(error).__name__
            raise
        else:
            what = "ok"
            return response
        finally:
            self._report.attempts.append(Made(began, time.time() - began, what, request.model == FIRST))


class Callers:
    """Ask at a steady pace, whether or not the call before has ended."""

    def __init__(self, engine: Cognition, order: Order, report: Report) -> None:
        """Prepare."""
        self._engine = engine
        self._order = order
        self._report = report
        self._numbers = count()
        self._credentials = Credentials(api_key="first", base_url=order.first_url)
        self._fallback = Fallback(OTHER, Credentials(api_key="other", base_url=order.other_url))

    async def ask(self, *, alone: bool) -> None:
        """Make one call that no other resembles."""
        began, attempts = time.time(), 0
        try:
            done = await self._engine.acomplete(
                f"{self._order.name}: what is {next(self._numbers)}?",
                model=FIRST,
                cache="bypass",
                credentials=self._credentials,
                fallbacks=[] if alone else [self._fallback],
            )
        except CognitionError as error:
            what = type(error).__name__
            attempts = sum(note.startswith("This was attempt") for note in error.notes)
        else:
            what, attempts = done.model, done.attempts
        self._report.calls.append(Made(began, time.time() - began, what, alone, attempts))

    async def go_on(self, end: asyncio.Event) -> None:
        """Ask until the end, then wait for what is under way."""
        order, running = self._order, set[asyncio.Task[None]]()
        people = order.callers + order.alone
        step, started = order.every_seconds / people, time.monotonic()
        for number in count():
            await asyncio.sleep(max(0.0, started + number * step - time.monotonic()))
            if end.is_set():
                break
            task = asyncio.create_task(self.ask(alone=number % people < order.alone))
            running.add(task)
            task.add_done_callback(running.discard)
        await asyncio.gather(*running)


async def _work(engine: Cognition, order: Order, report: Report) -> None:
    callers, end = Callers(engine, order, report), asyncio.Event()
    await callers.ask(alone=False)
    await _warm_up_the_fallback(engine, order)
    _say("ready")
    await asyncio.to_thread(sys.stdin.readline)
    report.calls.clear()
    report.attempts.clear()
    asking = asyncio.create_task(callers.go_on(end))
    await asyncio.to_thread(sys.stdin.readline)
    end.set()
    await asking


async def _warm_up_the_fallback(engine: Cognition, order: Order) -> None:
    """Open its connection, so that the first fallback is not measured with it."""
    credentials = Credentials(api_key="other", base_url=order.other_url)
    await engine.acomplete("Are you there?", model=OTHER, cache="bypass", credentials=credentials)


def main() -> None:
    """Do what the order says."""
    order, report = Order(**json.loads(sys.stdin.readline())), Report()

    def watch(event: Event) -> None:
        if isinstance(event, BreakerChanged):
            report.told.append((event.transition.to_state.value, time.time()))
        report.lost += isinstance(event, BreakerStoreLost)

    breaker = BreakerPolicy(open_for=timedelta(seconds=order.open_seconds))
    settings = Settings(
        database_url=SecretStr(order.database_url),
        redis_url=SecretStr("memory://"),
        resilience=ResiliencePolicy(breaker=breaker),
        home=Path.cwd(),
    )
    with Cognition.open(settings, provider=WatchedProvider(report)) as engine:
        engine.observers.add(watch)
        asyncio.run(_work(engine, order, report))
    _say(json.dumps(asdict(report)))


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
