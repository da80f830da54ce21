-- Close counters whose period is over, resolve their alerts, and say what was spent in them, at most so many at a time.
--
-- Nothing depends on it: a missed run is made up by the next, one that comes twice finds nothing the second time. A counter
-- in which a living call still holds money waits for the next run; what is booked later still is booked into it.
CREATE FUNCTION budget_close_v1(for_tenant text, at_most integer)
RETURNS TABLE (
    budget_id uuid,
    scope text,
    subject text,
    period text,
    period_start timestamptz,
    period_end timestamptz,
    limit_usd numeric,
    credit_usd numeric,
    used_usd numeric,
    calls bigint,
    alerts_resolved bigint
)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    due record;
    ended timestamptz;
    moment timestamptz := clock_timestamp();
BEGIN
    FOR due IN
        SELECT b.scope, b.period, b.limit_usd, c.budget_id, c.subject, c.period_start
        FROM budget_periods AS c
        JOIN user_budgets AS b ON b.tenant = c.tenant AND b.budget_id = c.budget_id
        -- A bucket counts until it has left the window. The first condition is for the index.
        WHERE c.tenant = for_tenant AND c.closed_at IS NULL AND c.period_end <= moment
            AND c.period_end + b.period_length <= moment
            AND NOT EXISTS (
                SELECT FROM budget_reservations AS r
                WHERE r.tenant = c.tenant AND r.budget_id = c.budget_id AND r.subject = c.subject
                    AND r.period_start = c.period_start AND r.state = 'held' AND r.lease_until > moment
            )
        ORDER BY c.budget_id, c.subject, c.period_start
        LIMIT at_most
    LOOP
        PERFORM budget_lapse_v1(for_tenant, due.budget_id, due.subject, due.period_start);
        UPDATE budget_periods AS c SET closed_at = moment, updated_at = moment
        WHERE c.tenant = for_tenant AND c.budget_id = due.budget_id AND c.subject = due.subject
            AND c.period_start = due.period_start AND c.closed_at IS NULL AND c.reserved_usd = 0
        RETURNING c.period_end, c.credit_usd, c.used_usd, c.calls INTO ended, credit_usd, used_usd, calls;
        -- Somebody else closed it meanwhile, or holds money in it.
        CONTINUE WHEN NOT FOUND;
        budget_id := due.budget_id;
        scope := due.scope;
        subject := due.subject;
        period := due.period;
        period_start := due.period_start;
        period_end := ended;
        limit_usd := due.limit_usd;
        UPDATE budget_alerts AS t SET state = 'resolved', resolved_at = moment
        WHERE t.tenant = for_tenant AND t.budget_id = due.budget_id AND t.subject = due.subject
            AND t.period_start = due.period_start AND t.state <> 'resolved';
        GET DIAGNOSTICS alerts_resolved = ROW_COUNT;
        UPDATE user_budgets AS u SET last_reset = greatest(u.last_reset, ended)
        WHERE u.tenant = for_tenant AND u.budget_id = due.budget_id AND u.period <> 'rolling';
        RETURN NEXT;
    END LOOP;
END $$;
