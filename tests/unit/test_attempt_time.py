"""What the time of an attempt is for: the provider alone."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from pydantic_ai.messages import ModelResponse
from typing_extensions import override

from cognition import ResiliencePolicy
from cognition.domain.completion import CompletionRequest
from tests.unit.conftest import MakeRig
from tests.unit.memory_engine import OpenProvider


class SlowToLoad(OpenProvider):
    """Answers at once, after its SDK was loaded; that takes longer than an attempt may."""

    loaded = False

    @override
    async def prepare(self, request: CompletionRequest) -> None:
        """Load, once."""
        if not self.loaded:
            await asyncio.sleep(0.02)
            self.loaded = True

    @override
    async def ask(self, request: CompletionRequest) -> ModelResponse:
        """Load if nobody has, and answer."""
        await self.prepare(request)
        return await super().ask(request)


def test_loading_an_sdk_takes_no_time_from_the_attempt(make_rig: MakeRig) -> None:
    """The first call of a process would else fail wherever attempts must be short, and its provider be blamed."""
    rig = make_rig(provider=SlowToLoad())
    done = rig.engine.complete("Really?", resilience=ResiliencePolicy(attempt_timeout=timedelta(milliseconds=10)))
    assert ("Answer to Really?", 1) == (done.text, done.attempts)
