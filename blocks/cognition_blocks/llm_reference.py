"""How a task or a hook names the LLM it means: a block, the name of its document, or nothing."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Protocol, cast

from prefect.blocks.core import Block

from cognition import Cognition, Completion
from cognition.domain.completion import Prompt
from cognition.errors import ConfigurationError

SLUG = "cached-llm"


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


def resolve(reference: LLM | str | None) -> LLM:
    """Return the LLM that is meant.

    Args:
        reference: A block; the name of a `cached-llm` document, or `slug/name` of a block type derived from it; or None
            for the model of the setting `COGNITION_MODEL` and the store of the environment.

    Raises:
        ConfigurationError: There is no such document, or no model is set.
    """
    if isinstance(reference, str):
        return _load(reference if "/" in reference else f"{SLUG}/{reference}")
    return _default() if reference is None else reference


@lru_cache(maxsize=128)
def _load(document: str) -> LLM:
    """Load a block document once a process: that takes 50 ms, a cached answer one."""
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
