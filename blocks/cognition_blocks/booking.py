"""What surrounds every call made from Prefect: who it is booked to, and that its run reports it."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Protocol

from prefect.context import FlowRunContext

from cognition import Cognition
from cognition.domain.completion import OutputT
from cognition.runtime import CallOptions
from cognition_blocks.config import LLMConfig
from cognition_blocks.run_context import current_attribution
from cognition_blocks.run_summary import add_run_summary


class Asker(Protocol):
    """What a call goes through: `CachedLLM`."""

    @property
    def engine(self) -> Cognition:
        """What answers."""
        ...

    def to_config(self) -> LLMConfig:
        """Return what every call says unless it is told otherwise."""
        ...


@contextmanager
def booked(asker: Asker, options: CallOptions[OutputT]) -> Generator[tuple[Cognition, CallOptions[OutputT]]]:
    """Give the engine and all options of one call, with those of the run around it.

    Args:
        asker: The block.
        options: What the caller says; it wins over the block and the run.
    """
    engine, call = asker.engine, asker.to_config().completing(options)
    add_run_summary()
    who = current_attribution()
    given = options.get("attribution")
    call["attribution"] = given.with_defaults_from(who) if given else who
    yield engine, call
    flow = FlowRunContext.get()
    if flow is not None and flow.detached:
        # This process is a pool's worker: when the flow's own process reports the run, nothing may wait here any more.
        engine.ledger.flush()
