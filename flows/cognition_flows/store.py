"""Which engine a scheduled flow works on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, ParamSpec, TypeVar

from prefect import Task, task
from prefect.cache_policies import NO_CACHE
from pydantic import Field

from cognition import Cognition
from cognition.errors import ConfigurationError
from cognition_blocks import CachedLLM, retry_condition
from cognition_blocks.llm_reference import resolve

LLM = Annotated[
    str | None,
    Field(
        title="LLM block",
        description="Name of a Cached LLM block whose store is meant; empty means the worker's environment.",
    ),
]

P = ParamSpec("P")
R = TypeVar("R")


def step(name: str) -> Callable[[Callable[P, R]], Task[P, R]]:
    """Make a task of one step of a scheduled flow.

    A store that is away for a moment is no reason to fail until tomorrow; an error that would come again is. Prefect
    keeps no results of it: they are in the artifact.

    Args:
        name: What it does, as the UI shows it.
    """
    return task(
        name=name,
        retries=2,
        retry_delay_seconds=[10.0, 60.0],
        retry_condition_fn=retry_condition,
        cache_policy=NO_CACHE,
        persist_result=False,
    )


def engine_of(llm: str | None) -> Cognition:
    """Return the engine of this process for a block's store, or for the environment's.

    Raises:
        ConfigurationError: There is no such block.
    """
    return resolve(llm).engine


def call_options(llm: str | None) -> dict[str, Any]:
    """Return what a block says of each call; without a block, nothing.

    Raises:
        ConfigurationError: There is no such block, or it is no `CachedLLM`.
    """
    if llm is None:
        return {}
    block = resolve(llm)
    if not isinstance(block, CachedLLM):
        raise ConfigurationError(f"The block {llm!r} is no Cached LLM; name one that is.")
    return dict(block.to_config().completing({}))
