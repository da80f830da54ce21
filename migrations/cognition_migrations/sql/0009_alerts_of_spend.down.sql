DROP FUNCTION budget_reserve_v2(text, uuid, integer, jsonb, numeric, text, interval);
