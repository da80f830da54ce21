-- Prolong the leases of attempts that still hold money; return those attempts.
--
-- A reservation that somebody else has locked is left out: it is being settled, or ended because its lease did. So this
-- never waits, and never stands in a circle of those who wait.
CREATE FUNCTION budget_renew_v1(for_tenant text, keys uuid[], attempts integer[], lease interval)
RETURNS TABLE (call_key uuid, attempt integer)
LANGUAGE sql AS $$
    WITH mine AS (
        SELECT r.call_key, r.attempt, r.budget_id
        FROM unnest(keys, attempts) AS k (call_key, attempt)
        JOIN budget_reservations AS r
            ON r.tenant = for_tenant AND r.call_key = k.call_key AND r.attempt = k.attempt
        WHERE r.state = 'held'
        FOR UPDATE OF r SKIP LOCKED
    ),
    renewed AS (
        UPDATE budget_reservations AS r SET lease_until = greatest(r.lease_until, clock_timestamp() + lease)
        FROM mine AS m
        WHERE r.tenant = for_tenant AND r.call_key = m.call_key AND r.attempt = m.attempt
            AND r.budget_id = m.budget_id
        RETURNING r.call_key, r.attempt
    )
    SELECT DISTINCT d.call_key, d.attempt FROM renewed AS d
$$;
