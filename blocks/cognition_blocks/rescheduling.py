"""A flow run that must wait for a provider gives its worker back and is started again when the wait is over.

What Prefect 3.8 supports, and where: a flow run of a deployment may be put into the state `AwaitingRetry` with a time,
from inside, and then left by raising `Pause`; the process ends, a worker (or `serve`) starts the run again at that time
and tasks whose results are kept are not run again. For a task run there is no such thing: its engine sleeps in the
worker until its retry, so a task only raises, and the flow around it is what is rescheduled. A flow run without a
deployment belongs to the process that called it; nobody would start it again, so there the error is raised.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import wraps
from typing import Any, ParamSpec, TypeVar, cast

from prefect import get_client
from prefect.client.schemas.responses import SetStateStatus
from prefect.context import FlowRunContext
from prefect.exceptions import Pause
from prefect.states import AwaitingRetry

from cognition.errors import CircuitOpen, CognitionError, RetryLater

P = ParamSpec("P")
T = TypeVar("T")

MOST_STARTS = 10
"""After so many starts a flow run fails like any other: something is wrong that waiting does not cure."""


def reschedule_on_retry_later(function: Callable[P, T]) -> Callable[P, T]:
    """Reschedule the flow run when a provider asks for a longer wait than a call may take, instead of failing.

    Write it below `@flow`:

        @flow
        @reschedule_on_retry_later
        def nightly(tickets: list[str]) -> list[str]: ...

    It acts on `RetryLater`, and on `CircuitOpen` that says when calls may be made again, whether they come from the
    flow's own calls or from the result of a task. What was answered before is in the cache when the run starts again.

    Args:
        function: The flow's function, sync or async.
    """
    if inspect.iscoroutinefunction(function):

        @wraps(function)
        async def run_async(*args: P.args, **kwargs: P.kwargs) -> Any:
            try:
                return await function(*args, **kwargs)
            except (RetryLater, CircuitOpen) as error:
                await asyncio.to_thread(_leave, error)
                raise

        return cast("Callable[P, T]", run_async)

    @wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return function(*args, **kwargs)
        except (RetryLater, CircuitOpen) as error:
            _leave(error)
            raise

    return run


def _leave(error: CognitionError) -> None:
    """End this run of the flow and have it started again; return when that is not possible.

    Raises:
        Pause: The flow run is rescheduled; Prefect's engine ends without touching its state.
    """
    at, context = _time_of(error), FlowRunContext.get()
    flow_run = context.flow_run if context else None
    if at is None or flow_run is None or flow_run.deployment_id is None or flow_run.run_count >= MOST_STARTS:
        return
    state = AwaitingRetry(scheduled_time=at, message=str(error))
    with get_client(sync_client=True) as client:
        answer = client.set_flow_run_state(flow_run.id, state)
    if answer.status is SetStateStatus.ACCEPT and answer.state is not None:
        raise Pause(state=answer.state)


def _time_of(error: CognitionError) -> datetime | None:
    """Return when to start again, None when nobody knows."""
    if isinstance(error, RetryLater):
        return error.at
    if isinstance(error, CircuitOpen) and error.retry_after is not None:
        return datetime.now(UTC) + timedelta(seconds=error.retry_after)
    return None
