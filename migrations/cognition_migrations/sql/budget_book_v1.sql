-- Book an attempt for which nothing could be set aside, into the periods that contained a point in time.
--
-- subjects  {"user": "alice", "workflow": "nightly", "flow_run": "…", …}
-- cost      in US dollars; null when nobody knows, which costs a budget its price ceiling, or nothing where it has none
-- moment    when the money was spent
--
-- It becomes 'late', in all budgets that apply by now. An attempt that did set something aside, because only the answer
-- to that was lost, is settled instead; booked once, nothing changes any more.
CREATE FUNCTION budget_book_v1(
    for_tenant text,
    for_key uuid,
    for_attempt integer,
    subjects jsonb,
    cost numeric,
    moment timestamptz
) RETURNS SETOF budget_share_v1
LANGUAGE plpgsql AS $$
DECLARE
    applicable record;
    b user_budgets;
    period_end timestamptz;
    s budget_share_v1;
    shares budget_share_v1[] := '{}';
BEGIN
    IF EXISTS (
        SELECT FROM budget_reservations AS r
        WHERE r.tenant = for_tenant AND r.call_key = for_key AND r.attempt = for_attempt
    ) THEN
        RETURN QUERY SELECT * FROM budget_settle_v1(for_tenant, for_key, for_attempt, cost);
        RETURN;
    END IF;
    FOR applicable IN SELECT a.budget, a.counted FROM budget_applicable_v1(for_tenant, subjects) AS a LOOP
        b := applicable.budget;
        s.budget_id := b.budget_id;
        s.subject := applicable.counted;
        s.settled_usd := coalesce(round(cost, 9), b.price_ceiling_usd, 0);
        -- Two buckets of one window have different rows, so that their locks keep nobody apart.
        IF b.period = 'rolling' THEN
            PERFORM pg_advisory_xact_lock(hashtextextended(s.budget_id || ' ' || s.subject, 5));
        END IF;
        SELECT p.period_start, p.period_end INTO s.period_start, period_end
        FROM budget_period_v2(b.period, b.timezone, b.week_start, moment) AS p;
        LOOP
            PERFORM FROM budget_periods AS c
            WHERE c.tenant = for_tenant AND c.budget_id = s.budget_id AND c.subject = s.subject
                AND c.period_start = s.period_start
            FOR UPDATE;
            EXIT WHEN FOUND;
            INSERT INTO budget_periods (tenant, budget_id, subject, period_start, period_end)
            VALUES (for_tenant, s.budget_id, s.subject, s.period_start, period_end)
            ON CONFLICT DO NOTHING;
        END LOOP;
        shares := shares || s;
    END LOOP;
    -- The same booking, sent twice, may have been made while this one waited for the locks.
    IF EXISTS (
        SELECT FROM budget_reservations AS r
        WHERE r.tenant = for_tenant AND r.call_key = for_key AND r.attempt = for_attempt
    ) THEN
        RETURN QUERY SELECT * FROM budget_settle_v1(for_tenant, for_key, for_attempt, cost);
        RETURN;
    END IF;

    INSERT INTO budget_reservations (
        tenant, call_key, attempt, budget_id, subject, period_start, state, estimate_usd, settled_usd, holder,
        lease_until, ended_at
    )
    SELECT
        for_tenant, for_key, for_attempt, h.budget_id, h.subject, h.period_start, 'late', h.settled_usd, h.settled_usd,
        'spool', clock_timestamp(), clock_timestamp()
    FROM unnest(shares) AS h;
    UPDATE budget_periods AS c SET
        used_usd = c.used_usd + h.settled_usd,
        calls = c.calls + 1,
        updated_at = clock_timestamp()
    FROM unnest(shares) AS h
    WHERE c.tenant = for_tenant AND c.budget_id = h.budget_id AND c.subject = h.subject
        AND c.period_start = h.period_start;
    FOR s IN SELECT * FROM budget_shares_v1(for_tenant, for_key, for_attempt) LOOP
        s.changed := true;
        s.crossed := budget_alert_v1(for_tenant, s);
        RETURN NEXT s;
    END LOOP;
END $$;
