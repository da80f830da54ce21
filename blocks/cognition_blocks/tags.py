"""Attribution that the user declares travels as Prefect tags, `user:alice` or `team:support`.

Tags are the only context that Prefect carries into other threads, processes, Dask and Ray; our own context variables
would stay behind.
"""

from __future__ import annotations

from collections.abc import Iterable

USER = "user"
TEAM = "team"


def value_of(key: str, *nearest_first: Iterable[str]) -> str | None:
    """Return the value of the nearest tag `key:value`, or None.

    Args:
        key: The part before the colon.
        *nearest_first: Groups of tags; within one group the alphabetically first tag counts, so that the answer is the
            same everywhere.
    """
    prefix = f"{key}:"
    for tags in nearest_first:
        if values := [tag.removeprefix(prefix) for tag in tags if tag.startswith(prefix)]:
            return min(values)
    return None


def free_labels(*groups: Iterable[str]) -> tuple[str, ...]:
    """Return all tags but those that have columns of their own, sorted."""
    return tuple(sorted({tag for tags in groups for tag in tags if not tag.startswith((f"{USER}:", f"{TEAM}:"))}))
