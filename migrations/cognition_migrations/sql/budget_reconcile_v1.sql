-- A counter that differs from what explains it.
--
-- settled_usd      the sum of the settled reservations, purged ones included; used_usd must be it
-- booked_usd       what must have been booked: the same, with the cost from the ledger where it is known there, and what is
--                  unbooked; the truth, when they differ
-- missing_rows     settled reservations without a row in the ledger
-- unbooked_usd     what calls cost by the ledger for which money was set aside here and never settled
-- unbooked_calls   their call keys
-- held_usd         the sum of the held reservations; reserved_usd must be it
-- adjusted_usd     the sum of the adjustments; credit_usd must be it
-- reconciled_usd   the part of these that made up for wrong counting before
CREATE TYPE budget_counter_drift_v1 AS (
    budget_id uuid,
    scope text,
    subject text,
    period text,
    period_start timestamptz,
    used_usd numeric,
    settled_usd numeric,
    booked_usd numeric,
    missing_rows bigint,
    unbooked_usd numeric,
    unbooked_calls uuid[],
    reserved_usd numeric,
    held_usd numeric,
    credit_usd numeric,
    adjusted_usd numeric,
    reconciled_usd numeric
);

-- Attempts that cost money by the ledger, for which money was set aside that was never settled: in all of a tenant's
-- counters, or in the one that is named. A settlement writes both at once, so that none of these is under way.
CREATE FUNCTION budget_unbooked_v1(
    for_tenant text,
    for_budget uuid DEFAULT NULL,
    for_subject text DEFAULT NULL,
    for_start timestamptz DEFAULT NULL
)
RETURNS TABLE (
    budget_id uuid,
    subject text,
    period_start timestamptz,
    call_key uuid,
    attempt integer,
    cost_usd numeric
)
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT r.budget_id, r.subject, r.period_start, r.call_key, r.attempt, l.cost_usd
    FROM budget_reservations AS r
    JOIN llm_cost_tracking AS l
        ON l.tenant = r.tenant AND l.call_key = r.call_key AND l.attempt = r.attempt
    WHERE r.tenant = budget_unbooked_v1.for_tenant AND r.settled_usd IS NULL AND l.cost_usd > 0
        AND (budget_unbooked_v1.for_budget IS NULL OR (
            r.budget_id = budget_unbooked_v1.for_budget AND r.subject = budget_unbooked_v1.for_subject
            AND r.period_start = budget_unbooked_v1.for_start
        ));
END;

-- Compare counters with what explains them: all of a tenant's, or the one that is named.
CREATE FUNCTION budget_drift_v1(
    for_tenant text,
    for_budget uuid DEFAULT NULL,
    for_subject text DEFAULT NULL,
    for_start timestamptz DEFAULT NULL
)
RETURNS SETOF budget_counter_drift_v1
LANGUAGE sql STABLE
BEGIN ATOMIC
    WITH explained AS (
        SELECT
            r.budget_id,
            r.subject,
            r.period_start,
            sum(r.settled_usd) AS settled_usd,
            sum(CASE WHEN r.settled_usd IS NOT NULL THEN coalesce(l.cost_usd, r.settled_usd) END) AS booked_usd,
            count(*) FILTER (WHERE r.settled_usd IS NOT NULL AND l.call_key IS NULL) AS missing_rows,
            sum(r.estimate_usd) FILTER (WHERE r.state = 'held') AS held_usd
        FROM budget_reservations AS r
        LEFT JOIN llm_cost_tracking AS l
            ON l.tenant = r.tenant AND l.call_key = r.call_key AND l.attempt = r.attempt
        WHERE r.tenant = budget_drift_v1.for_tenant
            AND (budget_drift_v1.for_budget IS NULL OR (
                r.budget_id = budget_drift_v1.for_budget AND r.subject = budget_drift_v1.for_subject
                AND r.period_start = budget_drift_v1.for_start
            ))
        GROUP BY r.budget_id, r.subject, r.period_start
    ),
    unbooked AS (
        SELECT
            u.budget_id,
            u.subject,
            u.period_start,
            sum(u.cost_usd) AS unbooked_usd,
            array_agg(DISTINCT u.call_key) AS unbooked_calls
        FROM budget_unbooked_v1(
            budget_drift_v1.for_tenant,
            budget_drift_v1.for_budget,
            budget_drift_v1.for_subject,
            budget_drift_v1.for_start
        ) AS u
        GROUP BY u.budget_id, u.subject, u.period_start
    ),
    adjusted AS (
        SELECT
            a.budget_id,
            a.subject,
            a.period_start,
            sum(a.amount_usd) AS adjusted_usd,
            sum(a.amount_usd) FILTER (WHERE a.kind = 'reconciliation') AS reconciled_usd
        FROM budget_adjustments AS a
        WHERE a.tenant = budget_drift_v1.for_tenant
        GROUP BY a.budget_id, a.subject, a.period_start
    ),
    compared AS (
        SELECT
            b.budget_id,
            b.scope,
            c.subject,
            b.period,
            c.period_start,
            c.used_usd,
            c.purged_usd + coalesce(h.settled_usd, 0) AS settled_usd,
            c.purged_usd + coalesce(h.booked_usd, 0) + coalesce(u.unbooked_usd, 0) AS booked_usd,
            coalesce(h.missing_rows, 0) AS missing_rows,
            coalesce(u.unbooked_usd, 0) AS unbooked_usd,
            coalesce(u.unbooked_calls, '{}') AS unbooked_calls,
            c.reserved_usd,
            coalesce(h.held_usd, 0) AS held_usd,
            c.credit_usd,
            coalesce(a.adjusted_usd, 0) AS adjusted_usd,
            coalesce(a.reconciled_usd, 0) AS reconciled_usd
        FROM budget_periods AS c
        JOIN user_budgets AS b ON b.tenant = c.tenant AND b.budget_id = c.budget_id
        LEFT JOIN explained AS h
            ON h.budget_id = c.budget_id AND h.subject = c.subject AND h.period_start = c.period_start
        LEFT JOIN unbooked AS u
            ON u.budget_id = c.budget_id AND u.subject = c.subject AND u.period_start = c.period_start
        LEFT JOIN adjusted AS a
            ON a.budget_id = c.budget_id AND a.subject = c.subject AND a.period_start = c.period_start
        WHERE c.tenant = budget_drift_v1.for_tenant
            AND (budget_drift_v1.for_budget IS NULL OR (
                c.budget_id = budget_drift_v1.for_budget AND c.subject = budget_drift_v1.for_subject
                AND c.period_start = budget_drift_v1.for_start
            ))
    )
    SELECT d.*
    FROM compared AS d
    WHERE d.used_usd - d.reconciled_usd <> d.booked_usd
        OR d.missing_rows > 0
        OR d.unbooked_usd > 0
        OR d.reserved_usd <> d.held_usd
        OR d.credit_usd <> d.adjusted_usd
    ORDER BY d.budget_id, d.subject, d.period_start;
END;

-- Return the counters that differ from what explains them, as they were found, and, when somebody is named, repair them.
--
-- What calls cost that no budget has booked is settled: it becomes 'late', or 'settled' where it is held still, in all
-- budgets of the call. What differs then was wrongly counted, and is made up for by an adjustment of kind
-- 'reconciliation'; nothing that was counted is edited. reserved_usd and credit_usd are mere sums of rows that are there,
-- and are added up anew; such a repair is written down too. Rows that the ledger lacks cannot be repaired here.
CREATE FUNCTION budget_reconcile_v1(for_tenant text, by_actor text DEFAULT NULL, for_reason text DEFAULT NULL)
RETURNS SETOF budget_counter_drift_v1
LANGUAGE plpgsql AS $$
DECLARE
    d budget_counter_drift_v1;
    found_drifts budget_counter_drift_v1[] := '{}';
    unbooked record;
    a budget_adjustments;
BEGIN
    IF by_actor IS NULL THEN
        RETURN QUERY SELECT * FROM budget_drift_v1(for_tenant);
        RETURN;
    END IF;
    -- All locks first, in the order in which all lock: settling one call locks every counter that it uses.
    FOR d IN SELECT * FROM budget_drift_v1(for_tenant) LOOP
        PERFORM FROM budget_periods AS c
        WHERE c.tenant = for_tenant AND c.budget_id = d.budget_id AND c.subject = d.subject
            AND c.period_start = d.period_start
        FOR UPDATE;
        -- Again, now that nobody else can change it.
        SELECT * INTO d FROM budget_drift_v1(for_tenant, d.budget_id, d.subject, d.period_start);
        IF FOUND THEN
            found_drifts := found_drifts || d;
        END IF;
    END LOOP;
    FOREACH d IN ARRAY found_drifts LOOP
        RETURN NEXT d;
        UPDATE budget_periods AS c SET reserved_usd = d.held_usd, credit_usd = d.adjusted_usd
        WHERE c.tenant = for_tenant AND c.budget_id = d.budget_id AND c.subject = d.subject
            AND c.period_start = d.period_start AND (c.reserved_usd <> d.held_usd OR c.credit_usd <> d.adjusted_usd);
    END LOOP;
    FOREACH d IN ARRAY found_drifts LOOP
        FOR unbooked IN
            SELECT u.call_key, u.attempt, u.cost_usd
            FROM budget_unbooked_v1(for_tenant, d.budget_id, d.subject, d.period_start) AS u
            ORDER BY u.call_key, u.attempt
        LOOP
            PERFORM budget_settle_v1(for_tenant, unbooked.call_key, unbooked.attempt, unbooked.cost_usd);
        END LOOP;
    END LOOP;
    FOREACH d IN ARRAY found_drifts LOOP
        a.amount_usd := coalesce((
            SELECT n.used_usd - n.reconciled_usd - n.booked_usd
            FROM budget_drift_v1(for_tenant, d.budget_id, d.subject, d.period_start) AS n
        ), 0);
        CONTINUE WHEN a.amount_usd = 0 AND d.reserved_usd = d.held_usd AND d.credit_usd = d.adjusted_usd;
        a.tenant := for_tenant;
        a.budget_id := d.budget_id;
        a.subject := d.subject;
        a.period_start := d.period_start;
        a.kind := 'reconciliation';
        a.actor := by_actor;
        a.reason := for_reason;
        PERFORM budget_credit_v1(a);
    END LOOP;
END $$;
