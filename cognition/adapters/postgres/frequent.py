"""Requests that the ledger has seen often, and their prompts as far as L3 keeps them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from cognition.adapters.postgres.connection import connected
from cognition.adapters.postgres.rows import unpack_text
from cognition.domain.warming import WARM_TAG, Frequent
from cognition.errors import EntryCorrupted

_ASKED = """
SELECT request_key AS key, namespace, requested_model AS model, count(*) FILTER (WHERE attempt <= 1) AS calls,
    max(cost_usd) AS cost_usd
FROM llm_cost_tracking
WHERE tenant = %(tenant)s AND created_at >= %(since)s AND status <> 'adjustment' AND NOT tags @> ARRAY[%(tag)s]
"""
FREQUENT = f"""
WITH asked AS (
    {_ASKED}
    GROUP BY request_key, namespace, requested_model
    HAVING count(*) FILTER (WHERE attempt <= 1) >= %(least)s
    ORDER BY calls DESC, key LIMIT %(size)s
)
SELECT asked.*, kept.prompt FROM asked LEFT JOIN LATERAL (
    SELECT prompt FROM llm_semantic_cache WHERE tenant = %(tenant)s AND key = asked.key LIMIT 1
) AS kept ON true
ORDER BY calls DESC, key
"""  # noqa: S608  text of our own
CALLS = f"""
SELECT key, sum(calls)::bigint FROM ({_ASKED} AND request_key = ANY (%(keys)s) GROUP BY 1, 2, 3) AS asked GROUP BY key
"""  # noqa: S608  text of our own


class PostgresFrequent:
    """What was asked often, on PostgreSQL."""

    def __init__(self, engine: sa.Engine) -> None:
        """Use an engine.

        Args:
            engine: From `connect`.
        """
        self._engine = engine

    def frequent(self, tenant: str, since: datetime, least: int, limit: int) -> list[Frequent]:
        """Return what was asked most often, most first; what warming asked does not count.

        Args:
            tenant: Whose requests.
            since: From when on.
            least: How often at least.
            limit: How many at most.
        """
        rows = self._rows(FREQUENT, tenant=tenant, since=since, least=least, size=limit)
        return [_frequent(*row) for row in rows]

    def calls(self, tenant: str, since: datetime, keys: Sequence[bytes]) -> dict[bytes, int]:
        """Return how often each request was asked; those that were not are left out."""
        rows = self._rows(CALLS, tenant=tenant, since=since, keys=list(keys))
        return {bytes(key): calls for key, calls in rows}

    def _rows(self, statement: str, **parameters: Any) -> Sequence[Any]:
        # Without the limit of `fetch`: a month of a large ledger takes longer than a look-up may.
        with connected(self._engine) as connection:
            return connection.exec_driver_sql(statement, {**parameters, "tag": WARM_TAG}).all()


def _frequent(*row: Any) -> Frequent:
    key, namespace, model, calls, cost_usd, prompt = row
    try:
        text = None if prompt is None else unpack_text(bytes(prompt))
    except EntryCorrupted:
        text = None
    return Frequent(key=bytes(key), namespace=namespace, model=model, calls=calls, cost_usd=cost_usd, text=text)
