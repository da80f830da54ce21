DROP FUNCTION budget_book_v1(text, uuid, integer, jsonb, numeric, timestamptz);
