"""What surrounds every call made from Prefect: who it is booked to, and that its run reports it."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from prefect.context import FlowRunContext

from cognition import Cognition
from cognition.domain.attribution import attribution_of
from cognition.domain.completion import OutputT
from cognition.runtime import CallOptions
from cognition_blocks.retries import warn_of_multiplied_retries
from cognition_blocks.run_context import current_attribution
from cognition_blocks.run_summary import add_run_summary


@contextmanager
def booked(engine: Cognition, options: CallOptions[OutputT]) -> Generator[CallOptions[OutputT]]:
    """Give all options of one call, with whom the run around it books it to.

    Args:
        engine: What answers the call.
        options: What the caller and the block say; the caller's attribution wins over the run's.
    """
    call = options.copy()
    call["attribution"] = attribution_of(options.get("attribution"), current_attribution())
    add_run_summary()
    warn_of_multiplied_retries(call.get("resilience") or engine.settings.resilience)
    yield call
    flow = FlowRunContext.get()
    if flow is not None and flow.detached:
        # This process is a pool's worker: when the flow's own process reports the run, nothing may wait here any more.
        engine.ledger.flush()
