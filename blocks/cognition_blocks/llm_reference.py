"""How a task or a hook names the LLM it means: a block, the name of its document, or nothing."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from time import monotonic
from typing import Any, Final, Protocol, cast

from prefect.blocks.core import Block

from cognition import Cognition, Completion
from cognition.domain.completion import Prompt
from cognition.errors import ConfigurationError

SLUG = "cached-llm"

# How long a loaded document is used: a key that was changed in the UI is known that much later, without a restart.
DOCUMENT_LIFE_SECONDS: Final = 60.0


class LLM(Protocol):
    """What answers prompts; `CachedLLM` is the one."""

    @property
    def engine(self) -> Cognition:
        """The engine behind it."""
        ...

    def complete(self, prompt: Prompt, **options: Any) -> Completion[Any]:
        """Answer a prompt."""
        ...

    async def acomplete(self, prompt: Prompt, **options: Any) -> Completion[Any]:
        """Answer a prompt."""
        ...


def resolve(reference: LLM | str | None, *, clock: Callable[[], float] = monotonic) -> LLM:
    """Return the LLM that is meant.

    Args:
        reference: A block; the name of a `cached-llm` document, or `slug/name` of a block type derived from it; or None
            for the model of the setting `COGNITION_MODEL` and the store of the environment.
        clock: Returns seconds that never run backwards. For tests.

    Raises:
        ConfigurationError: There is no such document, or no model is set.
    """
    if isinstance(reference, str):
        document = reference if "/" in reference else f"{SLUG}/{reference}"
        return _load(document, period=int(clock() // DOCUMENT_LIFE_SECONDS))
    return _default() if reference is None else reference


@lru_cache(maxsize=128)
def _load(document: str, period: int) -> LLM:
    """Load a block document once in each period of a process: that takes 50 ms, a cached answer one."""
    del period
    try:
        # In an async task `load` would else return a coroutine.
        return cast("LLM", Block.load(document, _sync=True))  # pyright: ignore[reportCallIssue] - Prefect hides this argument
    except ValueError as error:
        name = document.removeprefix(f"{SLUG}/")
        raise ConfigurationError(
            f"There is no block document {name!r}; save one with CachedLLM(model_name=...).save({name!r})."
        ) from error


@lru_cache(maxsize=1)
def _default() -> LLM:
    return cast("LLM", Block.get_block_class_from_key(SLUG)())
