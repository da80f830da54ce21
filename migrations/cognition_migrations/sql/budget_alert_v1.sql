-- Raise the alerts of a budget that are due and return their thresholds; the lock of the counter must be held.
--
-- Spent money alerts, set aside money does not: estimates are upper bounds. A refused call alerts as the hard limit does,
-- unless it was only too large for a budget that is still below its soft limit. Once for each window, threshold and limit.
CREATE FUNCTION budget_alert_v1(for_tenant text, s budget_share_v1) RETURNS numeric[]
LANGUAGE plpgsql AS $$
DECLARE
    total numeric := s.limit_usd + s.credit_usd;
    spoken_for numeric := s.used_usd + CASE s.outcome WHEN 'refused' THEN s.reserved_usd ELSE 0 END;
    raised numeric[];
BEGIN
    IF spoken_for < s.soft_limit * total THEN
        RETURN '{}';
    END IF;
    WITH due AS (
        SELECT s.soft_limit AS threshold
        UNION
        SELECT 1 WHERE s.used_usd >= total OR s.outcome = 'refused'
    ),
    written AS (
        INSERT INTO budget_alerts (
            tenant, budget_id, subject, period_start, threshold, limit_usd, used_usd, reserved_usd
        )
        SELECT for_tenant, s.budget_id, s.subject, s.period_start, d.threshold, total, s.used_usd, s.reserved_usd
        FROM due AS d
        WHERE NOT EXISTS (
            SELECT FROM budget_alerts AS a
            WHERE a.tenant = for_tenant AND a.budget_id = s.budget_id AND a.subject = s.subject
                AND a.period_start >= least(s.window_start, s.period_start)
                AND a.threshold = d.threshold AND a.limit_usd = total
        )
        ON CONFLICT DO NOTHING
        RETURNING threshold
    )
    SELECT coalesce(array_agg(w.threshold ORDER BY w.threshold), '{}') INTO raised FROM written AS w;
    RETURN raised;
END $$;
