"""What surrounds every call made from Prefect: who it is booked to, and that its run reports it."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from prefect.context import FlowRunContext

from cognition import Cognition
from cognition.domain.completion import OutputT
from cognition.runtime import CallOptions
from cognition_blocks.run_context import current_attribution
from cognition_blocks.run_summary import add_run_summary


@contextmanager
def booked(engine: Cognition, options: CallOptions[OutputT]) -> Generator[CallOptions[OutputT]]:
    """Add to a call's options who it is booked to; what the caller says about that wins.

    Args:
        engine: Answers the call.
        options: What the caller says.
    """
    add_run_summary()
    who = current_attribution()
    given = options.get("attribution")
    yield {**options, "attribution": given.with_defaults_from(who) if given else who}
    flow = FlowRunContext.get()
    if flow is not None and flow.detached:
        # This process is a pool's worker: when the flow's own process reports the run, nothing may wait here any more.
        engine.ledger.flush()
