-- Lock all counters of one subject that count now, in the order in which all lock, and say how the budget stands.
CREATE FUNCTION budget_hold_v1(b user_budgets, for_subject text) RETURNS budget_share_v1
LANGUAGE plpgsql AS $$
BEGIN
    -- As budget_weigh_v1 does, and before the rows as there.
    IF b.period = 'rolling' THEN
        PERFORM pg_advisory_xact_lock(hashtextextended(b.budget_id || ' ' || for_subject, 5));
    END IF;
    PERFORM FROM budget_periods AS c
    WHERE c.tenant = b.tenant AND c.budget_id = b.budget_id AND c.subject = for_subject
        AND c.period_end > clock_timestamp() - b.period_length
    ORDER BY c.period_start
    FOR UPDATE;
    RETURN budget_weigh_v1(b, for_subject, 0);
END $$;

-- Write an adjustment down and give the counter its credit; the lock of the counter must be held.
CREATE FUNCTION budget_credit_v1(a budget_adjustments) RETURNS budget_adjustments
LANGUAGE plpgsql AS $$
BEGIN
    a.adjustment_id := gen_random_uuid();
    a.created_at := clock_timestamp();
    INSERT INTO budget_adjustments SELECT (a).*;
    UPDATE budget_periods AS c SET credit_usd = c.credit_usd + a.amount_usd, updated_at = a.created_at
    WHERE c.tenant = a.tenant AND c.budget_id = a.budget_id AND c.subject = a.subject
        AND c.period_start = a.period_start;
    RETURN a;
END $$;

-- Let one subject spend anew: every counter that counts now gets what it used as credit, so that both leave a rolling
-- window together. What other adjustments gave stays. Asked again with nothing spent meanwhile, it changes nothing.
CREATE FUNCTION budget_reset_v1(for_tenant text, for_budget uuid, for_subject text, by_actor text, for_reason text)
RETURNS SETOF budget_adjustments
LANGUAGE plpgsql AS $$
DECLARE
    b user_budgets;
    s budget_share_v1;
    a budget_adjustments;
    counted record;
BEGIN
    SELECT * INTO b FROM user_budgets AS u WHERE u.tenant = for_tenant AND u.budget_id = for_budget;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    s := budget_hold_v1(b, for_subject);
    FOR counted IN
        SELECT
            c.period_start,
            c.used_usd - (
                SELECT coalesce(sum(g.amount_usd), 0)
                FROM budget_adjustments AS g
                WHERE g.tenant = c.tenant AND g.budget_id = c.budget_id AND g.subject = c.subject
                    AND g.period_start = c.period_start AND g.kind = 'reset'
            ) AS amount_usd
        FROM budget_periods AS c
        WHERE c.tenant = for_tenant AND c.budget_id = for_budget AND c.subject = for_subject
            AND c.period_end > s.window_start
        ORDER BY c.period_start
    LOOP
        UPDATE budget_alerts AS t SET state = 'resolved', resolved_at = clock_timestamp()
        WHERE t.tenant = for_tenant AND t.budget_id = for_budget AND t.subject = for_subject
            AND t.period_start = counted.period_start AND t.state <> 'resolved';
        CONTINUE WHEN counted.amount_usd = 0;
        a.tenant := for_tenant;
        a.budget_id := for_budget;
        a.subject := for_subject;
        a.period_start := counted.period_start;
        a.kind := 'reset';
        a.amount_usd := counted.amount_usd;
        a.actor := by_actor;
        a.reason := for_reason;
        RETURN NEXT budget_credit_v1(a);
    END LOOP;
    UPDATE user_budgets AS u SET last_reset = clock_timestamp()
    WHERE u.tenant = for_tenant AND u.budget_id = for_budget;
END $$;

-- Give one subject more to spend in the present period; of a rolling budget, for as long as its window is.
CREATE FUNCTION budget_raise_v1(
    for_tenant text,
    for_budget uuid,
    for_subject text,
    amount numeric,
    by_actor text,
    for_reason text
) RETURNS SETOF budget_adjustments
LANGUAGE plpgsql AS $$
DECLARE
    b user_budgets;
    a budget_adjustments;
BEGIN
    SELECT * INTO b FROM user_budgets AS u WHERE u.tenant = for_tenant AND u.budget_id = for_budget;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    a.period_start := (budget_hold_v1(b, for_subject)).period_start;
    a.tenant := for_tenant;
    a.budget_id := for_budget;
    a.subject := for_subject;
    a.kind := 'raise';
    a.amount_usd := amount;
    a.actor := by_actor;
    a.reason := for_reason;
    RETURN NEXT budget_credit_v1(a);
END $$;

-- Move money from one subject's present period to another one's, never more than the source has left: then nothing is
-- moved and nothing returned. Both rows have one transfer_id.
CREATE FUNCTION budget_transfer_v1(
    for_tenant text,
    from_budget uuid,
    from_subject text,
    to_budget uuid,
    to_subject text,
    amount numeric,
    by_actor text,
    for_reason text
) RETURNS SETOF budget_adjustments
LANGUAGE plpgsql AS $$
DECLARE
    side record;
    s budget_share_v1;
    a budget_adjustments;
    starts timestamptz[] := '{}';
BEGIN
    a.tenant := for_tenant;
    a.kind := 'transfer';
    a.transfer_id := gen_random_uuid();
    a.actor := by_actor;
    a.reason := for_reason;
    -- Locks first, in the order in which all lock; the source may be either of them.
    FOR side IN
        SELECT b AS budget, e.subject, e.gives
        FROM (VALUES (from_budget, from_subject, true), (to_budget, to_subject, false)) AS e (budget_id, subject, gives)
        JOIN user_budgets AS b ON b.tenant = for_tenant AND b.budget_id = e.budget_id
        ORDER BY e.budget_id, e.subject, e.gives
    LOOP
        s := budget_hold_v1(side.budget, side.subject);
        starts[CASE WHEN side.gives THEN 1 ELSE 2 END] := s.period_start;
        IF side.gives AND s.limit_usd + s.credit_usd - s.used_usd - s.reserved_usd < amount THEN
            RETURN;
        END IF;
    END LOOP;
    IF starts[1] IS NULL OR starts[2] IS NULL THEN
        RETURN;
    END IF;
    FOR side IN
        SELECT * FROM (
            VALUES (from_budget, from_subject, starts[1], -amount), (to_budget, to_subject, starts[2], amount)
        ) AS e (budget_id, subject, period_start, amount_usd)
    LOOP
        a.budget_id := side.budget_id;
        a.subject := side.subject;
        a.period_start := side.period_start;
        a.amount_usd := side.amount_usd;
        RETURN NEXT budget_credit_v1(a);
    END LOOP;
END $$;
