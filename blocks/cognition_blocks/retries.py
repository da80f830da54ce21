"""Two layers that try again, Prefect's and the engine's: which errors Prefect may retry, and when they multiply."""

from __future__ import annotations

import threading
from functools import lru_cache
from typing import Any

from prefect import Task
from prefect.client.schemas.objects import State, TaskRun
from prefect.context import TaskRunContext
from prefect.logging import get_run_logger

from cognition import ResiliencePolicy
from cognition.errors import CognitionError

MOST_ATTEMPTS = 5
"""More attempts than this for one answer are warned of: a provider that is down would get them from every task."""

_warning = threading.Lock()


def retry_condition(task: Task[..., Any], task_run: TaskRun, state: State[Any]) -> bool:
    """Say whether Prefect may start a task run again: not after an error of ours that would come again.

    Write `@task(retries=2, retry_condition_fn=retry_condition)` for a task of your own; `llm_task` has it already. A
    plain function of a module, because Prefect 3.8 takes any other callable for "never", and a process pool imports it.
    """
    del task, task_run
    return not isinstance(state.data, CognitionError) or state.data.retryable


def warn_of_multiplied_retries(policy: ResiliencePolicy) -> None:
    """Log a warning in the run, once a task, when Prefect's retries times the engine's attempts are many."""
    context = TaskRunContext.get()
    if context is None or not context.task.retries:
        return
    starts = context.task.retries + 1
    if starts * policy.attempts > MOST_ATTEMPTS:
        # The runs of one map come here at the same time.
        with _warning:
            _warn(context.task.task_key, starts, policy.attempts)


@lru_cache(maxsize=1024)
def _warn(task_key: str, starts: int, attempts: int) -> None:
    """Log the warning, the first time that it is called for a task."""
    del task_key
    get_run_logger().warning(
        "Prefect may start this task %d times and each start may ask a model %d times: %d attempts for one answer."
        " Set retries=0 on the task, or fewer attempts on the LLM.",
        starts,
        attempts,
        starts * attempts,
    )
