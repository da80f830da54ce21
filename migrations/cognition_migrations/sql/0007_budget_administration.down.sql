CREATE OR REPLACE FUNCTION check_budget_status(user_id text, for_tenant text DEFAULT 'default')
RETURNS TABLE (
    budget_id uuid,
    scope text,
    subject text,
    period text,
    limit_usd numeric,
    credit_usd numeric,
    used_usd numeric,
    reserved_usd numeric,
    remaining_usd numeric,
    period_start timestamptz,
    resets_at timestamptz,
    state text
)
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT v1.* FROM check_budget_status_v1(check_budget_status.user_id, check_budget_status.for_tenant) AS v1;
END;
DROP FUNCTION check_budget_status_v2(text, text);
DROP FUNCTION budget_purge_v1(text, interval, integer);
DROP FUNCTION budget_reconcile_v1(text, text, text);
DROP FUNCTION budget_drift_v1(text, uuid, text, timestamptz);
DROP FUNCTION budget_unbooked_v1(text, uuid, text, timestamptz);
DROP TYPE budget_counter_drift_v1;
DROP FUNCTION budget_close_v1(text, integer);
DROP FUNCTION budget_transfer_v1(text, uuid, text, uuid, text, numeric, text, text);
DROP FUNCTION budget_raise_v1(text, uuid, text, numeric, text, text);
DROP FUNCTION budget_reset_v1(text, uuid, text, text, text);
DROP FUNCTION budget_credit_v1(budget_adjustments);
DROP FUNCTION budget_hold_v1(user_budgets, text);
ALTER TABLE budget_periods DROP COLUMN purged_usd;
