-- All functions of budgets lock in one order, so that none waits for another in a circle: counters by budget, subject and
-- period, and only then reservations of these counters.

-- Give back what reservations of one subject hold whose lease has ended, in counters up to one; return how many ended.
CREATE FUNCTION budget_lapse_v1(for_tenant text, for_budget uuid, for_subject text, up_to timestamptz) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    moment timestamptz := clock_timestamp();
    ended bigint;
BEGIN
    IF NOT EXISTS (
        SELECT FROM budget_reservations AS r
        WHERE r.tenant = for_tenant AND r.budget_id = for_budget AND r.subject = for_subject
            AND r.state = 'held' AND r.period_start <= up_to AND r.lease_until <= moment
    ) THEN
        RETURN 0;
    END IF;
    PERFORM FROM budget_periods AS c
    WHERE c.tenant = for_tenant AND c.budget_id = for_budget AND c.subject = for_subject
        AND EXISTS (
            SELECT FROM budget_reservations AS r
            WHERE r.tenant = c.tenant AND r.budget_id = c.budget_id AND r.subject = c.subject
                AND r.period_start = c.period_start
                AND r.state = 'held' AND r.period_start <= up_to AND r.lease_until <= moment
        )
    ORDER BY c.period_start
    FOR UPDATE;
    WITH lapsed AS (
        UPDATE budget_reservations AS r SET state = 'expired', ended_at = moment
        WHERE r.tenant = for_tenant AND r.budget_id = for_budget AND r.subject = for_subject
            AND r.state = 'held' AND r.period_start <= up_to AND r.lease_until <= moment
        RETURNING r.period_start, r.estimate_usd
    ),
    freed AS (
        SELECT l.period_start, sum(l.estimate_usd) AS estimate_usd, count(*) AS reservations
        FROM lapsed AS l
        GROUP BY l.period_start
    ),
    given_back AS (
        UPDATE budget_periods AS c SET reserved_usd = c.reserved_usd - f.estimate_usd, updated_at = moment
        FROM freed AS f
        WHERE c.tenant = for_tenant AND c.budget_id = for_budget AND c.subject = for_subject
            AND c.period_start = f.period_start
        RETURNING f.reservations
    )
    SELECT coalesce(sum(g.reservations), 0) INTO ended FROM given_back AS g;
    RETURN ended;
END $$;

-- Give back what all reservations of a tenant hold whose lease has ended; return how many ended. Never necessary: the next
-- reserve does it for its own budgets.
CREATE FUNCTION budget_expire_v1(for_tenant text) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    counter record;
    ended bigint := 0;
BEGIN
    FOR counter IN
        SELECT DISTINCT r.budget_id, r.subject
        FROM budget_reservations AS r
        WHERE r.tenant = for_tenant AND r.state = 'held' AND r.lease_until <= clock_timestamp()
        ORDER BY r.budget_id, r.subject
    LOOP
        ended := ended + budget_lapse_v1(for_tenant, counter.budget_id, counter.subject, 'infinity');
    END LOOP;
    RETURN ended;
END $$;
