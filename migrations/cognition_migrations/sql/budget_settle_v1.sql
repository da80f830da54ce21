-- Lock the counters in which an attempt holds or held money, in the order in which all lock.
CREATE FUNCTION budget_lock_counters_v1(for_tenant text, for_key uuid, for_attempt integer) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM budget_reservations AS r
    JOIN budget_periods AS c
        ON c.tenant = r.tenant AND c.budget_id = r.budget_id AND c.subject = r.subject
        AND c.period_start = r.period_start
    WHERE r.tenant = for_tenant AND r.call_key = for_key AND r.attempt = for_attempt
    ORDER BY c.budget_id, c.subject, c.period_start
    FOR UPDATE OF c;
END $$;

-- Book what an attempt cost into the periods in which it was reserved, and give back what was set aside for it.
--
-- cost  in US dollars; null when the provider did not say, which costs what was estimated
--
-- What was held becomes 'settled'. What had already been given back, because its lease ended or because the attempt was
-- believed to have failed, becomes 'late': it was spent all the same. Settled once, nothing changes any more.
CREATE FUNCTION budget_settle_v1(for_tenant text, for_key uuid, for_attempt integer, cost numeric)
RETURNS SETOF budget_share_v1
LANGUAGE plpgsql AS $$
DECLARE
    moment timestamptz;
    booked uuid[];
    s budget_share_v1;
BEGIN
    PERFORM budget_lock_counters_v1(for_tenant, for_key, for_attempt);
    moment := clock_timestamp();
    WITH ended AS (
        UPDATE budget_reservations AS r SET
            state = CASE r.state WHEN 'held' THEN 'settled' ELSE 'late' END,
            settled_usd = coalesce(cost, r.estimate_usd),
            ended_at = coalesce(r.ended_at, moment)
        WHERE r.tenant = for_tenant AND r.call_key = for_key AND r.attempt = for_attempt
            AND r.state IN ('held', 'expired', 'released')
        RETURNING r.*
    ),
    counted AS (
        UPDATE budget_periods AS c SET
            used_usd = c.used_usd + e.settled_usd,
            reserved_usd = c.reserved_usd - CASE e.state WHEN 'settled' THEN e.estimate_usd ELSE 0 END,
            calls = c.calls + 1,
            updated_at = moment
        FROM ended AS e
        WHERE c.tenant = e.tenant AND c.budget_id = e.budget_id AND c.subject = e.subject
            AND c.period_start = e.period_start
        RETURNING c.budget_id
    )
    SELECT coalesce(array_agg(c.budget_id), '{}') INTO booked FROM counted AS c;
    FOR s IN SELECT * FROM budget_shares_v1(for_tenant, for_key, for_attempt) LOOP
        IF s.budget_id = ANY (booked) THEN
            s.changed := true;
            s.crossed := budget_alert_v1(for_tenant, s);
        END IF;
        RETURN NEXT s;
    END LOOP;
END $$;

-- Give back what an attempt holds that cost nothing; return whether it held anything.
CREATE FUNCTION budget_release_v1(for_tenant text, for_key uuid, for_attempt integer) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    moment timestamptz;
BEGIN
    PERFORM budget_lock_counters_v1(for_tenant, for_key, for_attempt);
    moment := clock_timestamp();
    WITH ended AS (
        UPDATE budget_reservations AS r SET state = 'released', ended_at = moment
        WHERE r.tenant = for_tenant AND r.call_key = for_key AND r.attempt = for_attempt AND r.state = 'held'
        RETURNING r.*
    )
    UPDATE budget_periods AS c SET reserved_usd = c.reserved_usd - e.estimate_usd, updated_at = moment
    FROM ended AS e
    WHERE c.tenant = e.tenant AND c.budget_id = e.budget_id AND c.subject = e.subject
        AND c.period_start = e.period_start;
    RETURN FOUND;
END $$;
