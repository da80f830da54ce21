"""Breakers as JSON: what the SQL functions are told and what they answer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from cognition.domain.breaker import BreakerKey, BreakerPolicy, BreakerState
from cognition.domain.breaker_standing import BreakerResult, Forced, Permit, Standing, Totals, Transition, Window


def identity_of(key: BreakerKey) -> dict[str, str]:
    """Return a key as the functions take it."""
    return {"key": str(key), "provider": key.provider, "model": key.model, "scope": key.credential_scope}


def policy_json(policy: BreakerPolicy) -> str:
    """Return a policy as the functions take it, times in seconds."""
    return json.dumps(asdict(policy), default=_plain)


def result_json(result: BreakerResult) -> str:
    """Return a result as the functions take it, times in seconds."""
    return json.dumps(asdict(result), default=_plain)


def standing_of(row: Mapping[str, Any], key: BreakerKey | None = None) -> Standing:
    """Return how a breaker stands.

    Args:
        row: What `breaker_standing_v1` returns; of a breaker without a row only `as_of`.
        key: Which breaker, if the row may not know.
    """
    if "state" not in row:
        return Standing(key=key or _key_of(row), as_of=_time(row["as_of"]))
    forced_by, forced_at = row["forced_by"], _optional_time(row["forced_at"])
    return Standing(
        key=_key_of(row),
        as_of=_time(row["as_of"]),
        state=BreakerState(row["state"]),
        generation=row["generation"],
        consecutive_failures=row["consecutive_failures"],
        failures_by_worker=row["failures_by_worker"],
        half_open_successes=row["half_open_successes"],
        consecutive_opens=row["consecutive_opens"],
        opened_at=_optional_time(row["opened_at"]),
        open_until=_optional_time(row["open_until"]),
        window=_window_of(row),
        cooldown_until=_optional_time(row["cooldown_until"]),
        cooldown_reason=row["cooldown_reason"],
        forced=Forced(forced_by, row["forced_reason"], forced_at) if forced_by and forced_at else None,
        totals=Totals(
            successes=row["total_successes"],
            failures=row["total_failures"],
            rejections=row["total_rejections"],
            outdated=row["total_outdated"],
        ),
        last_failure=row["last_failure"],
        last_failure_at=_optional_time(row["last_failure_at"]),
        permits=tuple(
            Permit(one["slot"], UUID(one["permit"]), one["holder"], _time(one["lease_until"])) for one in row["permits"]
        ),
    )


def transition_of(row: Mapping[str, Any] | None) -> Transition | None:
    """Return a row of the history as a transition, or None for none."""
    if row is None:
        return None
    return Transition(
        key=BreakerKey.parse(row["breaker_key"]),
        from_state=BreakerState(row["from_state"]),
        to_state=BreakerState(row["to_state"]),
        generation=row["generation"],
        at=_time(row["created_at"]),
        cause=row["cause"],
        worker=row["worker"],
        actor=row["actor"],
        reason=row["reason"],
        consecutive_failures=row["consecutive_failures"],
        open_until=_optional_time(row["open_until"]),
    )


def uuid_of(value: str | None) -> UUID | None:
    """Return an identifier, or None for none."""
    return None if value is None else UUID(value)


def seconds_to_time(value: float | None) -> timedelta | None:
    """Return a length of time, or None for none."""
    return None if value is None else timedelta(seconds=value)


def _key_of(row: Mapping[str, Any]) -> BreakerKey:
    return BreakerKey(row["provider"], row["model"], row["credential_scope"])


def _window_of(row: Mapping[str, Any]) -> Window:
    return Window(
        started_at=_optional_time(row["window_started_at"]),
        calls=row["window_calls"],
        failures=row["window_failures"],
        slow_calls=row["window_slow_calls"],
        workers=tuple(row["window_workers"]),
    )


def _plain(value: object) -> object:
    """Return what JSON has no word for as a number or a text."""
    return value.total_seconds() if isinstance(value, timedelta) else str(value)


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _optional_time(text: str | None) -> datetime | None:
    return None if text is None else _time(text)
