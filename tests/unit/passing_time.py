"""Time that passes without anybody waiting, and breakers that count; for the tests of the pipeline."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta

from cognition.domain.breaker import BreakerKey, BreakerPolicy
from cognition.domain.completion import CompletionRequest
from cognition.domain.routing import Fallback, Route, Target, chain_of
from cognition.errors import CircuitOpen, CognitionError
from cognition.resilience.recording import Passage
from cognition.resilience.timing import Timing
from cognition.testing import FakeClock

FIRST, SECOND, THIRD = "openai-chat:gpt-5", "openai-chat:gpt-5-mini", "anthropic:claude-haiku-4-5"


def chain(*models: str, service: str | None = None) -> tuple[Target, ...]:
    """Return the chain of a call that is asked of some models."""
    first, *others = models
    request = CompletionRequest(prompt="Really?", model=first)
    return chain_of(request, [Route(Fallback(model)) for model in others], service)


class PassingTime:
    """A clock that sleeping advances."""

    def __init__(self, draw: float = 0.5) -> None:
        """Show a time.

        Args:
            draw: The random number that is always drawn; 0.5 is the middle of every range.
        """
        self.clock = FakeClock()
        self.began = self.clock.now
        self.waits: list[float] = []
        self.draw = draw

    @property
    def passed(self) -> float:
        """Seconds that have passed."""
        return (self.clock.now - self.began).total_seconds()

    async def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.waits.append(seconds)
        self.let_pass(seconds)

    def let_pass(self, seconds: float) -> None:
        """Let time pass, as a slow attempt does."""
        self.clock.advance(timedelta(seconds=seconds))

    @property
    def timing(self) -> Timing:
        """What the pipeline is given."""
        return Timing(clock=self.clock, monotonic=lambda: self.passed, sleep=self.sleep, draw=lambda: self.draw)


@dataclass
class Told:
    """A witness that remembers, as `what, …` in order."""

    what: list[tuple[str, ...]] = field(default_factory=list[tuple[str, ...]])

    def retrying(self, wait_seconds: float, error: CognitionError) -> None:
        """Remember."""
        self.what.append(("retrying", f"{wait_seconds:g}", type(error).__name__))

    def not_retrying(self, reason: CognitionError) -> None:
        """Remember."""
        self.what.append(("not retrying", type(reason).__name__))

    async def may_enter(self) -> bool:
        """Try again at each turn."""
        self.what.append(("may enter",))
        return True

    def falling_back(self, target: Target, follower: Target, error: CognitionError) -> None:
        """Remember."""
        self.what.append(("falling back", target.model, follower.model, type(error).__name__))


class _Counting:
    def __init__(self, told: list[str]) -> None:
        self._told = told

    async def begin(self) -> None:
        """Go on."""

    def success(self) -> None:
        self._told.append("success")

    def failure(self, error: str, retry_after: timedelta | None = None) -> None:
        asked = f" for {retry_after.total_seconds():g} s" if retry_after else ""
        self._told.append(f"failure: {error}{asked}")

    def ignore(self) -> None:
        self._told.append("ignored")


class CountingBreakers:
    """Breakers that remember what they were told, open after some failures, and cool down."""

    def __init__(self, time: PassingTime, threshold: int = 5) -> None:
        """Start closed.

        Args:
            time: Ends cooling down.
            threshold: Failures of one key that open it for good.
        """
        self._time = time
        self._threshold = threshold
        self._cool_until: dict[BreakerKey, float] = {}
        self.told: dict[str, list[str]] = {}

    @asynccontextmanager
    async def passage(self, key: BreakerKey, policy: BreakerPolicy) -> AsyncGenerator[Passage]:
        """Let a call through unless the breaker is open or cools down."""
        del policy
        told = self.told.setdefault(f"{key.provider}:{key.model}", [])
        left = self._cool_until.get(key, 0.0) - self._time.passed
        if left > 0:
            raise CircuitOpen("It cools down; wait.", breaker=str(key), state="cooling_down", retry_after=left)
        if refused := self.refusal(key):
            raise refused
        before = len(told)
        try:
            yield _Counting(told)
        finally:
            if len(told) == before:
                told.append("nothing")

    def refusal(self, key: BreakerKey) -> CircuitOpen | None:
        """Say whether it is open."""
        told = self.told.get(f"{key.provider}:{key.model}", [])
        if sum(one.startswith("failure") for one in told) < self._threshold:
            return None
        return CircuitOpen("It is open; wait.", breaker=str(key), state="open", retry_after=60.0)

    async def cool_down(self, key: BreakerKey, duration: timedelta, reason: str) -> None:
        """Let no call through for some time."""
        self._cool_until[key] = self._time.passed + duration.total_seconds()
        self.told[f"{key.provider}:{key.model}"].append(f"cool down {duration.total_seconds():g} s: {reason}")
