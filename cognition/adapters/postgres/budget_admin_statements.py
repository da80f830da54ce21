"""What people and maintenance say to PostgreSQL about budgets; columns stand in the order of the values' fields."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields

from cognition.adapters.postgres.budget_rows import SHARE_COLUMNS
from cognition.domain.adjustment import Adjustment, ClosedPeriod, Drift
from cognition.domain.budget import Scope
from cognition.domain.budget_alert import Alert


def _columns(kind: type, prefix: str = "") -> str:
    return ", ".join(prefix + one.name for one in fields(kind))


# -- how they stand ---------------------------------------------------------------------------------------------------

# Counters of users and runs may be without end: of each budget the latest ones come before the earlier ones of others.
STANDINGS = f"""
SELECT {", ".join(f"s.{name}" for name in SHARE_COLUMNS)}
FROM (
    SELECT b AS budget, k.subject, k.used_at
    FROM user_budgets AS b
    CROSS JOIN LATERAL (
        SELECT
            n.subject,
            max(n.used_at) AS used_at,
            row_number() OVER (ORDER BY max(n.used_at) DESC NULLS LAST, n.subject) AS place
        FROM (
            SELECT c.subject, c.updated_at AS used_at FROM budget_periods AS c
            WHERE c.tenant = b.tenant AND c.budget_id = b.budget_id
                AND c.period_end > clock_timestamp() - b.period_length
            UNION ALL
            SELECT b.subject, NULL WHERE b.subject <> '*'
        ) AS n
        GROUP BY n.subject
    ) AS k
    WHERE b.tenant = %(tenant)s AND b.active
    ORDER BY k.place, k.used_at DESC NULLS LAST, b.budget_id
    LIMIT %(most)s
) AS x
CROSS JOIN LATERAL budget_standing_v1(x.budget, x.subject, clock_timestamp()) AS s
ORDER BY x.used_at DESC NULLS LAST, s.budget_id, s.subject
"""  # noqa: S608  names of our own columns

_CONDITIONS: Mapping[Scope, str] = {
    "tenant": "tenant = %(subject)s",
    "user": "user_id = %(subject)s",
    "team": "team = %(subject)s",
    "workflow": "workflow_id = %(subject)s",
    "task": "task_name = %(subject)s",
    "model": "model = %(subject)s",
    # Whose budget a call uses, see `subjects_of`.
    "flow_run": "(root_flow_run_id = %(subject)s OR (root_flow_run_id IS NULL AND flow_run_id = %(subject)s))",
}
SPEND_OF: Mapping[Scope, str] = {
    scope: f"""
SELECT date_trunc('hour', created_at, 'UTC') AS hour, sum(cost_usd), count(*) FILTER (WHERE status <> 'adjustment')
FROM llm_cost_tracking
WHERE tenant = %(tenant)s AND created_at >= %(since)s AND {condition} AND cost_usd <> 0
GROUP BY hour
ORDER BY hour
"""  # noqa: S608  conditions of our own
    for scope, condition in _CONDITIONS.items()
}

# -- adjustments ------------------------------------------------------------------------------------------------------

_adjusted_by = f"SELECT {_columns(Adjustment)} FROM"
_RESET_ARGUMENTS = "%(tenant)s, %(budget)s::uuid, %(subject)s"
RESET = f"{_adjusted_by} budget_reset_v1({_RESET_ARGUMENTS}, %(actor)s, %(reason)s)"
RAISE = f"{_adjusted_by} budget_raise_v1({_RESET_ARGUMENTS}, %(amount)s::numeric, %(actor)s, %(reason)s)"
TRANSFER = (
    f"{_adjusted_by} budget_transfer_v1({_RESET_ARGUMENTS}, %(to_budget)s::uuid, %(to_subject)s,"
    " %(amount)s::numeric, %(actor)s, %(reason)s)"
)
ADJUSTMENTS = (
    f"{_adjusted_by} budget_adjustments WHERE tenant = %(tenant)s"
    " ORDER BY created_at DESC, adjustment_id LIMIT %(most)s"
)

# -- alerts -----------------------------------------------------------------------------------------------------------

_OF_BUDGET = ("scope", "period")
_alert = ", ".join(f"{'b' if one.name in _OF_BUDGET else 'a'}.{one.name}" for one in fields(Alert))
_this = "tenant = %(tenant)s AND alert_id = %(alert)s::uuid"
_told = f"SELECT {_alert} FROM budget_alerts AS a JOIN user_budgets AS b USING (tenant, budget_id)"  # noqa: S608  see above
_SHOW = f"{_told} WHERE {_this}"
_NOTICE = (
    "acknowledged_by = coalesce(acknowledged_by, %(by)s),"
    " acknowledged_at = coalesce(acknowledged_at, clock_timestamp()),"
    " note = coalesce(nullif(%(note)s, ''), note)"
)
ALERTS = (
    f"{_told} WHERE tenant = %(tenant)s AND a.state = ANY (%(states)s)"
    " ORDER BY a.created_at DESC, a.alert_id LIMIT %(most)s"
)
ACKNOWLEDGE = f"UPDATE budget_alerts SET state = 'acknowledged', {_NOTICE} WHERE {_this} AND state = 'open'; {_SHOW}"  # noqa: S608  see above
RESOLVE = (
    f"UPDATE budget_alerts SET state = 'resolved', resolved_at = clock_timestamp(), {_NOTICE}"  # noqa: S608  see above
    f" WHERE {_this} AND state <> 'resolved'; {_SHOW}"
)
CLAIM = f"""
WITH due AS (
    SELECT tenant, alert_id FROM budget_alerts
    WHERE tenant = %(tenant)s AND delivered_at IS NULL AND deliver_after <= clock_timestamp()
    ORDER BY deliver_after
    LIMIT %(most)s
    FOR UPDATE SKIP LOCKED
),
a AS (
    UPDATE budget_alerts AS t SET
        deliveries = t.deliveries + 1,
        deliver_after = clock_timestamp()
            + least(interval '1 minute' * power(2, least(t.deliveries, 6)), interval '1 hour')
    FROM due WHERE t.tenant = due.tenant AND t.alert_id = due.alert_id
    RETURNING t.*
)
SELECT {_alert} FROM a JOIN user_budgets AS b USING (tenant, budget_id) ORDER BY a.created_at, a.alert_id
"""  # noqa: S608  see above
MARK = f"UPDATE budget_alerts SET delivered_at = clock_timestamp() WHERE {_this} AND delivered_at IS NULL"  # noqa: S608  see above

# -- maintenance ------------------------------------------------------------------------------------------------------

CLOSE = f"SELECT {_columns(ClosedPeriod)} FROM budget_close_v1(%(tenant)s, %(most)s)"  # noqa: S608  see above
RECONCILE = f"SELECT {_columns(Drift)} FROM budget_reconcile_v1(%(tenant)s, %(actor)s, %(reason)s)"  # noqa: S608  see above
# An attempt has a row in every budget that applied to it.
LAPSED = """
SELECT count(*), coalesce(sum(a.usd), 0)
FROM (
    SELECT max(r.estimate_usd) AS usd
    FROM budget_reservations AS r
    WHERE r.tenant = %(tenant)s AND r.state = 'held' AND r.lease_until <= clock_timestamp() - %(age)s
    GROUP BY r.call_key, r.attempt
) AS a
"""
PURGE = "SELECT budget_purge_v1(%(tenant)s, %(age)s, %(most)s)"
