-- Delete reservations that ended long ago, at most so many, and return how many were deleted.
--
-- They kept repetitions harmless, which nobody makes any more. Their counters remember what they had been settled at.
CREATE FUNCTION budget_purge_v1(for_tenant text, age interval, at_most integer) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    until timestamptz := clock_timestamp() - age;
    old_keys uuid[];
    old_attempts integer[];
    old_budgets uuid[];
    deleted bigint;
BEGIN
    SELECT array_agg(o.call_key), array_agg(o.attempt), array_agg(o.budget_id)
    INTO old_keys, old_attempts, old_budgets
    FROM (
        SELECT r.call_key, r.attempt, r.budget_id
        FROM budget_reservations AS r
        WHERE r.tenant = for_tenant AND r.ended_at <= until
        ORDER BY r.ended_at
        LIMIT at_most
    ) AS o;
    -- Counters before reservations, in the order in which all lock.
    PERFORM FROM budget_periods AS c
    WHERE (c.tenant, c.budget_id, c.subject, c.period_start) IN (
        SELECT r.tenant, r.budget_id, r.subject, r.period_start
        FROM unnest(old_keys, old_attempts, old_budgets) AS o (call_key, attempt, budget_id)
        JOIN budget_reservations AS r
            ON r.tenant = for_tenant AND r.call_key = o.call_key AND r.attempt = o.attempt
            AND r.budget_id = o.budget_id
    )
    ORDER BY c.budget_id, c.subject, c.period_start
    FOR UPDATE;
    WITH purged AS (
        DELETE FROM budget_reservations AS r
        USING unnest(old_keys, old_attempts, old_budgets) AS o (call_key, attempt, budget_id)
        WHERE r.tenant = for_tenant AND r.call_key = o.call_key AND r.attempt = o.attempt
            AND r.budget_id = o.budget_id AND r.ended_at <= until
        RETURNING r.*
    ),
    summed AS (
        SELECT p.budget_id, p.subject, p.period_start, sum(p.settled_usd) AS settled_usd
        FROM purged AS p
        GROUP BY p.budget_id, p.subject, p.period_start
    ),
    remembered AS (
        UPDATE budget_periods AS c SET purged_usd = c.purged_usd + m.settled_usd
        FROM summed AS m
        WHERE m.settled_usd IS NOT NULL AND c.tenant = for_tenant AND c.budget_id = m.budget_id
            AND c.subject = m.subject AND c.period_start = m.period_start
    )
    SELECT count(*) INTO deleted FROM purged;
    RETURN deleted;
END $$;
