-- One budget's part in a call: how the budget stands, and what the call has or wants of it.
--
-- used, reserved and credit are of the whole window. resets_at is when money is next freed, null for never.
-- outcome is the state of the call's reservation, or before there is one: 'held' or 'room' (it fits), 'refused', 'unpriced'.
-- crossed lists the thresholds, shares of the limit, that were reached just now and never before in this window.
CREATE TYPE budget_share_v1 AS (
    budget_id uuid,
    scope text,
    subject text,
    period text,
    limit_usd numeric,
    credit_usd numeric,
    used_usd numeric,
    reserved_usd numeric,
    soft_limit numeric,
    on_soft text,
    on_hard text,
    downgrade_to text,
    window_start timestamptz,
    period_start timestamptz,
    resets_at timestamptz,
    estimate_usd numeric,
    settled_usd numeric,
    outcome text,
    changed boolean,
    crossed numeric[]
);

-- How one subject's counter of a budget stands at a moment.
--
-- All counters that overlap the window count: those of a rolling budget's buckets, and the one of a period that began
-- before somebody changed the time zone or the week's first day, so that no change gives the same money out twice.
-- Volatile, so that it sees what was written by whoever held the lock before.
CREATE FUNCTION budget_standing_v1(b user_budgets, for_subject text, moment timestamptz) RETURNS budget_share_v1
LANGUAGE plpgsql AS $$
DECLARE
    s budget_share_v1;
    window_end timestamptz;
    oldest_end timestamptz;
BEGIN
    SELECT p.period_start, p.period_end INTO s.period_start, window_end
    FROM budget_period_v2(b.period, b.timezone, b.week_start, moment) AS p;
    s.window_start := s.period_start;
    s.resets_at := nullif(window_end, 'infinity');
    IF b.period = 'rolling' THEN
        s.window_start := moment - b.period_length;
        window_end := 'infinity';
    END IF;

    -- No period is longer than a quarter, so that older counters need not be read.
    SELECT
        coalesce(sum(c.used_usd), 0),
        coalesce(sum(c.reserved_usd), 0),
        coalesce(sum(c.credit_usd), 0),
        min(c.period_end) FILTER (WHERE c.used_usd + c.reserved_usd > 0)
    INTO s.used_usd, s.reserved_usd, s.credit_usd, oldest_end
    FROM budget_periods AS c
    WHERE c.tenant = b.tenant AND c.budget_id = b.budget_id AND c.subject = for_subject
        AND c.period_start >= s.window_start - interval '93 days'
        AND c.period_start < window_end AND c.period_end > s.window_start;

    IF b.period = 'rolling' THEN
        s.resets_at := oldest_end + b.period_length;
    END IF;
    s.budget_id := b.budget_id;
    s.scope := b.scope;
    s.subject := for_subject;
    s.period := b.period;
    s.limit_usd := b.limit_usd;
    s.soft_limit := b.soft_limit;
    s.on_soft := b.on_soft;
    s.on_hard := b.on_hard;
    s.downgrade_to := b.downgrade_to;
    s.changed := false;
    s.crossed := '{}';
    RETURN s;
END $$;

-- What one attempt holds or held, a row a budget.
CREATE FUNCTION budget_shares_v1(for_tenant text, for_key uuid, for_attempt integer) RETURNS SETOF budget_share_v1
LANGUAGE plpgsql AS $$
DECLARE
    found record;
    s budget_share_v1;
BEGIN
    FOR found IN
        SELECT b AS budget, r AS reservation
        FROM budget_reservations AS r
        JOIN user_budgets AS b ON b.tenant = r.tenant AND b.budget_id = r.budget_id
        WHERE r.tenant = for_tenant AND r.call_key = for_key AND r.attempt = for_attempt
        ORDER BY r.budget_id
    LOOP
        s := budget_standing_v1(
            found.budget,
            (found.reservation).subject,
            CASE (found.budget).period
                WHEN 'rolling' THEN clock_timestamp()
                ELSE (found.reservation).period_start
            END
        );
        s.period_start := (found.reservation).period_start;
        s.estimate_usd := (found.reservation).estimate_usd;
        s.settled_usd := (found.reservation).settled_usd;
        s.outcome := (found.reservation).state;
        RETURN NEXT s;
    END LOOP;
END $$;
