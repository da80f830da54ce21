-- Where the budgets stand that limit one user's calls now: the user's own, those of every user (subject *), the tenant's.
--
-- user_id     the user, as in llm_cost_tracking.user_id
-- for_tenant  whose budgets
--
-- remaining_usd is what may still be reserved. state is 'ok', 'soft_limit' or 'exhausted'. resets_at is when money is next
-- freed: the end of the period, for a rolling budget the moment its oldest bucket leaves the window, never for a lifetime.
-- A period in which nothing was spent has no counter row and counts as zero.
CREATE FUNCTION check_budget_status_v1(user_id text, for_tenant text DEFAULT 'default')
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
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    WITH applicable AS (
        SELECT
            b.*,
            CASE b.scope
                WHEN 'user' THEN check_budget_status_v1.user_id
                ELSE b.subject
            END AS counter_subject,
            CASE b.period
                WHEN 'rolling' THEN now() - b.period_length
                ELSE p.period_start
            END AS window_start,
            p.period_end
        FROM user_budgets AS b
        CROSS JOIN LATERAL budget_period_v1(b.period, b.timezone, b.week_start, now()) AS p
        WHERE b.tenant = check_budget_status_v1.for_tenant
            AND b.active
            AND (
                b.scope = 'tenant'
                OR (b.scope = 'user' AND b.subject IN (check_budget_status_v1.user_id, '*'))
            )
    ),
    counted AS (
        SELECT
            a.*,
            c.used_usd,
            c.reserved_usd,
            c.credit_usd,
            c.oldest_end
        FROM applicable AS a
        CROSS JOIN LATERAL (
            SELECT
                coalesce(sum(n.used_usd), 0) AS used_usd,
                coalesce(sum(n.reserved_usd), 0) AS reserved_usd,
                coalesce(sum(n.credit_usd), 0) AS credit_usd,
                min(n.period_end) AS oldest_end
            FROM budget_periods AS n
            WHERE n.tenant = a.tenant
                AND n.budget_id = a.budget_id
                AND n.subject = a.counter_subject
                AND n.period_end > a.window_start
                AND n.period_start < a.period_end
        ) AS c
    )
    SELECT
        s.budget_id,
        s.scope,
        s.counter_subject,
        s.period,
        s.limit_usd,
        s.credit_usd,
        s.used_usd,
        s.reserved_usd,
        s.limit_usd + s.credit_usd - s.used_usd - s.reserved_usd,
        s.window_start,
        CASE s.period
            WHEN 'rolling' THEN s.oldest_end + s.period_length
            WHEN 'lifetime' THEN NULL
            ELSE s.period_end
        END,
        CASE
            WHEN s.used_usd + s.reserved_usd >= s.limit_usd + s.credit_usd THEN 'exhausted'
            WHEN s.used_usd + s.reserved_usd >= s.soft_limit * (s.limit_usd + s.credit_usd) THEN 'soft_limit'
            ELSE 'ok'
        END
    FROM counted AS s
    ORDER BY s.scope, s.subject, s.period;
END;

-- The promised name; it always means the newest version.
CREATE FUNCTION check_budget_status(user_id text, for_tenant text DEFAULT 'default')
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
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT v1.* FROM check_budget_status_v1(check_budget_status.user_id, check_budget_status.for_tenant) AS v1;
END;
