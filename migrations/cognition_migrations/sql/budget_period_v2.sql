-- The first moment at which the clocks of a zone show a time, or pass it where they skip it.
--
-- PostgreSQL takes the second of two moments at which clocks that go back show the same; a day that starts with a
-- midnight that comes twice (the Azores, Havana) starts with the first, or its first hour would belong to no day.
CREATE FUNCTION budget_first_moment_v1(wall timestamp, timezone text) RETURNS timestamptz
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT min(m.moment)
    FROM unnest(ARRAY[interval '0', interval '30 minutes', interval '1 hour', interval '2 hours']) AS b (back)
    CROSS JOIN LATERAL (
        SELECT (budget_first_moment_v1.wall AT TIME ZONE budget_first_moment_v1.timezone) - b.back AS moment
    ) AS m
    WHERE b.back = interval '0'
        OR m.moment AT TIME ZONE budget_first_moment_v1.timezone = budget_first_moment_v1.wall;
END;

-- The period of a budget that contains a point in time. No job resets anything: the period is computed, never stored.
--
-- period         'daily', 'weekly', 'monthly', 'quarterly', 'lifetime', or 'rolling'
-- timezone       IANA name; a day is a day of its calendar, so it has 23 or 25 hours when the clocks change
-- week_start     ISO, 1 is Monday; only of a weekly period
-- moment         the point in time
--
-- A rolling period is kept in buckets of one hour, and this is the bucket. Unlike budget_period_v1, the period always
-- contains the point in time, also where midnight comes twice.
CREATE FUNCTION budget_period_v2(period text, timezone text, week_start integer, moment timestamptz)
RETURNS TABLE (period_start timestamptz, period_end timestamptz)
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    WITH wall AS (
        SELECT budget_period_v2.moment AT TIME ZONE budget_period_v2.timezone AS clock
    ),
    unit AS (
        SELECT
            CASE budget_period_v2.period
                WHEN 'daily' THEN date_trunc('day', w.clock)
                WHEN 'weekly' THEN date_trunc('day', w.clock) - make_interval(
                    days => (extract(isodow FROM w.clock)::integer - budget_period_v2.week_start + 7) % 7
                )
                WHEN 'monthly' THEN date_trunc('month', w.clock)
                WHEN 'quarterly' THEN date_trunc('quarter', w.clock)
            END AS first_day,
            CASE budget_period_v2.period
                WHEN 'daily' THEN interval '1 day'
                WHEN 'weekly' THEN interval '7 days'
                WHEN 'monthly' THEN interval '1 month'
                WHEN 'quarterly' THEN interval '3 months'
            END AS duration
        FROM wall AS w
    )
    SELECT
        CASE budget_period_v2.period
            WHEN 'lifetime' THEN timestamptz '1970-01-01 00:00:00+00'
            WHEN 'rolling' THEN date_trunc('hour', budget_period_v2.moment, 'UTC')
            ELSE budget_first_moment_v1(u.first_day, budget_period_v2.timezone)
        END,
        CASE budget_period_v2.period
            WHEN 'lifetime' THEN timestamptz 'infinity'
            WHEN 'rolling' THEN date_trunc('hour', budget_period_v2.moment, 'UTC') + interval '1 hour'
            ELSE budget_first_moment_v1(u.first_day + u.duration, budget_period_v2.timezone)
        END
    FROM unit AS u;
END;
