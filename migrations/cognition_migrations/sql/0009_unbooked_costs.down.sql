DROP FUNCTION budget_reconcile_v2(text, text, text);
DROP FUNCTION budget_drift_v2(text, uuid, text, timestamptz);
DROP FUNCTION budget_unbooked_v2(text, uuid, text, timestamptz);
DROP TYPE budget_counter_drift_v2;
