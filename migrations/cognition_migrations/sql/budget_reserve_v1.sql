-- The budgets that a call must fit into, with the subject whose counter it uses, in the order in which all lock.
--
-- subjects  {"user": "alice", "workflow": "nightly", "flow_run": "…", …}
CREATE FUNCTION budget_applicable_v1(for_tenant text, subjects jsonb)
RETURNS TABLE (budget user_budgets, counted text)
LANGUAGE sql STABLE AS $$
    SELECT b, j.value
    FROM jsonb_each_text(subjects) AS j
    JOIN user_budgets AS b
        ON b.tenant = for_tenant AND b.scope = j.key AND b.subject IN (j.value, '*') AND b.active
    ORDER BY b.budget_id
$$;

-- Lock one counter, give back what ended leases hold, and say whether an amount fits; null is a call of unknown price.
CREATE FUNCTION budget_weigh_v1(b user_budgets, for_subject text, estimate numeric) RETURNS budget_share_v1
LANGUAGE plpgsql AS $$
DECLARE
    s budget_share_v1;
    moment timestamptz;
    first_moment timestamptz;
    last_moment timestamptz;
BEGIN
    -- Two buckets of one window have different rows, so that their locks keep nobody apart.
    IF b.period = 'rolling' THEN
        PERFORM pg_advisory_xact_lock(hashtextextended(b.budget_id || ' ' || for_subject, 5));
    END IF;
    moment := clock_timestamp();
    SELECT p.period_start, p.period_end INTO first_moment, last_moment
    FROM budget_period_v2(b.period, b.timezone, b.week_start, moment) AS p;
    PERFORM budget_lapse_v1(b.tenant, b.budget_id, for_subject, first_moment);

    LOOP
        PERFORM FROM budget_periods AS c
        WHERE c.tenant = b.tenant AND c.budget_id = b.budget_id AND c.subject = for_subject
            AND c.period_start = first_moment
        FOR UPDATE;
        EXIT WHEN FOUND;
        INSERT INTO budget_periods (tenant, budget_id, subject, period_start, period_end)
        VALUES (b.tenant, b.budget_id, for_subject, first_moment, last_moment)
        ON CONFLICT DO NOTHING;
    END LOOP;

    s := budget_standing_v1(b, for_subject, moment);
    s.estimate_usd := coalesce(
        round(estimate, 9),
        CASE b.on_unknown_price WHEN 'ceiling' THEN b.price_ceiling_usd WHEN 'allow' THEN 0 END
    );
    s.outcome := CASE
        WHEN s.estimate_usd IS NULL THEN 'unpriced'
        WHEN s.used_usd + s.reserved_usd + s.estimate_usd <= s.limit_usd + s.credit_usd THEN 'held'
        ELSE 'refused'
    END;
    RETURN s;
END $$;

-- Set money aside for one attempt in all budgets that apply to it, or in none.
--
-- Asked again about the same attempt, it changes nothing and returns the state of what was reserved then.
CREATE FUNCTION budget_reserve_v1(
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
            ELSIF s.outcome = 'refused' THEN
                s.crossed := budget_alert_v1(for_tenant, s);
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

-- How the budgets stand that would apply to a call; sets nothing aside, and leaves out what ended leases still hold.
CREATE FUNCTION budget_look_v1(for_tenant text, subjects jsonb) RETURNS SETOF budget_share_v1
LANGUAGE plpgsql STABLE AS $$
DECLARE
    applicable record;
    s budget_share_v1;
BEGIN
    FOR applicable IN SELECT a.budget, a.counted FROM budget_applicable_v1(for_tenant, subjects) AS a LOOP
        s := budget_standing_v1(applicable.budget, applicable.counted, clock_timestamp());
        s.reserved_usd := s.reserved_usd - (
            SELECT coalesce(sum(r.estimate_usd), 0)
            FROM budget_reservations AS r
            JOIN budget_periods AS c
                ON c.tenant = r.tenant AND c.budget_id = r.budget_id AND c.subject = r.subject
                AND c.period_start = r.period_start
            WHERE r.tenant = for_tenant AND r.budget_id = s.budget_id AND r.subject = s.subject
                AND r.state = 'held' AND r.lease_until <= clock_timestamp()
                AND c.period_end > s.window_start
        );
        s.outcome := 'room';
        RETURN NEXT s;
    END LOOP;
END $$;
