DROP FUNCTION check_budget_status(text, text);
DROP FUNCTION check_budget_status_v1(text, text);
DROP FUNCTION budget_period_v1(text, text, integer, timestamptz);
DROP TABLE budget_alerts;
DROP TABLE budget_adjustments;
DROP TABLE budget_reservations;
DROP TABLE budget_periods;
DROP TABLE user_budgets;
DROP TABLE llm_cost_tracking;
