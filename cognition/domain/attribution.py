"""Who a call is booked to."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from cognition.errors import ConfigurationError


@dataclass(frozen=True, slots=True, kw_only=True)
class Attribution:
    """The workflow, run, task and person that a call is booked to.

    Captured in the caller's thread and passed as a value, because context variables do not cross threads, process pools
    or Dask. All fields are optional: a call made outside any flow is booked to the tenant alone.

    Attributes:
        user: Who asked; `user_id` in the ledger.
        team: Which team pays.
        workflow: Name of the Prefect flow, whichever deployment runs it; `workflow_id` in the ledger.
        flow_run_id: Identifier of the Prefect flow run.
        root_flow_run_id: The outermost flow run when subflows are nested; None until it is known.
        deployment_id: Identifier of the Prefect deployment.
        task_run_id: Identifier of the Prefect task run.
        task_name: Name of the Prefect task.
        run_count: How often the task run was started, 1 for the first time; a retry counts again.
        tags: Free labels; see `labels` for what marks cached answers.
    """

    user: str | None = None
    team: str | None = None
    workflow: str | None = None
    flow_run_id: str | None = None
    root_flow_run_id: str | None = None
    deployment_id: str | None = None
    task_run_id: str | None = None
    task_name: str | None = None
    run_count: int = 1
    tags: tuple[str, ...] = ()

    @property
    def labels(self) -> tuple[str, ...]:
        """What `invalidate(tag=...)` finds answers of this call by: the tags, `user:alice` and `team:support`."""
        named = (f"{key}:{name}" for key, name in (("user", self.user), ("team", self.team)) if name)
        return tuple(dict.fromkeys((*self.tags, *named)))

    def with_defaults_from(self, other: Attribution) -> Attribution:
        """Return a copy in which every field that is unset here is taken from another attribution."""
        missing: dict[str, Any] = {
            name: getattr(other, name) for name in self.__slots__ if getattr(self, name) == getattr(_NOBODY, name)
        }
        return replace(self, **missing)


_NOBODY = Attribution()


def attribution_of(given: object, around: Attribution | None = None) -> Attribution:
    """Return who a call is booked to: what the call says, completed by the run around it.

    Raises:
        ConfigurationError: What the call says is no `Attribution`.
    """
    if given is None:
        return around or _NOBODY
    if not isinstance(given, Attribution):
        raise ConfigurationError(f"The attribution is a {type(given).__name__}; pass Attribution(user=...).")
    return given.with_defaults_from(around) if around else given
