-- Set money aside for one attempt in all budgets that apply to it, or in none.
--
-- Asked again about the same attempt, it changes nothing and returns the state of what was reserved then.
--
-- Unlike budget_reserve_v1 it raises no alert for an amount that would fit if nothing were set aside: who asked waits for
-- that, and calls under way cost less than what is set aside for them as a rule.
CREATE FUNCTION budget_reserve_v2(
    for_tenant text,
    for_key uuid,
    for_attempt integer,
    subjects jsonb,
    estimate numeric,
    for_holder text,
    lease interval
) RETURNS SETOF budget_share_v1
LANGUAGE plpgsql AS $$
DECLARE
    applicable record;
    s budget_share_v1;
    shares budget_share_v1[] := '{}';
    told budget_share_v1;
    fits boolean := true;
    moment timestamptz;
BEGIN
    IF EXISTS (
        SELECT FROM budget_reservations AS r
        WHERE r.tenant = for_tenant AND r.call_key = for_key AND r.attempt = for_attempt
    ) THEN
        RETURN QUERY SELECT * FROM budget_shares_v1(for_tenant, for_key, for_attempt);
        RETURN;
    END IF;
    FOR applicable IN SELECT a.budget, a.counted FROM budget_applicable_v1(for_tenant, subjects) AS a LOOP
        s := budget_weigh_v1(applicable.budget, applicable.counted, estimate);
        shares := shares || s;
        fits := fits AND s.outcome = 'held';
    END LOOP;
    -- The same request, sent twice, may have been served while this one waited for the locks.
    IF EXISTS (
        SELECT FROM budget_reservations AS r
        WHERE r.tenant = for_tenant AND r.call_key = for_key AND r.attempt = for_attempt
    ) THEN
        RETURN QUERY SELECT * FROM budget_shares_v1(for_tenant, for_key, for_attempt);
        RETURN;
    END IF;

    IF NOT fits THEN
        FOREACH s IN ARRAY shares LOOP
            IF s.outcome = 'held' THEN
                s.outcome := 'room';
            ELSIF s.outcome = 'refused' AND s.used_usd + s.estimate_usd > s.limit_usd + s.credit_usd THEN
                told := s;
                told.reserved_usd := 0;
                s.crossed := budget_alert_v1(for_tenant, told);
            END IF;
            RETURN NEXT s;
        END LOOP;
        RETURN;
    END IF;
    moment := clock_timestamp();
    INSERT INTO budget_reservations (
        tenant, call_key, attempt, budget_id, subject, period_start, estimate_usd, holder, lease_until
    )
    SELECT
        for_tenant, for_key, for_attempt, h.budget_id, h.subject, h.period_start, h.estimate_usd, for_holder,
        moment + lease
    FROM unnest(shares) AS h;
    UPDATE budget_periods AS c SET reserved_usd = c.reserved_usd + h.estimate_usd, updated_at = moment
    FROM unnest(shares) AS h
    WHERE c.tenant = for_tenant AND c.budget_id = h.budget_id AND c.subject = h.subject
        AND c.period_start = h.period_start;
    FOREACH s IN ARRAY shares LOOP
        s.changed := true;
        RETURN NEXT s;
    END LOOP;
END $$;
