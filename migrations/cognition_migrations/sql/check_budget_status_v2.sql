-- Where the budgets stand that limit one user's calls now: the user's own, those of every user (subject *), the tenant's.
--
-- The columns and words are those of check_budget_status_v1. Unlike it, the period contains the present moment also where
-- midnight comes twice, and what leases hold that have ended is not counted, because the next call gets it.
CREATE FUNCTION check_budget_status_v2(user_id text, for_tenant text DEFAULT 'default')
RETURNS TABLE (
    budget_id uuid,
    scope text,
    subject text,
    period text,
    limit_usd numeric,
    credit_usd numeric,
    used_usd numeric,
    reserved_usd numeric,
    remaining_usd numeric,
    period_start timestamptz,
    resets_at timestamptz,
    state text
)
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT
        s.budget_id,
        s.scope,
        s.subject,
        s.period,
        s.limit_usd,
        s.credit_usd,
        s.used_usd,
        s.reserved_usd,
        s.limit_usd + s.credit_usd - s.used_usd - s.reserved_usd,
        s.window_start,
        s.resets_at,
        CASE
            WHEN s.used_usd + s.reserved_usd >= s.limit_usd + s.credit_usd THEN 'exhausted'
            WHEN s.used_usd + s.reserved_usd >= s.soft_limit * (s.limit_usd + s.credit_usd) THEN 'soft_limit'
            ELSE 'ok'
        END
    FROM budget_look_v1(
        check_budget_status_v2.for_tenant,
        jsonb_build_object(
            'tenant', check_budget_status_v2.for_tenant,
            'user', coalesce(check_budget_status_v2.user_id, '')
        )
    ) AS s
    ORDER BY s.scope, s.subject, s.period;
END;

-- The promised name; it always means the newest version.
CREATE OR REPLACE FUNCTION check_budget_status(user_id text, for_tenant text DEFAULT 'default')
RETURNS TABLE (
    budget_id uuid,
    scope text,
    subject text,
    period text,
    limit_usd numeric,
    credit_usd numeric,
    used_usd numeric,
    reserved_usd numeric,
    remaining_usd numeric,
    period_start timestamptz,
    resets_at timestamptz,
    state text
)
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT v2.* FROM check_budget_status_v2(check_budget_status.user_id, check_budget_status.for_tenant) AS v2;
END;
