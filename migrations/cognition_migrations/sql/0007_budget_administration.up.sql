-- What reservations that were purged had been settled at, so that a counter can still be checked against those that are
-- there: used_usd = purged_usd + the sum of settled_usd.
ALTER TABLE budget_periods ADD COLUMN purged_usd numeric(20, 9) NOT NULL DEFAULT 0;
