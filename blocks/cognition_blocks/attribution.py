"""The `with` block by which users say who a call is for."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from prefect.context import TagsContext

from cognition.errors import ConfigurationError
from cognition_blocks.run_summary import add_run_summary
from cognition_blocks.tags import TEAM, USER


@contextmanager
def attribute(*, user: str | int | None = None, team: str | int | None = None, **more: str | int) -> Generator[None]:
    """Book every call made inside the `with` block to a user, a team, or any other key of yours.

    It may stand around a flow, in a flow, or in a task, and travels as Prefect tags. The inner of two nested blocks
    wins for the keys that it names; tags of a task itself, `@llm_task(tags=["team:search"])`, win over both.

    On Prefect 3.8 a `ProcessPoolTaskRunner` keeps the context's tags of the first task submitted to it (fixed in 3.9).
    There, one block around all submissions works; for others use `task.with_options(tags=["user:alice"])`.

    Args:
        user: Who asks, a name or a number; `user_id` in the ledger.
        team: Which team pays.
        **more: Free keys, such as `project="atlas"`; they become the ledger's tags `project:atlas`.

    Raises:
        ConfigurationError: A value is empty, or neither text nor number.
    """
    # As objects, because notebooks and scripts are not type-checked.
    named: dict[str, object] = {
        key: value for key, value in {USER: user, TEAM: team, **more}.items() if value is not None
    }
    if strange := next((key for key, value in named.items() if not isinstance(value, str | int)), None):
        kind = type(named[strange]).__name__
        raise ConfigurationError(f"The {strange!r} of attribute(...) is a {kind}; write a name or a number.")
    given = {key: str(value) for key, value in named.items()}
    if empty := next((key for key, value in given.items() if not value.strip()), None):
        raise ConfigurationError(f"The {empty!r} of attribute(...) is empty; write a name or leave it out.")
    add_run_summary()
    kept = {tag for tag in TagsContext.get().current_tags if tag.partition(":")[0] not in given}
    with TagsContext(current_tags=kept | {f"{key}:{value}" for key, value in given.items()}):
        yield
